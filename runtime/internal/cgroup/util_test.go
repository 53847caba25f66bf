package cgroup

import (
	"bufio"
	"context"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ocirt/ocirt/internal/need"
)

func itoa(n int) string { return strconv.Itoa(n) }

// hierarchies returns those of this machine, and also the v2 tree of a hybrid host, which
// containers are spared.
func hierarchies(tb testing.TB) []Hierarchy {
	tb.Helper()
	need.Root(tb)
	hs, err := Hierarchies()
	if err != nil {
		tb.Fatal(err)
	}
	if len(hs) == 0 {
		need.Feature(tb, "cgroups", false, "no cgroup hierarchy is mounted")
	}
	return hs
}

// v2Tree returns the v2 tree of this machine, be it alone or beside v1.
func v2Tree(tb testing.TB) Hierarchy {
	tb.Helper()
	need.Root(tb)
	h := Hierarchy{Own: "/"}
	for _, path := range []string{root, unified} {
		if kind, err := fsType(path); err == nil && kind == cgroup2Magic {
			h.Mount = path
			break
		}
	}
	need.Feature(tb, "cgroup2tree", h.Mount != "", "no v2 tree is mounted")
	if h.Mount == unified {
		tb.Cleanup(disableAgain(tb, h.Mount))
	}
	return h
}

// disableAgain returns what undoes the passing on of controllers that a test causes on a
// hybrid host, where they would be missed in v1.
func disableAgain(tb testing.TB, top string) func() {
	before, err := readIn(top, "cgroup.subtree_control")
	if err != nil {
		tb.Fatal(err)
	}
	return func() {
		after, _ := readIn(top, "cgroup.subtree_control")
		for c := range strings.FieldsSeq(after) {
			if !slices.Contains(strings.Fields(before), c) {
				_ = writeIn(top, "cgroup.subtree_control", "-"+c)
			}
		}
	}
}

const cgroup2Magic = 0x63677270

// pathsIn returns paths for a group nobody else uses, and removes what is left there.
func pathsIn(tb testing.TB, name string, hs ...Hierarchy) map[string]string {
	tb.Helper()
	paths, err := Paths("/ocirt-test-"+name+"-"+itoa(os.Getpid()), "", hs, false)
	if err != nil {
		tb.Fatal(err)
	}
	mine := maps.Clone(paths)
	tb.Cleanup(func() { sweep(tb, mine) })
	return paths
}

// sweep ends and removes whatever a test left at paths.
func sweep(tb testing.TB, paths map[string]string) {
	tb.Helper()
	var made []string
	for _, dir := range paths {
		if exists(dir) {
			made = append(made, dir)
		}
	}
	if len(made) == 0 {
		return
	}
	if err := Load(paths, made).Remove(context.Background()); err != nil {
		tb.Errorf("cannot clean up: %v", err)
	}
}

func create(tb testing.TB, paths map[string]string) *Group {
	tb.Helper()
	g, err := Create(paths, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// onEach runs a test with v1 (if there) and with the v2 tree alone.
func onEach(t *testing.T, name string, f func(t *testing.T, hs []Hierarchy)) {
	t.Run("all", func(t *testing.T) { f(t, hierarchies(t)) })
	t.Run("v2", func(t *testing.T) { f(t, []Hierarchy{v2Tree(t)}) })
}

// start runs a shell script in the group: it joins as a container's init does, prints a
// line, and goes on. The script ends with the test.
func start(tb testing.TB, g *Group, script string) *exec.Cmd {
	tb.Helper()
	files, err := g.JoinFiles()
	if err != nil {
		tb.Fatal(err)
	}
	var join strings.Builder
	for i := range files {
		join.WriteString("echo 0 >&" + itoa(3+i) + " || exit 9; exec " + itoa(3+i) + ">&-;")
	}
	if !strings.Contains(script, "echo ready;") {
		script = "echo ready;" + script
	}
	cmd := exec.Command("/bin/bash", "-c", join.String()+script)
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	fd, err := g.CgroupFD()
	if err != nil {
		tb.Fatal(err)
	}
	if fd != nil {
		defer fd.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(fd.Fd())
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	tb.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = g.Thaw()
		_ = cmd.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		tb.Fatalf("the script says %q instead of joining", line)
	}
	return cmd
}

// within fails the test if f takes longer than limit.
func within(tb testing.TB, limit time.Duration, f func() error) {
	tb.Helper()
	begin := time.Now()
	if err := f(); err != nil {
		tb.Fatal(err)
	}
	if d := time.Since(begin); d > limit {
		tb.Errorf("took %v, more than %v", d, limit)
	}
}

func wantGone(tb testing.TB, g *Group) {
	tb.Helper()
	for _, dir := range g.Made {
		if exists(dir) {
			tb.Errorf("%s is still there", dir)
		}
	}
}
