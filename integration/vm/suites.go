package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A suite is the tests of a package, run by somebody.
type suite struct {
	pkg  string
	who  string
	when string // short, full or named
	args []string
}

func (s suite) name() string { return s.pkg + ":" + s.who }

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
		if len(f) < 3 || !slices.Contains([]string{"short", "full", "named"}, f[2]) {
			return nil, fmt.Errorf("%s: %q is not a package, who runs it, and short, full or named", path, strings.TrimSpace(line))
		}
		for who := range strings.SplitSeq(f[1], ",") {
			if _, ok := people()[who]; !ok {
				return nil, fmt.Errorf("%s: %q is nobody who runs tests", path, who)
			}
			list = append(list, suite{pkg: f[0], who: who, when: f[2], args: f[3:]})
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

// choose returns what the parts mean; none are the whole run.
func choose(all []suite, parts []string) (chosen []suite, clients bool, err error) {
	if len(parts) == 0 {
		parts = []string{"tests", "clients"}
	}
	named := make([]bool, len(all))
	picked := make([]bool, len(all))
	for _, part := range parts {
		part = strings.TrimSuffix(strings.TrimPrefix(part, "./"), "/")
		found := part == "clients"
		clients = clients || found
		for i, s := range all {
			switch {
			case part == s.pkg || part == s.name() || part == "all":
				named[i], found = true, true
			case part == "tests" && s.when != "named" || part == "short" && s.when == "short":
				picked[i], found = true, true
			}
		}
		if !found {
			return nil, false, fmt.Errorf("nothing to run: %q is neither short, tests, all, clients, nor a package of %s/packages", part, here)
		}
	}
	for i, s := range all {
		if named[i] && s.when != "named" {
			s.args = nil // they leave out what would take long
		}
		if named[i] || picked[i] {
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
			// Programs of a package's own tests.
			programs, _ := filepath.Glob(filepath.Join(s.pkg, "*", "main.go"))
			for _, p := range programs {
				build(filepath.Join("programs", filepath.Base(filepath.Dir(p))), "build", "./"+filepath.Dir(p))
			}
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
