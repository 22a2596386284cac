package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"origin-storm/origin/document"
	"origin-storm/origin/segment"
)

// What is beyond these was not meant, and would overflow what is reckoned from it: ten years, 1 TiB.
const (
	maxDVR   = 10 * 365 * 24 * time.Hour
	maxBytes = 1 << 40
)

// maxFile bounds a node's file: a thousand events take about a third of it.
const maxFile = 1 << 20

// Read puts what file says into n, and leaves what it does not mention; the result is not checked yet, because flags may follow.
// Unknown fields are errors that name file, line and what may have been meant.
func Read(file string, n *Node) error {
	b, err := document.Read(file, maxFile)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if err := decode(b, n); err != nil {
		return fmt.Errorf("config: %s: %w", file, err)
	}
	return nil
}

// Parse returns the node that b describes, checked.
func Parse(b []byte) (Node, error) {
	var n Node
	if err := decode(b, &n); err != nil {
		return Node{}, err
	}
	return n, n.Validate()
}

func decode(b []byte, n *Node) (err error) {
	defer func() { // the YAML library panics on some malformed documents, such as a tag where a list belongs
		if v := recover(); v != nil {
			err = fmt.Errorf("the file is not well-formed YAML: %v", v)
		}
	}()
	if err := document.CheckDepth(b); err != nil {
		return err
	}
	documents := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict())
	switch err = documents.Decode(n); {
	case errors.Is(err, io.EOF): // an empty file says nothing
		return nil
	case err == nil:
		if !errors.Is(documents.Decode(new(any)), io.EOF) {
			return errors.New("a second document (after ---): a file describes one node")
		}
		return nil
	}
	text := secretField.ReplaceAllString(yaml.FormatError(err, false, true), "$1 "+hidden)
	if unknown, ok := errors.AsType[*yaml.UnknownFieldError](err); ok && unknown.Token != nil {
		if near := Nearest(unknown.Token.Value, fieldNames(reflect.TypeFor[Node]())); near != "" {
			text = fmt.Sprintf("did you mean %q? %s", near, text)
		}
	}
	return errors.New(text)
}

// secretField is a field that may have a secret in it, in an excerpt of a file.
var secretField = regexp.MustCompile(`((?:secret|password|bearer)["']?:)[^\n]*`)

// fieldNames returns the names of all fields in a tree of structs as they are in files.
func fieldNames(t reflect.Type) (names []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" && name != "-" {
			names = append(names, name)
			names = append(names, fieldNames(f.Type)...)
		}
	}
	return names
}

// Nearest returns the one of names that was most likely meant by got, or "".
func Nearest(got string, names []string) string {
	best, least := "", len(got)/3+2 // a name that is further off was not meant
	for _, n := range names {
		if d := distance(strings.ToLower(got), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is Levenshtein's, bounded by cutting what is far longer than any name.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			before, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, before+change)
		}
	}
	return row[len(b)]
}

// Marshal is the inverse of Parse.
func (n Node) Marshal() ([]byte, error) { return yaml.Marshal(n) }

// Identity is the node's name, or "origin" where it has none.
func (n Node) Identity() string { return cmp.Or(n.Name, "origin") }

// Validate returns what is wrong with n, naming the field, or nil.
func (n Node) Validate() error {
	var errs []error
	bad := func(field, format string, a ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, a...)))
	}
	switch n.Role {
	case Publish, Serve, All:
		if len(n.Events) == 0 {
			bad("events", "a %s node needs at least one event: give --event and --renditions, or --config", n.Role)
		}
	case Store:
		if len(n.Host.Stores) == 0 && n.Host.S3 == nil {
			bad("host", "a store node needs a store or an S3 server to host")
		}
	default:
		bad("role", "%q is not a role; use publish, serve, store or all", n.Role)
	}
	for field, addr := range map[string]string{"publish": n.Publish, "serve": n.Serve, "operator": n.Operator, "host.listen": n.Host.Listen} {
		if addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			bad(field, "%v; give host:port", err)
		}
	}
	if (n.TLSCert == "") != (n.TLSKey == "") {
		bad("tls-cert", "give tls-cert and tls-key together")
	}
	if n.ClientCA != "" && n.TLSCert == "" {
		bad("client-ca", "client certificates need TLS: give tls-cert and tls-key, too")
	}
	n.validateAccess(bad)
	n.Limits.Publish.validate("limits.publish", bad)
	n.Limits.Serve.validate("limits.serve", bad)
	n.Limits.Operator.validate("limits.operator", bad)
	n.Log.validate(bad)
	if n.DrainDelay < 0 || n.DrainTime < 0 {
		bad("drain-delay, drain-time", "drain-delay and drain-time must not be negative")
	}
	for i, w := range n.Writers {
		if err := segment.CheckName(w); err != nil {
			bad(fmt.Sprintf("writers[%d]", i), "%v", err)
		}
	}
	if err := segment.CheckName(n.Identity()); err != nil {
		bad("name", "%v", err)
	}
	if n.Region != "" { // it goes into headers
		if err := segment.CheckName(n.Region); err != nil {
			bad("region", "%v", err)
		}
	}
	if len(n.Writers) > 0 && (n.Role == Publish || n.Role == All) && !slices.Contains(n.Writers, n.Identity()) {
		bad("writers", "a publishing node is a writer: add its name, %q, here and on the other nodes", n.Identity())
	}
	if n.Publishing.Prefix != "" {
		for i, part := range strings.Split(n.Publishing.Prefix, "/") {
			if err := segment.CheckName(part); (part == "") != (i == 0) || i > 0 && err != nil {
				bad("publishing.prefix", "%q is not a path such as /ingest", n.Publishing.Prefix)
				break
			}
		}
	}
	names := map[string]bool{}
	for i, e := range n.Events {
		at := fmt.Sprintf("events[%d]", i)
		if err := segment.CheckName(e.Name); err != nil {
			bad(at+".name", "%v", err)
		}
		if names[e.Name] {
			bad(at+".name", "%q is there twice", e.Name)
		}
		names[e.Name] = true
		renditions := make([]string, len(e.Renditions))
		for j, r := range e.Renditions {
			renditions[j] = r.Name
			r.validate(fmt.Sprintf("%s.renditions[%d]", at, j), bad)
		}
		for field, list := range map[string][]string{"pipelines": e.Pipelines, "renditions": renditions} {
			if len(list) == 0 {
				bad(at+"."+field, "at least one is needed")
			}
			for j, name := range list {
				if err := segment.CheckName(name); err != nil {
					bad(fmt.Sprintf("%s.%s[%d]", at, field, j), "%v", err)
				}
				if slices.Contains(list[:j], name) {
					bad(fmt.Sprintf("%s.%s[%d]", at, field, j), "%q is there twice", name)
				}
			}
		}
		if err := e.Template.Validate(); err != nil {
			bad(at+".template", "%v", err)
		}
		if e.DVR < 0 || e.DVR > maxDVR {
			bad(at+".dvr", "%v: must be 0 to %v", e.DVR, maxDVR)
		}
		if e.MaxSegment < 0 || e.MaxSegment > maxBytes {
			bad(at+".max-segment", "%d bytes: must be 0 to %d", e.MaxSegment, int64(maxBytes))
		}
	}
	if n.Role != Store {
		n.Backend.Store.validate("backend.store", n.AllowRemote, bad)
		for i, z := range n.Backend.Zones {
			z.validate(fmt.Sprintf("backend.zones[%d]", i), n.AllowRemote, bad)
		}
	}
	if r := n.Backend.MissRatio; !(r >= 0 && r <= 1) {
		bad("backend.miss-ratio", "%v is not between 0 and 1", r)
	}
	if n.Serving.Hot < 0 || n.Serving.Holds < 0 || n.Serving.HoldTime < 0 || n.Serving.Memory < 0 || n.Serving.SlowestReader < 0 {
		bad("serving", "hot, holds, hold-time, memory and slowest-reader must not be negative")
	}
	if n.Serving.Hot > maxBytes || n.Serving.Memory > maxBytes {
		bad("serving", "hot and memory must be at most %d bytes", int64(maxBytes))
	}
	if n.Publishing.Memory < 0 || n.Publishing.Memory > maxBytes {
		bad("publishing.memory", "%d bytes: must be 0 to %d", n.Publishing.Memory, int64(maxBytes))
	}
	if s := n.Serving.Stress; s.Target > 0 && s.Maximum > 0 && s.Target > s.Maximum {
		bad("serving.stress", "target %v is above maximum %v", s.Target, s.Maximum)
	}
	if s := n.Serving.Stress; min(s.Target, s.PerMiB, s.Maximum, s.Window) < 0 || s.Samples < 0 {
		bad("serving.stress", "only shed may be negative")
	} else if !(s.Shed <= 1 && s.ShedLiveEdge >= 0 && s.ShedLiveEdge <= 1) {
		bad("serving.stress", "shed %v and shed-live-edge %v are shares, 0 to 1", s.Shed, s.ShedLiveEdge)
	}
	for i, h := range n.Host.Stores {
		at := fmt.Sprintf("host.stores[%d]", i)
		if err := segment.CheckName(h.Name); err != nil {
			bad(at+".name", "%v", err)
		}
		if h.Store.Kind != "mem" && h.Store.Kind != "pebble" {
			bad(at+".store.kind", "%q cannot be hosted; use mem or pebble", h.Store.Kind)
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// validateAccess checks credentials, and that nothing which writes is open to other machines unless that is meant.
func (n *Node) validateAccess(bad func(field, format string, a ...any)) {
	for i, c := range n.Access.Publish {
		c.validate(fmt.Sprintf("access.publish[%d]", i), n, bad)
	}
	for i, c := range n.Access.Operator {
		at := fmt.Sprintf("access.operator[%d]", i)
		c.validate(at, n, bad)
		if len(c.Events)+len(c.Pipelines) > 0 {
			bad(at, "an operator's credential is for all events")
		}
	}
	open := func(field, addr string, credentials []Credential) {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return // that it is no address is said already
		}
		if len(credentials) == 0 && !n.Insecure && !Loopback(addr) {
			bad(field, "%s can be reached from other machines and access.%s names no credentials; name some, or set insecure (--insecure) if that is meant", addr, field)
		}
	}
	if n.Role == Publish || n.Role == All {
		open("publish", n.Publish, n.Access.Publish)
	}
	if n.Role != Store {
		open("operator", n.Operator, n.Access.Operator)
		return
	}
	hosted := map[string]string{"host.listen": n.Host.Listen}
	if n.Host.S3 != nil {
		hosted["host.s3.listen"] = n.Host.S3.Listen
	}
	if n.Host.Faults != "" && !Loopback(n.Host.Faults) {
		bad("host.faults", "%s can be reached from other machines; faults are for rehearsals on this one", n.Host.Faults)
	}
	for field, addr := range hosted {
		if addr != "" && !n.Insecure && !Loopback(addr) {
			bad(field, "%s can be reached from other machines, and a hosted store knows no credentials; set insecure (--insecure) if that is meant", addr)
		}
	}
}

func (s StoreAt) validate(field string, remote bool, bad func(field, format string, a ...any)) {
	switch s.Kind {
	case "mem":
	case "pebble":
		if s.Dir == "" {
			bad(field+".dir", "pebble needs a directory")
		}
	case "s3", "cassandra", "memcached", "remote":
		if len(s.Addresses) == 0 {
			bad(field+".addresses", "%s needs an address", s.Kind)
		}
		if s.Namespace == "" {
			bad(field+".namespace", "%s needs a namespace, so that nothing else is ever touched", s.Kind)
		}
	default:
		bad(field+".kind", "%q is not a store; use mem, pebble, s3, cassandra, memcached or remote", s.Kind)
	}
	for i, a := range s.Addresses {
		if scheme, _, ok := strings.Cut(a, "://"); ok && strings.Contains(a, "@") { // not shown: it is a secret
			bad(fmt.Sprintf("%s.addresses[%d]", field, i), "credentials do not go into an address: give %s://HOST, and user and secret beside it", scheme)
			continue
		}
		if !remote && !Loopback(a) {
			bad(field+".addresses", "%s is not on loopback; set allow-remote (--allow-remote) if that is meant", a)
		}
	}
}

// Loopback reports whether address (host, host:port or a URL) names this machine only.
func Loopback(address string) bool {
	host := address
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host = u.Host
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
