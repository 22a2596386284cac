package memcached

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bradfitz/gomemcache/memcache"
)

func TestReadValue(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1000)
	for name, tt := range map[string]struct {
		answer string
		want   string
		err    error  // what it is,
		text   string // or says
	}{
		"value":            {answer: "VALUE k 0 5\r\nhello\r\nEND\r\n", want: "hello"},
		"flags":            {answer: "VALUE k 17 5\r\nhello\r\nEND\r\n", want: "hello"},
		"empty":            {answer: "VALUE k 0 0\r\n\r\nEND\r\n"},
		"line ends in it":  {answer: "VALUE k 0 7\r\n\r\nEND\r\n\r\nEND\r\n", want: "\r\nEND\r\n"},
		"larger than buf":  {answer: "VALUE k 0 16000\r\n" + large + "\r\nEND\r\n", want: large},
		"miss":             {answer: "END\r\n", err: memcache.ErrCacheMiss},
		"server error":     {answer: "SERVER_ERROR out of memory\r\n", text: "out of memory"},
		"other key":        {answer: "VALUE j 0 5\r\nhello\r\nEND\r\n", text: "answered"},
		"more fields":      {answer: "VALUE k 0 5 1\r\nhello\r\nEND\r\n", text: "answered"},
		"no number":        {answer: "VALUE k 0 x\r\nhello\r\nEND\r\n", text: "announces"},
		"negative":         {answer: "VALUE k 0 -1\r\nhello\r\nEND\r\n", text: "announces"},
		"too large":        {answer: "VALUE k 0 2000000000\r\n", text: "announces"},
		"longer":           {answer: "VALUE k 0 4\r\nhello\r\nEND\r\n", text: "after 4 bytes"},
		"endless line":     {answer: strings.Repeat("VALUE ", 10000), text: "answered"},
		"nothing":          {answer: "", err: io.EOF},
		"cut in the line":  {answer: "VALUE k", err: io.EOF},
		"cut in the value": {answer: "VALUE k 0 5\r\nhel", err: io.ErrUnexpectedEOF},
		"cut at the end":   {answer: "VALUE k 0 5\r\nhello", err: io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			buf := make([]byte, 1000)
			in := bufio.NewReader(iotest.OneByteReader(strings.NewReader(tt.answer)))
			got, err := readValue(in, "k", buf)
			switch {
			case tt.err != nil:
				if !errors.Is(err, tt.err) {
					t.Errorf("readValue = %q, %v, want error %v", got, err, tt.err)
				}
			case tt.text != "":
				if err == nil || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("readValue = %q, %v, want an error with %q", got, err, tt.text)
				}
			case err != nil || string(got) != tt.want:
				t.Errorf("readValue = %.100q, %v, want %.100q", got, err, tt.want)
			case len(got) > 0 && len(got) <= len(buf) && &got[0] != &buf[0]:
				t.Error("readValue did not take the buffer that it was offered")
			}
		})
	}
}

// FuzzReadValue: whatever a server answers, what is taken for a value is what it sent as one, and no more is read than the answer.
func FuzzReadValue(f *testing.F) {
	f.Add([]byte("VALUE k 0 5\r\nhello\r\nEND\r\n"), 3)
	f.Add([]byte("VALUE k 0 0\r\n\r\nEND\r\nEND\r\n"), 0)
	f.Add([]byte("END\r\n"), 10)
	f.Add([]byte("VALUE k 0 4294967296\r\n"), 1)
	f.Fuzz(func(t *testing.T, answer []byte, size int) {
		if strings.Contains(string(answer), "00000") {
			return // sizes of megabytes: nothing new, and slow
		}
		in := bufio.NewReader(bytes.NewReader(answer))
		val, err := readValue(in, "k", make([]byte, min(max(size, 0), 1000)))
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(in)
		head, _, _ := bytes.Cut(answer, []byte("\n"))
		if want := fmt.Sprintf("%s\n%s%s%s", head, val, valueEnd, rest); want != string(answer) {
			t.Errorf("readValue(%q) = %q with %q left", answer, val, rest)
		}
	})
}
