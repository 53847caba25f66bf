package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ocirt/ocirt/integration/internal/results"
)

// A suite is the tests of a package, run by somebody.
type suite struct {
	pkg   string
	who   string
	short bool
	args  []string
}

func (s suite) name() string { return s.pkg + ":" + s.who }

const (
	suiteLimit   = 20 * time.Minute
	clientsLimit = 25 * time.Minute
)

// runTests runs parts of the tests: see the package's comment.
func runTests(ctx context.Context, o *options, parts []string) (int, error) {
	begin := time.Now()
	all, err := readPackages(filepath.Join(here, "packages"))
	if err != nil {
		return statusFailed, err
	}
	suites, clients, err := choose(all, parts)
	if err != nil {
		return statusUsage, err
	}
	if err := o.image.readyFor(ctx, o.machine.kernel, clients); err != nil {
		return statusNoImage, err
	}
	fmt.Printf("# image ready after %.0f s\n", time.Since(begin).Seconds())
	dir, err := os.MkdirTemp("", "ocirt-vm-")
	if err != nil {
		return statusFailed, err
	}
	defer os.RemoveAll(dir)
	if err := pack(ctx, dir, o, suites); err != nil {
		return statusFailed, err
	}
	fmt.Printf("# tests compiled after %.0f s\n", time.Since(begin).Seconds())
	good, failed := true, false
	if len(suites) > 0 {
		good, failed = o.runSuites(ctx, dir, suites)
	}
	if clients && ctx.Err() == nil {
		good = o.runClients(ctx, dir) && good
	}
	fmt.Printf("# all done after %.0f s\n", time.Since(begin).Seconds())
	switch {
	case good:
		return 0, nil
	case !failed && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return statusTimeout, fmt.Errorf("not finished in %v; nothing had failed", o.limit)
	}
	return statusFailed, nil
}

// readPackages reads the list.
func readPackages(path string) ([]suite, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the list of packages (run this in the module's folder): %w", err)
	}
	var list []suite
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if len(f) < 3 || f[2] != "short" && f[2] != "full" {
			return nil, fmt.Errorf("%s: %q is not a package, who runs it, and short or full", path, strings.TrimSpace(line))
		}
		for who := range strings.SplitSeq(f[1], ",") {
			if _, ok := people()[who]; !ok {
				return nil, fmt.Errorf("%s: %q is nobody who runs tests", path, who)
			}
			list = append(list, suite{pkg: f[0], who: who, short: f[2] == "short", args: f[3:]})
		}
	}
	return list, nil
}

// A person runs tests.
type person struct {
	user  string
	flags string // for every command of the runtime; "-": none
}

func people() map[string]person {
	return map[string]person{
		"root":         {"root", "-"},
		"systemd":      {"root", "--systemd-cgroup"},
		"user":         {"rootless", "-"},
		"user-systemd": {"rootless", "--systemd-cgroup"},
	}
}

// choose returns what the parts mean; none are all.
func choose(all []suite, parts []string) (chosen []suite, clients bool, err error) {
	if len(parts) == 0 {
		parts = []string{"tests", "clients"}
	}
	picked := make([]bool, len(all))
	for _, part := range parts {
		part = strings.TrimSuffix(strings.TrimPrefix(part, "./"), "/")
		found := part == "clients"
		clients = clients || found
		for i, s := range all {
			if part == "tests" || part == "short" && s.short || part == s.pkg || part == s.name() {
				picked[i], found = true, true
			}
		}
		if !found {
			return nil, false, fmt.Errorf("nothing to run: %q is neither short, tests, clients, nor a package of %s/packages", part, here)
		}
	}
	for i, s := range all {
		if picked[i] {
			chosen = append(chosen, s)
		}
	}
	return chosen, clients, nil
}

// pack compiles what the machine needs into a folder.
func pack(ctx context.Context, dir string, o *options, suites []suite) error {
	if err := copyFiles(dir, o.ours, suites); err != nil {
		return fmt.Errorf("cannot pack the tests: %w", err)
	}
	builds := [][]string{}
	build := func(to string, what ...string) {
		builds = append(builds, append([]string{what[0]}, append([]string{"-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, to)}, what[1:]...)...))
	}
	if len(suites) > 0 {
		build("programs/inside", "build", "./integration/cmd/inside")
		build("programs/hook", "build", "./integration/cmd/hook")
		build("programs/test2json", "build", "cmd/test2json")
	}
	for i, s := range suites {
		if !slices.ContainsFunc(suites[:i], func(b suite) bool { return b.pkg == s.pkg }) {
			build(filepath.Join(s.pkg, filepath.Base(s.pkg)+".test"), "test", "-c", "./"+s.pkg)
		}
	}
	for _, args := range builds {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot compile: go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// copyFiles copies the runtime, go.mod, by which tests find the module's folder, data of
// the tests, and writes the list of what to do.
func copyFiles(dir, runtime string, suites []suite) error {
	files := map[string]string{runtime: "bin/ocirt", "go.mod": "go.mod"}
	folders := []string{"spec"}
	var list strings.Builder
	for _, s := range suites {
		folders = append(folders, s.pkg)
		p := people()[s.who]
		fmt.Fprintln(&list, s.name(), s.pkg, p.user, int(suiteLimit.Seconds()), p.flags, strings.Join(s.args, " "))
	}
	for from, to := range files {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		to = filepath.Join(dir, to)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o755)); err != nil {
			return err
		}
	}
	for _, folder := range folders {
		to := filepath.Join(dir, folder, "testdata")
		from := os.DirFS(filepath.Join(folder, "testdata"))
		if _, err := fs.Stat(from, "."); err != nil {
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			continue
		}
		if _, err := os.Stat(to); err == nil {
			continue
		}
		if err := os.CopyFS(to, from); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "list"), []byte(list.String()), 0o644)
}

// runSuites runs them all in one machine, and prints every test as it ends. It reports
// whether all went well to their ends, and whether a test failed.
func (o *options) runSuites(ctx context.Context, dir string, suites []suite) (good, failed bool) {
	begin := time.Now()
	r := results.New(os.Stdout)
	r.Each = func(e results.Event, why string) { printTest(os.Stdout, e, why) }
	j := job{command: []string{"/lab/guest/tests", "list", o.pattern}, dir: dir, user: "root", limit: time.Duration(len(suites)) * suiteLimit}
	var one sync.Mutex // two suites run at a time
	take := func(line []byte) {
		one.Lock()
		defer one.Unlock()
		r.Line(line)
	}
	status, err := o.machine.run(ctx, o.image, j, &lines{take: take}, &lines{take: take})
	r.Print()
	failed = r.Broken()
	good = err == nil && status == 0 && !failed
	if err != nil {
		fmt.Println("not ok: the machine for the tests:", err)
	}
	for _, s := range suites {
		if !r.Ended(s.name()) {
			fmt.Println("not ok:", s.name(), "did not come to its end")
			good = false
		}
	}
	fmt.Printf("# tests took %.0f s\n\n", time.Since(begin).Seconds())
	return good, failed
}

// printTest prints a line of a test, and of a subtest unless it went well.
func printTest(w io.Writer, e results.Event, why string) {
	pkg, who, _ := strings.Cut(e.Package, ":")
	line := fmt.Sprintf("%s as %s: %s", pkg, who, e.Test)
	switch {
	case e.Action == "fail":
		fmt.Fprintf(w, "not ok %s (%.1f s)\n", line, e.Elapsed)
	case strings.Contains(e.Test, "/"):
	case e.Action == "skip":
		fmt.Fprintf(w, "ok %s # skipped: %s\n", line, why)
	default:
		fmt.Fprintf(w, "ok %s (%.1f s)\n", line, e.Elapsed)
	}
}

// runClients runs the matrix of clients in another machine.
func (o *options) runClients(ctx context.Context, dir string) bool {
	begin := time.Now()
	out, err := os.MkdirTemp("", "ocirt-vm-")
	if err != nil {
		fmt.Println("not ok: the machine for the clients:", err)
		return false
	}
	defer os.RemoveAll(out)
	command := []string{"/lab/guest/clients", "./bin/ocirt"}
	if o.clients != "" {
		command = append(command, "--only", o.clients)
	}
	if o.pattern != "" {
		command = append(command, "--grep", o.pattern)
	}
	j := job{command: command, dir: dir, user: "root", limit: clientsLimit, out: out}
	passed, failed := 0, 0
	status, err := o.machine.run(ctx, o.image, j, &lines{take: func(line []byte) {
		fmt.Printf("%s\n", line)
		if bytes.HasPrefix(line, []byte("ok ")) {
			passed++
		} else if bytes.HasPrefix(line, []byte("not ok ")) {
			failed++
		}
	}}, os.Stderr)
	if failed > 0 {
		printFailures(os.Stdout, filepath.Join(out, "clients.log"))
	}
	if err != nil {
		fmt.Println("not ok: the machine for the clients:", err)
	}
	fmt.Printf("\n%d passed, %d failed\n# clients took %.0f s\n\n", passed, failed, time.Since(begin).Seconds())
	return err == nil && status == 0 && failed == 0 && passed > 0
}

// printFailures prints what the failed checks have printed.
func printFailures(w io.Writer, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintln(w, "there is no log of the clients:", err)
		return
	}
	header := regexp.MustCompile(`(?m)^== (.*) status=(\d+) \d+ ms$`)
	found := header.FindAllSubmatchIndex(text, -1)
	for i, f := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		if string(text[f[4]:f[5]]) != "0" {
			fmt.Fprintf(w, "\n--- %s\n%s", text[f[2]:f[3]], text[f[1]+1:end])
		}
	}
}

// lines calls take for every whole line that is written.
type lines struct {
	take func([]byte)
	part []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.take(l.part[:i])
		l.part = l.part[i+1:]
	}
}
