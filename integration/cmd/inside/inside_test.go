package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// asInside makes the test binary behave as the program.
const asInside = "INSIDE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asInside) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func inside(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asInside+"=1", "GREETING=hello")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

func TestReportIsComplete(t *testing.T) {
	out, err := inside(t, "report")
	if err != nil {
		t.Fatal(err, out)
	}
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Errors) > 0 {
		t.Errorf("sections are missing: %v", r.Errors)
	}
	want, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Namespaces["uts"]; got != want {
		t.Errorf("uts namespace is %q, want %q", got, want)
	}
	if r.Process.Ppid != os.Getpid() {
		t.Errorf("parent is %d, want %d", r.Process.Ppid, os.Getpid())
	}
	if len(r.Mounts) == 0 || len(r.Identity.Caps) != 5 || len(r.Limits) != 16 {
		t.Errorf("mounts %d, capability sets %d, limits %d; want some, 5, 16", len(r.Mounts), len(r.Identity.Caps), len(r.Limits))
	}
}

func TestCommandsInTurn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	out, err := inside(t, "touch", file, "--", "try-write", file, "--", "try-write", filepath.Join(dir, "none"), "--", "env", "GREETING")
	if err != nil {
		t.Fatal(err, out)
	}
	if want := "ok\nno such file or directory\nhello"; out != want {
		t.Errorf("answers are %q, want %q", out, want)
	}
	if out, err = inside(t, "read", filepath.Join(dir, "none"), "--", "echo", "never"); err == nil || strings.Contains(out, "never") {
		t.Errorf("after a failure came %q, %v; want an end", out, err)
	}
}

func TestExitAndSignal(t *testing.T) {
	_, err := inside(t, "exit", "7")
	if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != 7 {
		t.Errorf("exit 7 gives %v", err)
	}
	_, err = inside(t, "kill-self", "TERM")
	if err == nil || err.Error() != "signal: terminated" {
		t.Errorf("kill-self TERM gives %v", err)
	}
}

func TestQueues(t *testing.T) {
	key, name := strconv.Itoa(os.Getpid()+0x0c1000), "inside-"+strconv.Itoa(os.Getpid())
	t.Cleanup(func() { _, _ = inside(t, "msg-remove", key); _, _ = inside(t, "mq-remove", name) })
	for _, c := range []struct {
		kind, id string
	}{{"msg", key}, {"mq", name}} {
		out, err := inside(t, c.kind+"-probe", c.id, "--", c.kind+"-create", c.id, "--", c.kind+"-probe", c.id,
			"--", c.kind+"-remove", c.id, "--", c.kind+"-probe", c.id)
		if err != nil || out != "no\nyes\nno" {
			t.Errorf("%s answers %q, %v", c.kind, out, err)
		}
	}
}

func TestEcho(t *testing.T) {
	addr := "127.0.0.1:" + strconv.Itoa(20000+os.Getpid()%20000)
	done := make(chan error, 1)
	go func() { _, err := inside(t, "listen", addr); done <- err }()
	if out, err := inside(t, "dial", addr, "over the bridge", "5"); err != nil || out != "over the bridge" {
		t.Errorf("dial answers %q, %v", out, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
