package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"origin-storm/storm/verdict"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"origin-storm": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
			stop()
			os.Exit(code)
		},
	})
}

// TestScript runs the program as its users do: each file of testdata/script is a session in an empty directory.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:         "testdata/script",
		WorkdirRoot: t.TempDir(),
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "listening": listening,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TMPDIR", env.WorkDir+"/.tmp")
			return nil
		},
	})
}

// The exit code of a process of ours, killed for instance, is not taken for the program's own.
func TestExitCodeOfAChild(t *testing.T) {
	child := exec.Command("sh", "-c", "kill -9 $$").Run()
	for want, err := range map[verdict.Code]error{
		verdict.Internal: fmt.Errorf("stage: driver 2: %w", child),
		verdict.Failed:   &verdict.Error{Err: errors.New("a threshold"), Code: verdict.Failed},
	} {
		if got := exitCode(t.Context(), err); got != int(want) {
			t.Errorf("exitCode(%v) = %d, want %d", err, got, want)
		}
	}
}

// listening ADDRESS waits, for ten seconds, until somebody listens there.
func listening(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listening ADDRESS")
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); ; {
		if conn, err := net.Dial("tcp", args[0]); err == nil {
			conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("nobody listens at %s", args[0])
		}
	}
}

// exits CODE COMMAND… runs a command that must end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if coded, ok := err.(interface{ ExitCode() int }); ok {
		code = coded.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v: %v", args[1:], err)
	}
	if got := args[0]; got != strconv.Itoa(code) {
		ts.Fatalf("%v: exit code %d, want %s", args[1:], code, got)
	}
}
