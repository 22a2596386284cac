package memcached

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// get is the one operation that this package speaks itself, in memcached's text protocol: the value goes from the connection
// into buf, if it fits. The driver allocates every value, and its copy into a segment's memory comes on top: clearing new memory and
// copying were 37 % of the processor time of a node that served 2 MiB segments from a cache. Now it is 77 % system calls, whose copies
// into and out of the kernel every way has, and 6 % the check of what was read.
func (l *lane) get(name string, buf []byte) ([]byte, error) {
	conn, err := l.dial(context.Background(), l.addr.Network(), l.addr.String())
	if err != nil {
		return nil, err
	}
	if l.in == nil {
		l.in = bufio.NewReader(conn)
	}
	if err := conn.SetDeadline(time.Now().Add(l.client.Timeout)); err != nil { // the client's last one may be over
		return nil, err
	}
	if _, err := conn.Write(fmt.Appendf(nil, "get %s\r\n", name)); err != nil {
		return nil, err
	}
	return readValue(l.in, name, buf)
}

// maxValue bounds what is allocated because a server says so: it is far more than the largest segment, which a server may be set up
// to take whole.
const maxValue = 128 << 20

// valueEnd is what follows a value's bytes.
const valueEnd = "\r\nEND\r\n"

// readValue reads the answer to "get name": the value, or memcache.ErrCacheMiss. After another error nobody knows what comes next.
func readValue(in *bufio.Reader, name string, buf []byte) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	if string(line) == valueEnd[2:] {
		return nil, memcache.ErrCacheMiss
	}
	// VALUE <key> <flags> <bytes>\r\n
	field := bytes.Split(bytes.TrimSuffix(line, []byte("\r\n")), []byte(" "))
	if len(field) != 4 || string(field[0]) != "VALUE" || string(field[1]) != name {
		return nil, fmt.Errorf("get %s: the server answered %.100q", name, line)
	}
	size, err := strconv.ParseUint(string(field[3]), 10, 31)
	if err != nil || size > maxValue {
		return nil, fmt.Errorf("get %s: the server announces %.20q bytes, limit %d", name, field[3], maxValue)
	}
	if uint64(len(buf)) < size {
		buf = make([]byte, size)
	}
	val := buf[:size:size]
	if _, err := io.ReadFull(in, val); err != nil {
		return nil, unexpected(err)
	}
	var end [len(valueEnd)]byte
	if _, err := io.ReadFull(in, end[:]); err != nil {
		return nil, unexpected(err)
	}
	if string(end[:]) != valueEnd {
		return nil, fmt.Errorf("get %s: after %d bytes come %q", name, size, end)
	}
	return val, nil
}

// unexpected is the end of a connection in the middle of an answer.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
