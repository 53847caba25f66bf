package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ocirt/ocirt/integration/internal/results"
)

// Every package of the list is there, and has tests.
func TestPackages(t *testing.T) {
	all, err := readPackages("packages")
	if err != nil {
		t.Fatal(err)
	}
	short, seen := 0, map[string]bool{}
	for _, s := range all {
		tests, _ := filepath.Glob(filepath.Join("../..", s.pkg, "*_test.go"))
		if len(tests) == 0 {
			t.Errorf("%s has no tests", s.pkg)
		}
		if seen[s.name()] {
			t.Errorf("%s is there twice: their results would be mixed up", s.name())
		}
		seen[s.name()] = true
		if s.when == "short" {
			short++
		}
	}
	if short < 3 {
		t.Errorf("only %d suites are short", short)
	}
}

func TestBadPackages(t *testing.T) {
	for text, want := range map[string]string{
		"a/b root": "is not a package", "a/b root always": "is not a package", "a/b root,king short": `"king" is nobody`,
	} {
		path := filepath.Join(t.TempDir(), "packages")
		if err := os.WriteFile(path, []byte("# list\n"+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readPackages(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []suite{{pkg: "a", who: "root", when: "short"}, {pkg: "a", who: "user", when: "full"}, {pkg: "b", who: "root", when: "full"}, {pkg: "c", who: "root", when: "named"}}
	for parts, want := range map[string]string{
		"": "a:root a:user b:root clients", "short": "a:root", "tests": "a:root a:user b:root",
		"all": "a:root a:user b:root c:root", "tests c": "a:root a:user b:root c:root",
		"clients": "clients", "./a/ clients": "a:root a:user clients", "a:user": "a:user", "short a": "a:root a:user",
	} {
		chosen, clients, err := choose(all, strings.Fields(parts))
		var got []string
		for _, s := range chosen {
			got = append(got, s.name())
		}
		if clients {
			got = append(got, "clients")
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q chooses %q, %v; want %q", parts, got, err, want)
		}
	}
	all[0].args, all[3].args = []string{"-test.short", "-test.run=A|B"}, []string{"-test.skip=C"}
	for part, want := range map[string]string{"short": "-test.short -test.run=A|B", "a:root": "", "c": "-test.skip=C"} {
		if chosen, _, err := choose(all, []string{part}); err != nil || strings.Join(chosen[0].args, " ") != want {
			t.Errorf("%q runs with %q, %v; want %q", part, chosen[0].args, err, want)
		}
	}
	if _, _, err := choose(all, []string{"d"}); err == nil {
		t.Error("a package that is not in the list is accepted")
	}
}

// bash gets the words as they were.
func TestScript(t *testing.T) {
	j := job{command: []string{"sh", "-c", `printf '%s|' "$A" "$@"`, "it's", "", "a b", "$HOME", "*"}, env: []string{"A=b 'c'"}}
	out, err := exec.Command("bash", "-c", j.script()).CombinedOutput()
	if want := "b 'c'||a b|$HOME|*|"; err != nil || string(out) != want {
		t.Errorf("%v %q; want %q", err, out, want)
	}
}

func TestCollect(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "back.tar")
	pack := newTar()
	pack.add(tar.Header{Typeflag: tar.TypeReg, Name: statusFile, Mode: 0o644}, []byte("3\n"))
	pack.add(tar.Header{Typeflag: tar.TypeReg, Name: "./log", Mode: 0o644}, []byte("text"))
	whole := pack.bytes()
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	status, err := job{out: out}.collect(path)
	if status != 3 || err != nil {
		t.Errorf("status %d, %v; want 3", status, err)
	}
	if text, err := os.ReadFile(filepath.Join(out, "log")); string(text) != "text" {
		t.Errorf("the log is %q, %v", text, err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (job{}).collect(path); !errors.Is(err, io.EOF) {
		t.Errorf("of a machine that died: %v", err)
	}
}

// What docker reads names only what is there.
func TestArchive(t *testing.T) {
	data, err := ociArchive([]byte("layer"), "localhost/x:latest", []string{"sh"})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	var list []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &list); err != nil || len(list) != 1 {
		t.Fatal(err, list)
	}
	for _, name := range append(list[0].Layers, list[0].Config) {
		if files[name] == nil {
			t.Errorf("no %s in the archive", name)
		}
	}
	if !slices.Equal(list[0].RepoTags, []string{"localhost/x:latest"}) {
		t.Errorf("its name is %q", list[0].RepoTags)
	}
}

func TestPrintFailures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log := "== a/good status=0 5 ms\nfine\n== a/bad status=1 7 ms\nit broke\n== not a header\n== a/last status=0 1 ms\n"
	if err := os.WriteFile(path, []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	printFailures(&out, path)
	if want := "\n--- a/bad\nit broke\n== not a header\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

func TestLineOfTest(t *testing.T) {
	var out strings.Builder
	for _, e := range []results.Event{
		{Action: "pass", Test: "A", Elapsed: 1}, {Action: "pass", Test: "A/sub"}, {Action: "fail", Test: "B/sub"}, {Action: "skip", Test: "C"},
	} {
		e.Package = "p:root"
		out.WriteString(testLine(e, "why") + "|")
	}
	const want = "ok p as root: A (1.0 s)||not ok p as root: B/sub (0.0 s)|ok p as root: C # skipped: why|"
	if out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

// Tasks run as many at a time as they may, and each tells its part of the totals.
func TestTasks(t *testing.T) {
	var running, most atomic.Int32
	var tasks []task
	for i := range 5 {
		tasks = append(tasks, task{fmt.Sprint("t", i), func(context.Context, *options, string, *printer) outcome {
			n := running.Add(1)
			defer running.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(20 * time.Millisecond)
			return outcome{passed: i, skipped: 1}
		}})
	}
	var said strings.Builder
	p := &printer{w: &said}
	list := runTasks(t.Context(), &options{atOnce: 2}, "", tasks, p)
	if most.Load() != 2 {
		t.Errorf("%d at a time, want 2", most.Load())
	}
	var out strings.Builder
	if good, failed := report(&out, tasks, list); !good || failed || !strings.Contains(out.String(), "\nin all: 10 passed, 0 failed, 5 skipped\n") {
		t.Errorf("good %v, failed %v:\n%s", good, failed, &out)
	}
	list[1] = outcome{passed: 1, failed: 1, bad: []string{"not ok x"}}
	list[2].broken = errors.New("it died")
	out.Reset()
	good, failed := report(&out, tasks, list)
	if good || !failed || !strings.Contains(out.String(), "\n  not ok x\n") || !strings.Contains(out.String(), "\n  not ok: the machine for t2: it died\n") {
		t.Errorf("good %v, failed %v:\n%s", good, failed, &out)
	}
	if good, _ := report(io.Discard, nil, nil); good {
		t.Error("nothing at all is good")
	}
}

// An image of somebody else is used, and never made anew; one of ours is, for a new recipe
// or a part that it lacks.
func TestImageFits(t *testing.T) {
	i := image{dir: t.TempDir()}
	const recipe = keyPrefix + "12"
	for _, c := range []struct {
		key   string
		parts string
		want  bool
	}{
		{recipe + " sid clients\n", "sid clients", true},
		{recipe + " sid clients\n", "trixie", false},
		{keyPrefix + "34 sid clients\n", "sid", false},
		{"foreign\n", "sid clients", true},
		{"foreign\n", "trixie", false},
		{"", "sid", false},
	} {
		for name, text := range map[string]string{"key": c.key, "disk.img": "", "kernels/sid.vmlinuz": ""} {
			if err := errors.Join(os.MkdirAll(filepath.Dir(i.file(name)), 0o755), os.WriteFile(i.file(name), []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		if c.key == "" {
			_ = os.Remove(i.file("key"))
		}
		if got := i.fits(recipe, strings.Fields(c.parts)); got != c.want {
			t.Errorf("key %q fits %q: %v", c.key, c.parts, got)
		}
	}
}

// A machine whose QEMU ends at once is tried again, and then it is an error. One that
// hangs ends with the time that it is given, and nothing of it is left.
func TestMachineThatDoesNotBoot(t *testing.T) {
	t.Chdir("../..")
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var said strings.Builder
	t.Setenv("OCIRT_QEMU", "false")
	status, err := machine{kernel: "sid"}.run(t.Context(), image{dir: "/nowhere"}, job{limit: time.Second}, io.Discard, &said)
	if status != statusBrokenVM || err == nil || !strings.Contains(err.Error(), "does not boot") || strings.Count(said.String(), "again") != 1 {
		t.Errorf("status %d, %v, said %q", status, err, &said)
	}
	hang := filepath.Join(temp, "hang")
	if err := os.WriteFile(hang, []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OCIRT_QEMU", hang)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin := time.Now()
	status, err = machine{kernel: "sid"}.run(ctx, image{dir: "/nowhere"}, job{limit: time.Second}, io.Discard, io.Discard)
	if status != statusTimeout || err == nil || time.Since(begin) > 5*time.Second {
		t.Errorf("status %d after %v: %v", status, time.Since(begin), err)
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "ocirt-vm-*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}
