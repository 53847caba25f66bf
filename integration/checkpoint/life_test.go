package checkpoint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// What was in memory and what was open comes back: the numbers go on where they were, in the
// same file. Between the two there is no container.
func TestGoesOn(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(5)
	images := filepath.Join(lab.Dir(t), "deep", "images")
	if res := c.checkpoint(images).OK(); res.Stdout != "" {
		t.Errorf("it says %v", res)
	}
	r.Do("state", c.ID).Failed("does not exist")
	if alive(c.Pid) {
		t.Error("the process is still there")
	}
	before := c.numbers(0)
	last := before[len(before)-1]

	after := restore(t, r, b, c.ID, images).numbers(5)
	for i, n := range after {
		if n != last+1+i {
			t.Fatalf("%d was the last number, and then came %v", last, after)
		}
	}
	if text := read(t, filepath.Join(b.Rootfs, "tmp/n")); strings.Count(text, "\n") < last+5 || !strings.HasPrefix(text, "1\n2\n") {
		t.Errorf("the open file holds %d lines, after %d numbers", strings.Count(text, "\n"), last+5)
	}
}

// A restored container is one like any other.
func TestRestoredContainerObeys(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(2)
	images, pidFile := lab.Dir(t), filepath.Join(lab.Dir(t), "pid")
	c.checkpoint(images).OK()
	again := restore(t, r, b, c.ID, images, "--pid-file", pidFile, "-no-subreaper")
	if s := c.state(); s.Status != "running" || s.Bundle != b.Dir || s.Pid != again.Pid {
		t.Errorf("state %+v", s)
	}
	if text := read(t, pidFile); text != itoa(again.Pid) {
		t.Errorf("the pid file holds %q, pid is %d", text, again.Pid)
	}
	if out := r.Do("exec", c.ID, "/inside", "pid", "--", "hostname").OK().Stdout; !strings.Contains(out, "inside") {
		t.Errorf("exec says %q", out)
	}
	if out := r.Do("ps", "--format", "json", c.ID).OK().Stdout; !strings.Contains(out, itoa(again.Pid)) {
		t.Errorf("ps says %q, without %d", out, again.Pid)
	}
	r.Do("pause", c.ID).OK()
	if s := c.state(); s.Status != "paused" {
		t.Errorf("paused: %+v", s)
	}
	r.Do("resume", c.ID).OK()
	r.Do("start", c.ID).Failed("cannot start an already running container")
	r.Do("delete", c.ID).Failed("cannot delete container")
	r.Do("kill", c.ID, "KILL").OK()
	if !lab.Eventually(func() bool { reap(); return c.state().Status == "stopped" }) {
		t.Error("it does not end")
	}
	r.Do("delete", c.ID).OK()
	r.Do("state", c.ID).Failed("does not exist")
}

// A container can be saved again and again, as another one and in another bundle.
func TestAgain(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(2)
	first, second := lab.Dir(t), lab.Dir(t)
	c.checkpoint(first).OK()
	other := counting(t)
	must(t, os.WriteFile(filepath.Join(other.Rootfs, "tmp/n"), []byte(read(t, filepath.Join(b.Rootfs, "tmp/n"))), 0o644))
	must(t, unix.Mkfifo(filepath.Join(other.Rootfs, "tmp/wait"), 0o644))
	for _, name := range []string{"dev", "proc", "sys"} { // as a fresh copy of an image may not have them
		must(t, os.Remove(filepath.Join(other.Rootfs, name)))
	}
	mid := restore(t, r, other, r.ID(), first)
	mid.numbers(3)
	mid.checkpoint(second).OK()
	seen := mid.numbers(0)
	after := restore(t, r, other, r.ID(), second).numbers(3)
	if after[0] != seen[len(seen)-1]+1 {
		t.Errorf("it said %v, and then %v", seen, after)
	}
}

func TestLeaveRunning(t *testing.T) {
	r := bench(t)
	c := launch(t, r, counting(t))
	c.numbers(2)
	images, work := lab.Dir(t), filepath.Join(lab.Dir(t), "work")
	c.checkpoint(images, "--leave-running", "--work-path", work).OK()
	if s := c.state(); s.Status != "running" || s.Pid != c.Pid {
		t.Errorf("state %+v, pid was %d", s, c.Pid)
	}
	c.numbers(3)
	for _, f := range []string{filepath.Join(images, "inventory.img"), filepath.Join(work, "dump.log")} {
		if st, err := os.Stat(f); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// One that is paused stays so, or is gone.
func TestPaused(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(2)
	r.Do("pause", c.ID).OK()
	c.checkpoint(lab.Dir(t), "--leave-running").OK()
	if s := c.state(); s.Status != "paused" {
		t.Fatalf("state %+v", s)
	}
	images := lab.Dir(t)
	c.checkpoint(images).OK()
	r.Do("state", c.ID).Failed("does not exist")
	restore(t, r, b, c.ID, images).numbers(2)
}

// What changed since the first is all that the second holds, and together they are the
// container.
func TestPreDump(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(2)
	dir := lab.Dir(t)
	res := c.checkpoint(filepath.Join(dir, "one"), "--pre-dump")
	if strings.Contains(res.Stderr, "does not track which memory has changed") {
		need.Feature(t, "soft-dirty", false, "this kernel does not track which memory has changed")
	}
	res.OK()
	if s := c.state(); s.Status != "running" || s.Pid != c.Pid {
		t.Fatalf("state %+v, pid was %d", s, c.Pid)
	}
	c.numbers(2)
	c.checkpoint(filepath.Join(dir, "two"), "--parent-path", "../one").OK()
	if link, err := os.Readlink(filepath.Join(dir, "two", "parent")); err != nil || link != "../one" {
		t.Errorf("the parent is %q, %v", link, err)
	}
	before := c.numbers(0)
	after := restore(t, r, b, c.ID, filepath.Join(dir, "two")).numbers(2)
	if after[0] != before[len(before)-1]+1 {
		t.Errorf("%v, and then %v", before, after)
	}
}

// In the foreground restore is as run: its status is the program's.
func TestForeground(t *testing.T) {
	r := bench(t)
	b := lab.NewBundle(t, lab.Args("/bin/sh", "-c", `trap 'exit 7' TERM; echo up; while :; do busybox sleep 0.02; done`)).Busybox()
	c := launch(t, r, b)
	lab.Eventually(func() bool { return c.text() != "" })
	images := lab.Dir(t)
	c.checkpoint(images).OK()
	cmd := r.Command("restore", "--bundle", b.Dir, "--image-path", images, c.ID)
	near, far, err := os.Pipe()
	must(t, err)
	defer near.Close()
	defer far.Close()
	cmd.Stdout = far
	run := r.Begin(cmd)
	if !lab.Eventually(func() bool { return r.PidOf(c.ID) != 0 }) {
		t.Fatal("it is never there")
	}
	time.Sleep(time.Second) // until it passes signals on
	must(t, unix.Kill(run.Cmd.Process.Pid, unix.SIGTERM))
	if res := run.End(); res.Code != 7 {
		t.Errorf("want status 7: %v", res)
	}
	r.Do("state", c.ID).Failed("does not exist")
}

// The hooks of a restored container are those of its making, but for what runs inside.
func TestHooks(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(1)
	images := lab.Dir(t)
	c.checkpoint(images).OK()
	log := filepath.Join(lab.Dir(t), "log")
	b.Edit(hooks(log, "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"))
	restore(t, r, b, c.ID, images)
	if got := strings.Fields(read(t, log)); !slices.Equal(got, []string{"prestart", "createRuntime", "poststart"}) {
		t.Errorf("hooks that ran: %v", got)
	}
	r.Do("delete", "--force", c.ID).OK()
	if got := strings.Fields(read(t, log)); !slices.Contains(got, "poststop") {
		t.Errorf("hooks that ran: %v", got)
	}
}
