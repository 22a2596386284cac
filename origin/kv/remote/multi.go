package remote

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"origin-storm/origin/kv"
)

// maxKeys is how many keys one request may ask for; the client sends more in several.
const maxKeys = 1024

// formatKeys is the body of a request for many keys: a line each, the part and the name with a space between.
func formatKeys(keys []kv.Key) []byte {
	var b bytes.Buffer
	for _, key := range keys {
		b.WriteString(key.Part)
		b.WriteByte(' ')
		b.WriteString(key.Name)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// parseKeys is the opposite of formatKeys.
func parseKeys(body []byte) ([]kv.Key, error) {
	var keys []kv.Key
	for line := range strings.Lines(string(body)) {
		text, ended := strings.CutSuffix(line, "\n")
		part, name, ok := strings.Cut(text, " ")
		if !ended || !ok || part == "" || !isKey(part) || !isKey(name) {
			return nil, fmt.Errorf("%w: line %d, %.100q, is not a part, a space and a name", errRequest, len(keys)+1, line)
		}
		if len(keys) == maxKeys {
			return nil, fmt.Errorf("%w: more than %d keys", errRequest, maxKeys)
		}
		keys = append(keys, kv.Key{Part: part, Name: name})
	}
	return keys, nil
}

// absent stands for a value that is not there; of one that is, its length in bytes stands there, and after the line's end its bytes.
const absent = "-"

// formatValues is the body of the answer.
func formatValues(vals [][]byte) []byte {
	size := 0
	for _, val := range vals {
		size += len(val) + 12
	}
	b := make([]byte, 0, size)
	for _, val := range vals {
		if val == nil {
			b = append(b, absent+"\n"...)
			continue
		}
		b = append(strconv.AppendInt(b, int64(len(val)), 10), '\n')
		b = append(b, val...)
	}
	return b
}

// parseValues reads n values of an answer of size bytes.
func parseValues(from io.Reader, n int, size int64) ([][]byte, error) {
	vals := make([][]byte, n)
	limited := &io.LimitedReader{R: from, N: size}
	r := bufio.NewReaderSize(limited, 4<<10)
	left := func() int64 { return limited.N + int64(r.Buffered()) }
	for i := range vals {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("the answer broke off before value %d of %d: %w", i+1, n, err)
		}
		text := string(line[:len(line)-1])
		if text == absent {
			continue
		}
		length, err := strconv.ParseUint(text, 10, 31)
		if err != nil || int64(length) > left() {
			return nil, fmt.Errorf("value %d of %d has the length %.20q, with %d bytes left of the answer", i+1, n, text, left())
		}
		vals[i] = make([]byte, length)
		if _, err := io.ReadFull(r, vals[i]); err != nil {
			return nil, fmt.Errorf("the answer broke off in value %d of %d: %w", i+1, n, err)
		}
	}
	if left() > 0 {
		return nil, fmt.Errorf("%d bytes after the last value", left())
	}
	return vals, nil
}

// GetMulti implements kv.MultiGetter. Values that come to more than MaxValue together are an error that wraps kv.ErrTooLarge.
func (t *table) GetMulti(ctx context.Context, keys []kv.Key) ([][]byte, error) {
	vals := make([][]byte, 0, len(keys))
	for len(keys) > len(vals) {
		part := keys[len(vals):min(len(keys), len(vals)+maxKeys)]
		found, err := t.getMulti(ctx, part)
		if err != nil {
			return append(vals, make([][]byte, len(keys)-len(vals))...), t.wrap(fmt.Sprintf("get of %d keys from", len(part)), part[0], err)
		}
		vals = append(vals, found...)
	}
	return vals, nil
}

func (t *table) getMulti(ctx context.Context, keys []kv.Key) ([][]byte, error) {
	resp, err := t.do(ctx, http.MethodPost, kv.Key{}, 0, formatKeys(keys))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, failure(resp)
	}
	if resp.ContentLength < 0 || resp.ContentLength > MaxValue {
		return nil, fmt.Errorf("an answer of %d bytes: want 0 to %d", resp.ContentLength, MaxValue)
	}
	vals, err := parseValues(resp.Body, len(keys), resp.ContentLength)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return vals, err
}

// getMulti answers a request for many keys.
func getMulti(ctx context.Context, w http.ResponseWriter, r *http.Request, s kv.Store) {
	const most = maxKeys * (2*maxKey + 2)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		refuse(w, http.StatusBadRequest, "request", fmt.Errorf("%w: keys: %v", errRequest, err))
		return
	}
	keys, err := parseKeys(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "request", err)
		return
	}
	vals, err := kv.GetMulti(ctx, s, keys)
	if err != nil {
		fail(w, err)
		return
	}
	answer := formatValues(vals)
	if len(answer) > MaxValue {
		fail(w, fmt.Errorf("%d keys have %d bytes, at most %d travel at once; ask for fewer: %w", len(keys), len(answer), MaxValue, kv.ErrTooLarge))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	w.Write(answer) // an error means that the client has gone; it sees from the length that bytes are missing
}
