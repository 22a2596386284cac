package servers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// pom is a Maven project whose only purpose is its dependency.
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>origin-storm</groupId><artifactId>cassandra</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId><version>` + CassandraVersion + `</version>
  </dependency></dependencies>
</project>
`

// jarsDir is where Cassandra's jars are kept between runs: in $ORIGIN_STORM_CACHE or the user's cache directory.
func jarsDir() (string, error) {
	cache := os.Getenv("ORIGIN_STORM_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("servers: where to keep Cassandra's jars: %w: set ORIGIN_STORM_CACHE", err)
		}
		cache = filepath.Join(user, "origin-storm")
	}
	return filepath.Join(cache, "cassandra-"+CassandraVersion), nil
}

// jarsReady reports why Cassandra's jars are neither there nor can be fetched, or nil.
func jarsReady() error {
	dir, err := jarsDir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("servers: no mvn on the PATH to fetch Cassandra with: install it (Debian: apt-get install maven): %w", ErrMissing)
	}
	return nil
}

// fetchCassandra returns the directory of Cassandra's jars, and fetches them first if they are not there. The directory appears
// under its name only when it is complete, so runs that fetch at the same time do not disturb each other.
func fetchCassandra(ctx context.Context, progress func(string)) (string, error) {
	dir, err := jarsDir()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := jarsReady(); err != nil {
		return "", err
	}
	progress("fetching Cassandra " + CassandraVersion + " from Maven (66 MB, once)")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("servers: directory for Cassandra's jars: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "fetch-")
	if err != nil {
		return "", fmt.Errorf("servers: directory for Cassandra's jars: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := os.WriteFile(filepath.Join(tmp, "pom.xml"), []byte(pom), 0o644); err != nil {
		return "", fmt.Errorf("servers: fetch Cassandra: %w", err)
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime")
	cmd.Dir = tmp
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // mvn is a script around the JVM
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("servers: fetch Cassandra with mvn: %w\n%s", err, lastLines(bytes.TrimSpace(out)))
	}
	jars := filepath.Join(tmp, "jars")
	if _, err := os.Stat(filepath.Join(jars, "cassandra-all-"+CassandraVersion+".jar")); err != nil {
		return "", fmt.Errorf("servers: fetch Cassandra with mvn: it succeeded, but: %w", err)
	}
	if err := os.Rename(jars, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			return "", fmt.Errorf("servers: keep Cassandra's jars: %w", err)
		} // else another run has just put them there
	}
	return dir, nil
}
