package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"origin-storm/origin/config"
	"origin-storm/origin/contract"
	"origin-storm/origin/segment"
)

// knockTime is how long an origin may take to answer anything at all.
const knockTime = 10 * time.Second

// checkFlags are the flags of `origin check`.
type checkFlags struct {
	target         contract.Target
	rows           []string
	start          string
	segment, delay time.Duration
	startNumber    int64
	mpd            bool
	user           string
	ca, cert, key  string
	json, remote   bool
}

// The secrets of `origin check`, which come from the environment alone.
const (
	envCheckPassword = "ORIGIN_STORM_PASSWORD"
	envCheckBearer   = "ORIGIN_STORM_BEARER"
)

func checkCommand() *cobra.Command {
	var f checkFlags
	c := &cobra.Command{
		Use: "check", Short: "try docs/contract.md, row by row, on an origin that is running", Args: cobra.NoArgs,
		Long: `Tries the wire contract (docs/contract.md) on a running origin, this project's or another, and prints what became of each row. It
publishes into the event it is given, so that must be one that nobody watches, and its clock must be the origin's. It takes about a minute,
because holds and deadlines are real. Rows that need what was not given (a second node, an operator's listener) are skipped.

  origin-storm origin all --event demo --renditions v1,v2,v3,v4 --publish 127.0.0.1:8081 --serve 127.0.0.1:8080
  origin-storm origin check --event demo --renditions v1,v2,v3,v4 --publish http://127.0.0.1:8081 --serve http://127.0.0.1:8080

It exits with 1 if a row is broken.`,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	s := c.Flags()
	s.SortFlags = false
	s.StringSliceVar(&f.target.Publish, "publish", nil, "base URL where packagers publish; may be repeated for several nodes")
	s.StringSliceVar(&f.target.Serve, "serve", nil, "base URL where the CDN asks; may be repeated")
	s.StringSliceVar(&f.target.Operator, "operator", nil, "base URL of an operator's listener, of a node that is a writer; its bearer token is taken from "+envOperatorBearer)
	s.StringVar(&f.target.Event, "event", "", "the event's name")
	s.StringSliceVar(&f.target.Pipelines, "pipelines", []string{"a", "b"}, "its pipelines, the preferred one first")
	s.StringSliceVar(&f.target.Renditions, "renditions", nil, "its renditions; the more, the sooner it ends")
	s.BoolVar(&f.mpd, "mpd", false, "read clock and renditions from the event's live.mpd at the first serve URL")
	s.StringVar(&f.start, "start", "1970-01-01T00:00:00Z", "the event's availability start (RFC 3339)")
	s.Int64Var(&f.startNumber, "start-number", 0, "its first number")
	s.DurationVar(&f.segment, "segment", 2*time.Second, "how long a segment lasts")
	s.DurationVar(&f.delay, "publish-delay", time.Second, "how long after its last frame a segment is due")
	s.DurationVar(&f.target.DVR, "dvr", 2*time.Hour, "how far behind the live edge segments are served")
	s.Int64Var(&f.target.MaxSegment, "max-segment", 32<<20, "the largest segment that is taken, in bytes")
	s.IntVar(&f.target.Holds, "holds", 0, "how many requests a serve node holds at most; 0: the row about it is not tried")
	s.StringVar(&f.target.Stressed, "stressed", "", "base URL of a serve node that takes its store to be under stress; none: shedding is not tried")
	s.DurationVar(&f.target.Slack, "slack", 500*time.Millisecond, "how far from its instant an answer may come")
	s.StringVar(&f.user, "user", "", "packager's user for HTTP Basic, with the password in "+envCheckPassword+"; a bearer token is taken from "+envCheckBearer)
	s.StringVar(&f.ca, "ca", "", "PEM file of the authorities to trust")
	s.StringVar(&f.cert, "cert", "", "PEM file of the client certificate")
	s.StringVar(&f.key, "key", "", "PEM file of its key")
	s.StringSliceVar(&f.rows, "rows", nil, "try these rows only, such as S9,C3")
	s.BoolVar(&f.json, "json", false, "print the results as JSON")
	s.BoolVar(&f.remote, "allow-remote", false, "permit an origin that is not on this machine")
	return c
}

// run tries the contract and prints the results.
func (f *checkFlags) run(c *cobra.Command) error {
	t := &f.target
	urls := slices.Concat(t.Publish, t.Serve, t.Operator)
	if t.Stressed != "" {
		urls = append(urls, t.Stressed)
	}
	for _, url := range urls {
		if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
			return usage{fmt.Errorf("%q is no base URL; give one such as http://127.0.0.1:8080", url)}
		}
		if strings.Contains(url, "@") { // not shown, and results name their URLs
			return usage{errors.New("a URL has credentials in it; give --user, or a bearer token in the environment")}
		}
		if !f.remote && !config.Loopback(url) {
			return usage{fmt.Errorf("%s is not on this machine: --allow-remote permits it, if its owner does", url)}
		}
	}
	for _, urls := range [][]string{t.Publish, t.Serve, t.Operator} {
		for i := range urls {
			urls[i] = strings.TrimSuffix(urls[i], "/")
		}
	}
	t.Stressed = strings.TrimSuffix(t.Stressed, "/")
	start, err := time.Parse(time.RFC3339Nano, f.start)
	if err != nil {
		return usage{fmt.Errorf("--start: %w", err)}
	}
	t.Template = segment.Template{Start: start, StartNumber: f.startNumber, Ticks: f.segment.Nanoseconds() / 100, Timescale: 10_000_000, PublishDelay: f.delay}
	cases := contract.Cases()
	for _, row := range f.rows {
		if !slices.ContainsFunc(cases, func(c contract.Case) bool { return c.Row == row }) {
			return usage{fmt.Errorf("--rows: docs/contract.md has no row %q that can be tried", row)}
		}
	}
	if len(f.rows) > 0 {
		cases = slices.DeleteFunc(cases, func(c contract.Case) bool { return !slices.Contains(f.rows, c.Row) })
	}
	if err := f.access(); err != nil {
		return usage{err}
	}
	if len(t.Publish) == 0 || len(t.Serve) == 0 {
		return usage{errors.New("give --publish and --serve, the base URLs of an origin that is running")}
	}
	for _, url := range urls {
		if err := f.knock(c.Context(), url); err != nil {
			return err
		}
	}
	if f.mpd {
		if err := f.readMPD(c.Context()); err != nil {
			return err
		}
	}
	results, err := contract.Run(c.Context(), *t, cases)
	if err != nil {
		return usage{err}
	}
	return printResults(c.OutOrStdout(), results, f.json)
}

// access gives the target its client and its credentials.
func (f *checkFlags) access() error {
	t := &f.target
	user, password, bearer := f.user, os.Getenv(envCheckPassword), os.Getenv(envCheckBearer)
	switch {
	case user != "":
		t.Authorize = func(r *http.Request) { r.SetBasicAuth(user, password) }
	case bearer != "":
		t.Authorize = func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+bearer) }
	}
	if token := os.Getenv(envOperatorBearer); token != "" {
		t.AuthorizeOperator = func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	secure := &tls.Config{}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return fmt.Errorf("--ca: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("--ca: %s holds no certificate in PEM", f.ca)
		}
	}
	if f.cert != "" || f.key != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return fmt.Errorf("--cert, --key: %w", err)
		}
		secure.Certificates = []tls.Certificate{pair}
	}
	t.Client = &http.Client{
		Transport:     &http.Transport{TLSClientConfig: secure, MaxIdleConnsPerHost: 100, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// knock finds out whether anybody answers at url, whatever the answer: of an origin that is down every row would be broken.
func (f *checkFlags) knock(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, knockTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/", nil)
	if err != nil {
		return usage{err}
	}
	res, err := f.target.Client.Do(req)
	if err != nil {
		return fmt.Errorf("nothing was tried, for nobody answers at %s: %w", url, err)
	}
	return res.Body.Close()
}

// readMPD takes the template, and the renditions unless they were given, from the event's MPD.
func (f *checkFlags) readMPD(ctx context.Context) error {
	t := &f.target
	url := t.Serve[0] + "/" + t.Event + "/live.mpd"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usage{err}
	}
	res, err := t.Client.Do(req)
	if err != nil {
		return fmt.Errorf("--mpd: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("--mpd: GET %s: %s; give --start, --start-number, --segment and --renditions instead", url, res.Status)
	}
	doc, err := contract.ReadMPD(res.Body)
	if err != nil {
		return fmt.Errorf("--mpd: %s: %w", url, err)
	}
	t.Template = doc.Template
	if len(t.Renditions) == 0 {
		t.Renditions = doc.Renditions
	}
	return nil
}

// broken is that an origin does not keep the contract.
type broken struct{ rows []string }

func (b broken) Error() string {
	return "the origin breaks docs/contract.md in " + strings.Join(b.rows, ", ") +
		"; if its clock is not the one that was given, say so by --start, --start-number, --segment and --publish-delay, or by --mpd"
}

// printResults writes a line per row and the findings under it, or JSON, and returns broken unless every row that was tried
// is kept.
func printResults(w io.Writer, results []contract.Result, asJSON bool) error {
	var bad broken
	skipped := 0
	for _, r := range results {
		if len(r.Findings) > 0 {
			bad.rows = append(bad.rows, r.Row)
		}
		if r.Skipped != "" {
			skipped++
		}
	}
	var err error
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		err = enc.Encode(results)
	} else {
		var b strings.Builder
		for _, r := range results {
			switch {
			case r.Skipped != "":
				fmt.Fprintf(&b, "skip %-4s %s\n            %s\n", r.Row, r.Says, r.Skipped)
			case r.Passed():
				fmt.Fprintf(&b, "ok   %-4s %s\n", r.Row, r.Says)
			default:
				fmt.Fprintf(&b, "FAIL %-4s %s\n", r.Row, r.Says)
				for _, f := range r.Findings {
					fmt.Fprintf(&b, "            %v\n", f)
				}
			}
		}
		fmt.Fprintf(&b, "%d rows: %d kept, %d broken, %d skipped\n", len(results), len(results)-len(bad.rows)-skipped, len(bad.rows), skipped)
		_, err = io.WriteString(w, b.String())
	}
	if err == nil && len(bad.rows) > 0 {
		err = bad
	}
	return err
}
