package cassandra

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"origin-storm/origin/kv"
)

// refusal is an error as a node sends it.
type refusal struct {
	code int
	text string
}

func (r refusal) Code() int       { return r.code }
func (r refusal) Message() string { return r.text }
func (r refusal) Error() string   { return r.text }

func TestTranslate(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	other := errors.New("connection reset by peer")
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		is   error
		not  []error
	}{
		{"no row", t.Context(), gocql.ErrNotFound, kv.ErrNotFound, nil},
		{"no rights", t.Context(), refusal{gocql.ErrCodeUnauthorized, "User u has no MODIFY permission on <table k.t>"}, kv.ErrDenied, nil},
		{"bad password", t.Context(), refusal{gocql.ErrCodeCredentials, "incorrect"}, kv.ErrDenied, nil},
		{"overloaded", t.Context(), refusal{gocql.ErrCodeOverloaded, "too many in flight"}, kv.ErrThrottled, nil},
		{"too large", t.Context(), refusal{gocql.ErrCodeInvalid, "Mutation of 9 bytes is too large for the maximum size of 8"}, kv.ErrTooLarge, nil},
		{"invalid", t.Context(), refusal{gocql.ErrCodeInvalid, "unconfigured table t"}, nil, []error{kv.ErrTooLarge, kv.ErrNotFound, kv.ErrDenied}},
		{"unavailable", t.Context(), refusal{gocql.ErrCodeUnavailable, "Cannot achieve consistency level LOCAL_QUORUM"}, nil, []error{kv.ErrNotFound, kv.ErrThrottled}},
		{"connection lost", t.Context(), other, other, []error{kv.ErrNotFound}},
		{"connection lost because the context ended", ended, other, context.Canceled, []error{kv.ErrNotFound}},
		{"context", ended, context.Canceled, context.Canceled, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := translate(c.ctx, c.err)
			if c.is != nil && !errors.Is(got, c.is) {
				t.Errorf("translate(%v) = %v, want %v", c.err, got, c.is)
			}
			for _, not := range c.not {
				if errors.Is(got, not) {
					t.Errorf("translate(%v) = %v, which is %v", c.err, got, not)
				}
			}
			if !strings.Contains(got.Error(), c.err.Error()) && !errors.Is(got, kv.ErrNotFound) {
				t.Errorf("translate(%v) = %v, which has lost what the node said", c.err, got)
			}
		})
	}
}

func TestTTL(t *testing.T) {
	for keep, want := range map[time.Duration]int{
		time.Nanosecond:                 2,
		time.Second:                     2,
		1001 * time.Millisecond:         3,
		time.Hour:                       3601,
		50 * 365 * 24 * time.Hour:       630_720_000,
		1<<63 - 1:                       630_720_000,
		20 * 365 * 24 * time.Hour:       630_720_000,
		(630_720_000 - 2) * time.Second: 630_719_999,
	} {
		if got := ttl(keep); got != want {
			t.Errorf("ttl(%v) = %d, want %d", keep, got, want)
		}
	}
}

// A node that does not let the user in: Open says so, and that trying again is pointless.
func TestOpenDenied(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go refuse(conn)
		}
	}()
	_, err = Open(t.Context(), Config{Addresses: []string{l.Addr().String()}, Keyspace: "k", User: "somebody", Password: "secret"})
	if !errors.Is(err, kv.ErrDenied) || !strings.Contains(err.Error(), "somebody") || !strings.Contains(err.Error(), "bad credentials") {
		t.Errorf("Open with a wrong password = %v, want kv.ErrDenied, the user's name and what the node said", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("Open with a wrong password = %v, which tells the password", err)
	}
}

// refuse speaks CQL's binary protocol, version 4, as far as to say that the credentials are bad.
func refuse(conn net.Conn) {
	defer conn.Close()
	const options, supported, failure = 0x05, 0x06, 0x00
	for {
		var head [9]byte // version, flags, stream (2), operation, length (4)
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[5:]))); err != nil {
			return
		}
		op, body := byte(supported), []byte{0, 0} // an empty map
		if head[4] != options {
			const text = "bad credentials"
			op, body = failure, binary.BigEndian.AppendUint32(nil, gocql.ErrCodeCredentials)
			body = append(binary.BigEndian.AppendUint16(body, uint16(len(text))), text...)
		}
		answer := []byte{0x84, 0, head[2], head[3], op}
		answer = append(binary.BigEndian.AppendUint32(answer, uint32(len(body))), body...)
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
