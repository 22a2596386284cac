// Package s3 keeps values as objects of an S3-compatible store, one object for each value. It asks for nothing that a plain
// S3-like server does not have: single PUTs, GET, HEAD, DELETE and listing. It neither retries nor hedges, and reads or writes
// nothing outside its bucket and prefix.
package s3

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"origin-storm/origin/kv"
)

// Config says where a bucket is and how to reach it. URL and Bucket are needed.
type Config struct {
	URL       string // http://host:port or https://host
	Bucket    string // made if it is missing
	Prefix    string // begins every object's key, without slashes at its ends; empty means origin-storm
	AccessKey string // empty: requests are not signed
	SecretKey string
	Region    string // empty: us-east-1, or at AWS what AWS says

	// AllowRemote permits a URL that is not on loopback.
	AllowRemote bool
	// Timeout bounds each operation beside its context; 0 means 10 s.
	Timeout time.Duration

	Log *slog.Logger // what the sweeper could not remove; nil discards
}

// DB is a prefix in a bucket. Its methods are safe for concurrent use.
type DB struct {
	cfg     Config
	client  minio.Core
	http    *http.Transport
	made    bool // the bucket was made by Open
	sweeper *sweeper
}

// Open connects to an object store and makes the bucket if it is missing. Where nothing answers it fails within ten seconds.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg.Prefix = cmp.Or(strings.Trim(cfg.Prefix, "/"), "origin-storm")
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("s3: URL %q: use http://host:port or https://host", cfg.URL)
	}
	local := loopback(u.Hostname())
	if !local && !cfg.AllowRemote {
		return nil, fmt.Errorf("s3: %s is not on loopback, and remote stores are not allowed (--allow-remote)", cfg.URL)
	}
	if len(cfg.Prefix) > 200 {
		return nil, fmt.Errorf("s3: prefix of %d bytes: use up to 200", len(cfg.Prefix))
	}
	amazon := strings.HasSuffix(u.Hostname(), ".amazonaws.com")
	region, lookup := cfg.Region, minio.BucketLookupPath
	if amazon {
		lookup = minio.BucketLookupAuto
	} else {
		region = cmp.Or(region, "us-east-1") // else the client asks for it
	}
	transport := newTransport()
	client, err := minio.NewCore(u.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""),
		Secure:       u.Scheme == "https",
		Transport:    &marker{to: transport, local: local},
		Region:       region,
		BucketLookup: lookup,
		MaxRetries:   1, // that is: none. They are kv.Retry's job
	})
	if err != nil {
		return nil, fmt.Errorf("s3: %s: %w", cfg.URL, err)
	}
	db := &DB{cfg: cfg, client: *client, http: transport}
	if err := db.makeBucket(ctx); err != nil {
		return nil, err
	}
	db.sweeper = newSweeper(db.expire, cfg.Log)
	return db, nil
}

// loopback reports whether host is this machine by its own loopback.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// newTransport returns a client's connections: as many as there are operations at a time, kept open between the storms.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 3 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      64 << 10,
		DisableCompression:  true,
	}
}

// Headers that tell the in-process server (package fakes3) what an operation is a part of. Other servers are not sent them.
const (
	AttemptHeader = "X-Origin-Storm-Attempt" // kv.Attempt
	BeganHeader   = "X-Origin-Storm-Began"   // kv.Began, in nanoseconds of Unix time
)

// marker adds the headers for the in-process server to requests.
type marker struct {
	to    *http.Transport
	local bool
}

// RoundTrip implements http.RoundTripper.
func (m *marker) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.local {
		if n := kv.Attempt(r.Context()); n > 0 {
			r.Header.Set(AttemptHeader, strconv.Itoa(n))
		}
		if t := kv.Began(r.Context()); !t.IsZero() {
			r.Header.Set(BeganHeader, strconv.FormatInt(t.UnixNano(), 10))
		}
	}
	return m.to.RoundTrip(r)
}

func (db *DB) makeBucket(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	there, err := db.client.BucketExists(ctx, db.cfg.Bucket)
	if err == nil && !there {
		err = db.client.MakeBucket(ctx, db.cfg.Bucket, minio.MakeBucketOptions{Region: db.cfg.Region})
		db.made = err == nil
		if err != nil { // another process may have made it just now
			if there, again := db.client.BucketExists(ctx, db.cfg.Bucket); again == nil && there {
				err = nil
			}
		}
	}
	if err != nil {
		return fmt.Errorf("s3: bucket %s at %s: %w (check the address, the name and the access key)", db.cfg.Bucket, db.cfg.URL, translate(ctx, err))
	}
	return nil
}

// Close stops the removal of what has expired, waits for what is being removed, and closes idle connections. What has not
// expired yet stays.
func (db *DB) Close() error {
	db.sweeper.close()
	db.http.CloseIdleConnections()
	return nil
}

// Table returns the store whose objects are named prefix/table/…. It panics if name is empty or not of letters, digits, - and _.
func (db *DB) Table(name string) kv.Store {
	if name == "" || escape(name) != name || strings.Contains(name, ".") {
		panic(fmt.Sprintf("s3: table %q: use letters, digits, - and _", name))
	}
	return &Store{db: db, table: name}
}

// Store is one table.
type Store struct {
	db    *DB
	table string
}

var _ kv.Store = (*Store)(nil)

// User metadata of an object: when it expires, in milliseconds of Unix time, and the CRC-32C of its bytes.
const (
	expiresMeta = "Storm-Expires"
	sumMeta     = "Storm-Crc32c"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maxValue is what S3 takes in one PUT.
const maxValue = 5 << 30

// Put implements kv.Store.
func (s *Store) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	if len(val) > maxValue {
		return fmt.Errorf("s3: put %v: %d bytes, limit %d: %w", key, len(val), maxValue, kv.ErrTooLarge)
	}
	db := s.db
	object := objectName(db.cfg.Prefix, s.table, key)
	within, cancel := context.WithTimeout(ctx, db.cfg.Timeout)
	defer cancel()
	// From here until it is told the new expiry, the sweeper leaves the object alone.
	if err := db.sweeper.hold(within, object); err != nil {
		return fmt.Errorf("s3: put %v: %w", key, err)
	}
	expires := time.Now().Add(keep)
	defer func() { db.sweeper.release(object, expires) }() // after an error too: it may be there
	_, err := db.client.PutObject(within, db.cfg.Bucket, object, bytes.NewReader(val), int64(len(val)), "", "", minio.PutObjectOptions{
		ContentType: "application/octet-stream",
		UserMetadata: map[string]string{
			expiresMeta: strconv.FormatInt(expires.UnixMilli()+1, 10),
			sumMeta:     strconv.FormatUint(uint64(crc32.Checksum(val, castagnoli)), 16),
		},
		DisableContentSha256: true, // the bytes have their checksum; hashing them once more costs milliseconds
		DisableMultipart:     true,
	})
	if err != nil {
		return fmt.Errorf("s3: put %v: %w", key, db.translate(ctx, within, err))
	}
	return nil
}

// Get implements kv.Store. A body that is cut short or not what was put is an error.
func (s *Store) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	db := s.db
	within, cancel := context.WithTimeout(ctx, db.cfg.Timeout)
	defer cancel()
	body, info, _, err := db.client.GetObject(within, db.cfg.Bucket, objectName(db.cfg.Prefix, s.table, key), minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("s3: get %v: %w", key, db.translate(ctx, within, err))
	}
	defer body.Close()
	expires, err := expiry(info)
	if err != nil {
		return nil, fmt.Errorf("s3: get %v: %w", key, err)
	}
	if !time.Now().Before(expires) {
		return nil, fmt.Errorf("s3: get %v: expired: %w", key, kv.ErrNotFound)
	}
	if info.Size < 0 || info.Size > maxValue {
		return nil, fmt.Errorf("s3: get %v: the server says that the object has %d bytes", key, info.Size)
	}
	val := make([]byte, info.Size)
	if _, err := io.ReadFull(body, val); err != nil {
		return nil, fmt.Errorf("s3: get %v: body of %d bytes: %w", key, info.Size, db.translate(ctx, within, err))
	}
	if sum, err := strconv.ParseUint(info.UserMetadata[sumMeta], 16, 32); err != nil || uint32(sum) != crc32.Checksum(val, castagnoli) {
		return nil, fmt.Errorf("s3: get %v: the %d bytes read do not match the checksum %q they were put with", key, len(val), info.UserMetadata[sumMeta])
	}
	return val, nil
}

// expiry reads when an object expires.
func expiry(info minio.ObjectInfo) (time.Time, error) {
	ms, err := strconv.ParseInt(info.UserMetadata[expiresMeta], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("object %s was not put by origin-storm: its metadata %s is %q", info.Key, expiresMeta, info.UserMetadata[expiresMeta])
	}
	return time.UnixMilli(ms), nil
}

// expire removes an object if it has expired, whoever put it last, and returns when it will if not.
func (db *DB) expire(ctx context.Context, object string) (again time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, db.cfg.Timeout)
	defer cancel()
	info, err := db.client.StatObject(ctx, db.cfg.Bucket, object, minio.StatObjectOptions{})
	if err != nil {
		if err = translate(ctx, err); errors.Is(err, kv.ErrNotFound) {
			return time.Time{}, nil
		}
		return time.Time{}, err
	}
	expires, err := expiry(info)
	if err != nil {
		return time.Time{}, err
	}
	if time.Now().Before(expires) {
		return expires, nil
	}
	err = db.client.RemoveObject(ctx, db.cfg.Bucket, object, minio.RemoveObjectOptions{})
	return time.Time{}, translate(ctx, err)
}

// Drop removes every object under the prefix, and the bucket if Open made it, and closes db.
func (db *DB) Drop(ctx context.Context) error {
	db.Close()
	for o := range db.client.ListObjectsIter(ctx, db.cfg.Bucket, minio.ListObjectsOptions{Prefix: db.cfg.Prefix + "/", Recursive: true}) {
		err := o.Err
		if err == nil {
			err = db.client.RemoveObject(ctx, db.cfg.Bucket, o.Key, minio.RemoveObjectOptions{})
		}
		if err != nil {
			return fmt.Errorf("s3: drop %s/%s: %w", db.cfg.Bucket, db.cfg.Prefix, translate(ctx, err))
		}
	}
	if db.made {
		if err := db.client.RemoveBucket(ctx, db.cfg.Bucket); err != nil {
			return fmt.Errorf("s3: drop bucket %s: %w", db.cfg.Bucket, translate(ctx, err))
		}
	}
	return nil
}

// translate is the function of that name, which tells a context that has ended from the store's own time limit.
func (db *DB) translate(ctx, within context.Context, err error) error {
	if ctx.Err() == nil && within.Err() != nil {
		return fmt.Errorf("no answer within %v: %v", db.cfg.Timeout, err)
	}
	return translate(ctx, err)
}

// translate gives an S3 error the meaning that kv's callers branch on.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	answer := minio.ToErrorResponse(err)
	means := func(sentinel error) error { return fmt.Errorf("%w: %s: %w", sentinel, answer.Code, err) }
	switch answer.Code {
	case "NoSuchKey":
		return means(kv.ErrNotFound)
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "TooManyRequests", "RequestLimitExceeded":
		return means(kv.ErrThrottled)
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccountProblem", "AllAccessDisabled", "ExpiredToken", "InvalidToken":
		return means(kv.ErrDenied)
	case "EntityTooLarge":
		return means(kv.ErrTooLarge)
	case "XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded":
		return means(kv.ErrFull)
	}
	switch answer.StatusCode {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return means(kv.ErrThrottled)
	case http.StatusForbidden, http.StatusUnauthorized:
		return means(kv.ErrDenied)
	case http.StatusInsufficientStorage:
		return means(kv.ErrFull)
	}
	return err
}
