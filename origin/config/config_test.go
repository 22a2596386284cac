package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
)

func renditions() []config.Rendition {
	return []config.Rendition{
		{Name: "v1"},
		{
			Name: "v2", Kind: config.Video, Bandwidth: 5_000_000, Codecs: "avc1.64001f", Width: 1280, Height: 720, FrameRate: "60000/1001", Timescale: 60000,
		},
		{Name: "a1", Kind: config.Audio, SampleRate: 48000, Channels: 2, Language: "en"},
	}
}

func node() config.Node {
	return config.Node{
		Role: config.Serve, Name: "serve-1", Serve: "127.0.0.1:0", Operator: "127.0.0.1:0",
		Writers: []string{"publish-1", "publish-2"},
		Events: []config.Event{{
			Name: "event", Pipelines: []string{"a", "b"}, Renditions: renditions(), DVR: time.Hour,
			Template: segment.Template{Start: time.Unix(1_700_000_000, 0).UTC(), StartNumber: 1, Ticks: 120120, Timescale: 60000, PublishDelay: time.Second},
		}},
		Backend: config.Backend{
			Name: "remote+cache", Store: config.StoreAt{Kind: "remote", Addresses: []string{"127.0.0.1:1"}, Namespace: "n"},
			Zones: []config.StoreAt{{Kind: "memcached", Addresses: []string{"[::1]:2"}, Namespace: "n"}}, MissRatio: 0.5, HedgeAfter: -1,
		},
		Serving: config.Serving{Hot: 1 << 20, Collapse: true},
	}
}

func TestRoundTrip(t *testing.T) {
	b, err := node().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var got config.Node
	if err := config.Read(file, &got); err != nil || !reflect.DeepEqual(got, node()) {
		t.Errorf("Read of what Marshal wrote = %v, %+v, want %+v", err, got, node())
	}
}

// A rendition of which only the name is known is written as that name, and both forms are read.
func TestRendition(t *testing.T) {
	const doc = "role: store\nhost: {listen: '127.0.0.1:0', stores: [{name: x, store: {kind: mem}}]}\n" +
		"events: [{name: ev, pipelines: [a], renditions: [v1, {name: v2, bandwidth: 3000}]}]\n"
	n, err := config.Parse([]byte(doc))
	want := []config.Rendition{{Name: "v1"}, {Name: "v2", Bandwidth: 3000}}
	if err != nil || !slices.Equal(n.Events[0].Renditions, want) {
		t.Fatalf("Parse(%q) = %+v, %v, want renditions %+v", doc, n.Events, err, want)
	}
	b, err := n.Marshal()
	if err != nil || !strings.Contains(string(b), "- v1\n") {
		t.Errorf("Marshal() = %s, %v, want the first rendition as a name alone", b, err)
	}
	wrong := strings.Replace(doc, "bandwidth", "bandwith", 1)
	if _, err := config.Parse([]byte(wrong)); err == nil || !strings.Contains(err.Error(), "bandwith") || !strings.Contains(err.Error(), "[3:") {
		t.Errorf("Parse with an unknown field in a rendition: %v, want an error that names the field and the line", err)
	}
}

// What the YAML library takes without a word and was not meant is refused.
func TestParseStrictly(t *testing.T) {
	const doc = "role: serve\nevents:\n  - {name: e, pipelines: [a], renditions: [v], template: {start: %s}}\nbackend: {store: {kind: mem}}\n%s"
	for name, c := range map[string]struct{ start, rest, want string }{
		"as it is":          {"2026-01-31T20:00:00Z", "", ""},
		"no start":          {"0001-01-01T00:00:00Z", "", ""},
		"start is a word":   {"yesterday", "", `start: "yesterday" is not a time`},
		"start in no form":  {"31.1.2026", "", `start: "31.1.2026" is not a time`},
		"a second document": {"2026-01-31T20:00:00Z", "---\nrole: publish\n", "a file describes one node"},
		"a second, broken":  {"2026-01-31T20:00:00Z", "---\n[", "sequence end token"},
		"an end":            {"2026-01-31T20:00:00Z", "...\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			switch _, err := config.Parse(fmt.Appendf(nil, doc, c.start, c.rest)); {
			case c.want == "" && err != nil:
				t.Errorf("Parse() = %v, want nil", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("Parse() = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Node)
		want   string // part of the error; empty for none
	}{
		"as it is":            {func(*config.Node) {}, ""},
		"no role":             {func(n *config.Node) { n.Role = "" }, `role: "" is not a role`},
		"no events":           {func(n *config.Node) { n.Events = nil }, "events: a serve node needs at least one event"},
		"event's name":        {func(n *config.Node) { n.Events[0].Name = "../x" }, "events[0].name"},
		"event twice":         {func(n *config.Node) { n.Events = append(n.Events, n.Events[0]) }, "events[1].name"},
		"pipeline twice":      {func(n *config.Node) { n.Events[0].Pipelines = []string{"a", "a"} }, "events[0].pipelines[1]"},
		"no rendition":        {func(n *config.Node) { n.Events[0].Renditions = nil }, "events[0].renditions"},
		"rendition twice":     {func(n *config.Node) { n.Events[0].Renditions = config.Renditions("v", "v") }, "events[0].renditions[1]"},
		"rendition's name":    {func(n *config.Node) { n.Events[0].Renditions[0].Name = "a/b" }, "events[0].renditions[0]"},
		"rendition's kind":    {func(n *config.Node) { n.Events[0].Renditions[0].Kind = "smell" }, "events[0].renditions[0].kind"},
		"negative height":     {func(n *config.Node) { n.Events[0].Renditions[1].Height = -1 }, "events[0].renditions[1]"},
		"codecs":              {func(n *config.Node) { n.Events[0].Renditions[1].Codecs = "avc1\"\n#EXT" }, "events[0].renditions[1].codecs"},
		"frame rate":          {func(n *config.Node) { n.Events[0].Renditions[1].FrameRate = "59.94" }, "events[0].renditions[1].frame-rate"},
		"language":            {func(n *config.Node) { n.Events[0].Renditions[2].Language = "English language" }, "events[0].renditions[2].language"},
		"times, no timescale": {func(n *config.Node) { n.Events[0].Renditions[0].TimeNames = true }, "events[0].renditions[0].time-names"},
		"prefix without /":    {func(n *config.Node) { n.Publishing.Prefix = "ingest" }, "publishing.prefix"},
		"prefix that ends":    {func(n *config.Node) { n.Publishing.Prefix = "/ingest/" }, "publishing.prefix"},
		"prefix upwards":      {func(n *config.Node) { n.Publishing.Prefix = "/.." }, "publishing.prefix"},
		"template":            {func(n *config.Node) { n.Events[0].Template.Ticks = -1 }, "events[0].template"},
		"address":             {func(n *config.Node) { n.Serve = "here" }, "serve: "},
		"half a TLS pair":     {func(n *config.Node) { n.TLSCert = "cert.pem" }, "tls-cert"},
		"store's kind":        {func(n *config.Node) { n.Backend.Store.Kind = "redis" }, "backend.store.kind"},
		"no namespace":        {func(n *config.Node) { n.Backend.Store.Namespace = "" }, "backend.store.namespace"},
		"store elsewhere":     {func(n *config.Node) { n.Backend.Store.Addresses = []string{"192.0.2.1:9042"} }, "192.0.2.1:9042 is not on loopback"},
		"zone elsewhere":      {func(n *config.Node) { n.Backend.Zones[0].Addresses = []string{"example.org:1"} }, "backend.zones[0].addresses"},
		"allowed elsewhere":   {func(n *config.Node) { n.AllowRemote, n.Backend.Store.Addresses = true, []string{"192.0.2.1:9042"} }, ""},
		"miss ratio":          {func(n *config.Node) { n.Backend.MissRatio = 1.5 }, "backend.miss-ratio"},
		"hold time":           {func(n *config.Node) { n.Serving.HoldTime = -1 }, "serving: hot, holds, hold-time, memory and slowest-reader"},
		"stress":              {func(n *config.Node) { n.Serving.Stress = config.Stress{Target: 1, Shed: -1, ShedLiveEdge: 0.9} }, ""},
		"stress target":       {func(n *config.Node) { n.Serving.Stress.Target = -1 }, "serving.stress: only shed"},
		"stress share":        {func(n *config.Node) { n.Serving.Stress.Shed = 40 }, "serving.stress: shed 40"},
		"live edge share":     {func(n *config.Node) { n.Serving.Stress.ShedLiveEdge = -1 }, "serving.stress: shed 0 and shed-live-edge -1"},
		"stress upside down":  {func(n *config.Node) { n.Serving.Stress = config.Stress{Target: 2, Maximum: 1} }, "serving.stress: target 2ns is above maximum 1ns"},
		"region":              {func(n *config.Node) { n.Region = "eu\x00west" }, "region: "},
		"DVR of centuries":    {func(n *config.Node) { n.Events[0].DVR = 1 << 62 }, "events[0].dvr"},
		"huge segments":       {func(n *config.Node) { n.Events[0].MaxSegment = 1 << 62 }, "events[0].max-segment"},
		"huge hot copy":       {func(n *config.Node) { n.Serving.Hot = 1 << 62 }, "serving: hot and memory"},
		"huge memory":         {func(n *config.Node) { n.Publishing.Memory = 1 << 62 }, "publishing.memory"},
		"node's name":         {func(n *config.Node) { n.Name = "a node" }, "name: "},
		"writer's name":       {func(n *config.Node) { n.Writers[1] = "a/b" }, "writers[1]"},
		"no word of its own":  {func(n *config.Node) { n.Role = config.Publish }, `add its name, "serve-1"`},
		"its own word":        {func(n *config.Node) { n.Role, n.Name = config.Publish, "publish-2" }, ""},
		"nothing to host":     {func(n *config.Node) { n.Role = config.Store }, "host: a store node needs"},
		"hosts a memcached": {func(n *config.Node) {
			n.Role, n.Host.Stores = config.Store, []config.HostedStore{{Name: "x", Store: config.StoreAt{Kind: "memcached"}}}
		}, "host.stores[0].store.kind"},
	} {
		t.Run(name, func(t *testing.T) {
			n := node()
			c.change(&n)
			switch err := n.Validate(); {
			case c.want == "" && err != nil:
				t.Errorf("Validate() = %v, want nil", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("Validate() = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1": true, "127.3.2.1:80": true, "[::1]:80": true, "localhost:80": true, "http://127.0.0.1:8080/x": true, "https://[::1]": true,
		"": false, "0.0.0.0:80": false, "10.0.0.1": false, "http://example.org": false, "localhost.example.org:80": false, "127.0.0.1.example.org": false,
	} {
		if got := config.Loopback(address); got != want {
			t.Errorf("Loopback(%q) = %v, want %v", address, got, want)
		}
	}
}

// What Parse accepts is valid and comes back the same after it was written.
func FuzzParse(f *testing.F) {
	b, err := node().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("role: store\nhost: {listen: '127.0.0.1:0', stores: [{name: x, store: {kind: mem}}]}\n"))
	f.Add([]byte("role: serve\nevents: [{name: ev, renditions: [v, {name: w, codecs: 'mp4a.40.2'}, {name: [}, 7, null]}]\n"))
	f.Add([]byte("role: [serve"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := config.Parse(b)
		if err != nil {
			return
		}
		if err := n.Validate(); err != nil {
			t.Fatalf("Parse accepted what Validate refuses: %v", err)
		}
		again, err := n.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if m, err := config.Parse(again); err != nil || !reflect.DeepEqual(n, m) {
			t.Errorf("Parse(Marshal(n)) = %+v, %v, want %+v", m, err, n)
		}
	})
}
