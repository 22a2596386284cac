package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"origin-storm/origin"
	"origin-storm/origin/config"
)

// What docs/operating.md says is true: its file is valid, its flags and variables exist, its metrics are there, and its drill works.
func TestOperatingPage(t *testing.T) {
	b, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	block := func(language string) string {
		_, rest, ok := strings.Cut(page, "```"+language+"\n")
		text, _, ended := strings.Cut(rest, "```")
		if !ok || !ended {
			t.Fatalf("docs/operating.md has no block of %s", language)
		}
		return text
	}
	if _, err := config.Parse([]byte(block("yaml"))); err != nil {
		t.Errorf("the file: %v", err)
	}

	var flags, variables []string
	for _, s := range settings() {
		flags, variables = append(flags, "--"+s.name), append(variables, s.environment())
	}
	flags = append(flags, "--help", "--config", "--print-config")
	variables = append(variables, envPublishPassword, envPublishBearer, envOperatorBearer)
	for _, flag := range regexp.MustCompile("`(--[a-z-]+)").FindAllStringSubmatch(page, -1) {
		if !slices.Contains(flags, flag[1]) {
			t.Errorf("there is no flag %s", flag[1])
		}
	}
	for _, name := range regexp.MustCompile(`ORIGIN_STORM_\w+`).FindAllString(page, -1) {
		if !slices.Contains(variables, name) {
			t.Errorf("there is no variable %s", name)
		}
	}

	evs, number := events()
	evs[0].Name = "demo"
	n := both(evs)
	n.Name, n.Backend.Zones = "publish-1", []config.StoreAt{{Kind: "mem"}}
	ready, stop := start(t, n)
	request(t, "PUT", fmt.Sprintf("http://%s/demo/a/v/%d.m4s", ready.Publish, number), strings.NewReader("segment"))
	request(t, "GET", fmt.Sprintf("http://%s/demo/v/%d.m4s", ready.Serve, number), nil)
	_, metrics := request(t, "GET", "http://"+ready.Operator+"/metrics", nil)
	for _, name := range regexp.MustCompile("`(origin_\\w+)`").FindAllStringSubmatch(page, -1) {
		if name := name[1]; name != "origin_" && !strings.Contains(metrics, "\n# TYPE "+name+" ") {
			t.Errorf("there is no metric %s", name)
		}
	}

	curl := regexp.MustCompile(`(?m)^curl (?:-X (\w+) )?(?:-H 'Content-Type: application/json' -d '(.*)' )?http://127.0.0.1:9090(\S+)$`)
	drill := curl.FindAllStringSubmatch(block("sh"), -1)
	if n := strings.Count(block("sh"), "curl "); n != len(drill) || n < 4 {
		t.Fatalf("%d of %d commands of the drill are understood", len(drill), n)
	}
	var masks []int
	for _, c := range drill {
		method, body := c[1], c[2]
		if method == "" && body == "" {
			method = http.MethodGet
		} else if method == "" {
			method = http.MethodPost
		}
		code, text := with(t, method, "http://"+ready.Operator+c[3], "Content-Type", "application/json", body)
		var state origin.EventControl
		if err := json.Unmarshal([]byte(text), &state); code != 200 || err != nil {
			t.Errorf("%s: %d %s, want 200", c[0], code, text)
		}
		masks = append(masks, len(state.Masks))
	}
	if want := []int{0, 1, 1, 0}; !slices.Equal(masks, want) {
		t.Errorf("after the commands of the drill there are %v masks, want %v", masks, want)
	}
	if err := stop(); err != nil {
		t.Errorf("run: %v, want nil", err)
	}
}
