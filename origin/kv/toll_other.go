//go:build !linux

package kv

import (
	"context"
	"time"
)

// sleeper returns how tolls wait: by a timer.
func sleeper() func(context.Context, time.Time) error { return doze }
