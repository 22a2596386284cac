package record

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Environment tells what a run ran on: machine, processor, cores, memory, kernel, and how this program was built. What cannot
// be told is left out. defaults, such as the settings of drivers, are added to it.
func Environment(defaults map[string]string) map[string]string {
	env := map[string]string{
		"os": runtime.GOOS, "architecture": runtime.GOARCH,
		"cores": fmt.Sprint(runtime.NumCPU()), "gomaxprocs": fmt.Sprint(runtime.GOMAXPROCS(0)),
	}
	set := func(name, value string) {
		if value = strings.TrimSpace(value); value != "" {
			env[name] = value
		}
	}
	if host, err := os.Hostname(); err == nil {
		set("host", host)
	}
	set("kernel", firstLine("/proc/sys/kernel/osrelease", ""))
	set("cpu", firstLine("/proc/cpuinfo", "model name"))
	set("memory", firstLine("/proc/meminfo", "MemTotal"))
	maps.Copy(env, Build(defaults))
	return env
}

// Build tells how this program was built, and nothing of the machine: what a simulation depends on. What cannot be told is left out;
// defaults are added to it.
func Build(defaults map[string]string) map[string]string {
	env := map[string]string{"go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			env["version"] = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				env["revision"] = s.Value
			case "vcs.modified":
				env["modified"] = s.Value
			}
		}
	}
	maps.Copy(env, defaults)
	return env
}

// firstLine returns the first line of a file; with a key, the value of the first line "key : value". Empty if there is none.
func firstLine(path, key string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for in := bufio.NewScanner(file); in.Scan(); {
		if key == "" {
			return in.Text()
		}
		if name, value, ok := strings.Cut(in.Text(), ":"); ok && strings.TrimSpace(name) == key {
			return value
		}
	}
	return ""
}
