package config_test

import (
	"fmt"
	"strings"
	"testing"

	"origin-storm/origin/config"
)

// credential makes a node publish with one.
func credential(c config.Credential) func(*config.Node) {
	return func(n *config.Node) {
		n.Role, n.Access.Publish = config.Publish, []config.Credential{c}
	}
}

// Who may do what is checked before a node starts, and what is wrong with a secret is said without it.
func TestValidateAccess(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Node)
		want   string // part of the error; empty for none
	}{
		"CA without TLS":   {func(n *config.Node) { n.ClientCA = "ca.pem" }, "client-ca: client certificates need TLS"},
		"plain password":   {credential(config.Credential{User: "u", Password: "hunter2-is-my-secret"}), "access.publish[0].password: a secret is never written here itself"},
		"plain token":      {credential(config.Credential{Bearer: "hunter2-is-my-secret"}), "access.publish[0].bearer"},
		"hash too short":   {credential(config.Credential{Bearer: "sha256:abc"}), "64 hexadecimal digits"},
		"no such variable": {credential(config.Credential{Bearer: "env:"}), "env:NAME"},
		"user alone":       {credential(config.Credential{User: "u"}), "user and password go together"},
		"password alone":   {credential(config.Credential{Password: "env:P"}), "user and password go together"},
		"colon in a user":  {credential(config.Credential{User: "u:v", Password: "env:P"}), "a user has no colon"},
		"two ways in one":  {credential(config.Credential{User: "u", Password: "env:P", Bearer: "env:B"}), "give one of"},
		"no way":           {credential(config.Credential{Name: "n"}), "give one of"},
		"nobody signs":     {credential(config.Credential{Certificate: "c"}), "set client-ca"},
		"scope's event":    {credential(config.Credential{Bearer: "env:B", Events: []string{"evnt"}}), `access.publish[0].events[0]: there is no event "evnt"`},
		"scope's pipeline": {credential(config.Credential{Bearer: "env:B", Pipelines: []string{"../a"}}), "access.publish[0].pipelines[0]"},
		"good credential":  {credential(config.Credential{Bearer: "env:B", Events: []string{"event"}, Pipelines: []string{"a"}}), ""},
		"operator's scope": {func(n *config.Node) {
			n.Access.Operator = []config.Credential{{Bearer: "env:B", Events: []string{"event"}}}
		}, "an operator's credential is for all events"},
		"open operator":    {func(n *config.Node) { n.Operator = "0.0.0.0:1" }, "operator: 0.0.0.0:1 can be reached from other machines"},
		"meant to be open": {func(n *config.Node) { n.Operator, n.Insecure = "0.0.0.0:1", true }, ""},
		"guarded operator": {func(n *config.Node) { n.Operator, n.Access.Operator = ":1", []config.Credential{{Bearer: "env:B"}} }, ""},
		"serve to all":     {func(n *config.Node) { n.Serve = "0.0.0.0:1" }, ""},
		"open publish":     {func(n *config.Node) { n.Role, n.Publish = config.Publish, "[::]:1" }, "publish: [::]:1 can be reached"},
		"open store": {func(n *config.Node) {
			n.Role, n.Host = config.Store, config.Host{Listen: ":1", Stores: []config.HostedStore{{Name: "s", Store: config.StoreAt{Kind: "mem"}}}}
		}, "host.listen: :1 can be reached"},
		"open S3": {func(n *config.Node) {
			n.Role, n.Host = config.Store, config.Host{S3: &config.HostedS3{Listen: "0.0.0.0:1", Bucket: "b"}}
		}, "host.s3.listen"},
		"negative limit": {func(n *config.Node) { n.Limits.Serve.Idle = -1 }, "limits.serve"},
		"address with a secret": {func(n *config.Node) {
			n.Backend.Store = config.StoreAt{Kind: "s3", Namespace: "b", Addresses: []string{"http://me:hunter2@127.0.0.1:1"}}
		}, "credentials do not go into an address"},
		"log's format": {func(n *config.Node) { n.Log.Format = "xml" }, "log.format"},
		"log's level":  {func(n *config.Node) { n.Log.Level = "loud" }, "log.level"},
		"drain":        {func(n *config.Node) { n.DrainDelay = -1 }, "drain-delay"},
	} {
		t.Run(name, func(t *testing.T) {
			n := node()
			n.Writers = nil
			c.change(&n)
			switch err := n.Validate(); {
			case c.want == "" && err != nil:
				t.Errorf("Validate() = %v, want nil", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("Validate() = %v, want an error with %q", err, c.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("Validate() = %v: that shows a secret", err)
			}
		})
	}
}

// An address without a port is told to be that, and nothing is said about who reaches it.
func TestAddressWithoutPort(t *testing.T) {
	n := node()
	n.Operator = "8081"
	if got, want := fmt.Sprint(n.Validate()), "operator: address 8081: missing port in address; give host:port"; got != want {
		t.Errorf("Validate() = %q, want %q", got, want)
	}
}

// An error that shows a part of the file shows no secret.
func TestErrorsWithoutSecrets(t *testing.T) {
	for _, text := range []string{
		"role: serve\nbackend: {store: {kind: s3, secret: hunter2, adress: [x]}}\n",
		"role: serve\nbackend:\n  store:\n    secret: 'hunter2'\n    adress: [x]\n",
		"access:\n  publish:\n  - password: \"hunter2\"\n    usr: me\n",
		"access:\n  publish:\n  - {bearer: hunter2, evnts: [a]}\n",
	} {
		if _, err := config.Parse([]byte(text)); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "did you mean") {
			t.Errorf("Parse(%q) = %v, want an error with a hint and without the secret", text, err)
		}
	}
}

// Nothing that Redacted returns is a secret, and what it was asked of stays as it was.
func TestRedacted(t *testing.T) {
	const secret = "hunter2"
	n := node()
	n.Access.Publish = []config.Credential{{User: "u", Password: "sha256:" + secret}, {Bearer: "env:NAME"}, {Bearer: secret}}
	n.Access.Operator = []config.Credential{{Bearer: secret}}
	n.Backend.Store = config.StoreAt{Kind: "s3", Addresses: []string{"https://user:" + secret + "@s3.example"}, Secret: secret}
	n.Backend.Zones = []config.StoreAt{{Kind: "cassandra", Secret: secret}}
	n.Host.Stores = []config.HostedStore{{Store: config.StoreAt{Secret: secret}}}
	b, err := n.Redacted().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), secret) || !strings.Contains(string(b), "env:NAME") || !strings.Contains(string(b), "https://***@s3.example") {
		t.Errorf("Redacted shows a secret, or less than it could:\n%s", b)
	}
	if b, err = n.Marshal(); err != nil || strings.Count(string(b), secret) != 7 {
		t.Errorf("after Redacted the node has %d of its 7 secrets", strings.Count(string(b), secret))
	}
}

func TestNearest(t *testing.T) {
	names := []string{"pipelines", "renditions", "dvr"}
	for got, want := range map[string]string{"pipline": "pipelines", "Renditions": "renditions", "dvrs": "dvr", "something": "", "": ""} {
		if n := config.Nearest(got, names); n != want {
			t.Errorf("Nearest(%q) = %q, want %q", got, n, want)
		}
	}
}
