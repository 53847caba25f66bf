package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/internal/leaks"
)

func TestMain(m *testing.M) { os.Exit(leaks.Run(m)) }

func sh(script string) specs.Hook {
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}}
}

func shLimit(script string, seconds int) specs.Hook {
	h := sh(script)
	h.Timeout = &seconds
	return h
}

func state() *specs.State {
	return &specs.State{
		Version: "1.3.0", ID: "demo", Status: specs.StateCreating, Pid: 4711, Bundle: "/bundles/demo",
		Annotations: map[string]string{"b": "2", "a/b": "x\n\"y\"<&>\u2028"},
	}
}

// failure runs a hook that must fail and returns its error.
func failure(t *testing.T, h specs.Hook, opt Options) *Error {
	t.Helper()
	err := RunAll(t.Context(), "createRuntime", []specs.Hook{h}, state(), opt)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v (%T)", err, err)
	}
	return e
}

func says(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v\ndoes not say %q", err, want)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// waitFor waits until a process has written its pid to a file.
func waitFor(t *testing.T, path string) int {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		b, _ := os.ReadFile(path)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && strings.HasSuffix(string(b), "\n") {
			return pid
		}
	}
	t.Fatalf("nobody wrote %s", path)
	return 0
}

// dead waits until a process has gone, or is a zombie that its parent ignores.
func dead(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Errorf("process %d is still there", pid)
}

func TestSuccess(t *testing.T) {
	if err := Run(t.Context(), sh("echo noise; echo more >&2"), state(), Options{}); err != nil {
		t.Error(err)
	}
	if err := RunAll(t.Context(), "poststart", nil, state(), Options{}); err != nil {
		t.Error(err)
	}
}

func TestStdinIsTheState(t *testing.T) {
	out := filepath.Join(t.TempDir(), "state")
	if err := Run(t.Context(), sh("cat > "+out), state(), Options{}); err != nil {
		t.Fatal(err)
	}
	got := read(t, out)
	want := `{"ociVersion":"1.3.0","id":"demo","status":"creating","pid":4711,"bundle":"/bundles/demo",` +
		`"annotations":{"a/b":"x\n\"y\"<&>\u2028","b":"2"}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var back specs.State
	if err := json.Unmarshal([]byte(got), &back); err != nil || !reflect.DeepEqual(&back, state()) {
		t.Errorf("a JSON library reads %+v, %v", back, err)
	}
}

func TestStateIsWhatTheStandardEncoderMeans(t *testing.T) {
	all := make([]rune, 0, 0x300)
	for r := rune(0); r < 0x300; r++ {
		all = append(all, r)
	}
	for _, s := range []*specs.State{
		{},
		{Version: "1", Status: specs.StateStopped, Pid: -1},
		state(),
		{ID: string(all), Bundle: "\u2028\u2029\U0001F600", Annotations: map[string]string{"": "", "\x00": "\x7f"}},
	} {
		got := encodeState(s)
		if strings.ContainsAny(string(got), "\n\r\x00") {
			t.Errorf("more than one line: %q", got)
		}
		var back specs.State
		want := *s
		want.Pid = max(want.Pid, 0)
		if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, want) {
			t.Errorf("%s\nread as %+v, %v\nwant    %+v", got, back, err, want)
		}
	}
}

// A hook that reads nothing, with a state that fills no pipe.
func TestStateLargerThanAPipe(t *testing.T) {
	s := state()
	s.Annotations["big"] = strings.Repeat("x", 10<<20)
	for _, script := range []string{"exit 0", "exec <&-; exit 0", "head -c 10 > /dev/null"} {
		if err := Run(t.Context(), sh(script), s, Options{}); err != nil {
			t.Errorf("%s: %v", script, err)
		}
	}
	out := filepath.Join(t.TempDir(), "n")
	if err := Run(t.Context(), sh("wc -c > "+out), s, Options{}); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(read(t, out)), strconv.Itoa(len(encodeState(s))); got != want {
		t.Errorf("%s bytes arrived of %s", got, want)
	}
}

func TestEnvironmentIsExact(t *testing.T) {
	t.Setenv("OCIRT_SECRET", "1")
	dir := t.TempDir()
	for i, env := range [][]string{nil, {}, {"A=1", "B=", "A=2", "odd"}} {
		h := sh("/usr/bin/tr '\\0' '\\n' < /proc/$$/environ > " + dir + "/env")
		h.Env = env
		if err := Run(t.Context(), h, state(), Options{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		got := strings.Split(strings.TrimSuffix(read(t, dir+"/env"), "\n"), "\n")
		if len(env) == 0 {
			env = []string{""}
		}
		if !slices.Equal(got, env) {
			t.Errorf("%d: environment is %q, want %q", i, got, env)
		}
	}
}

func TestArgumentsAndDirectory(t *testing.T) {
	dir := t.TempDir()
	h := specs.Hook{Path: "/bin/sh", Args: []string{"other name", "-c", "tr '\\0' '\\n' < /proc/$$/cmdline > args; pwd > cwd"}}
	h.Env = []string{"PATH=/usr/bin:/bin"}
	if err := Run(t.Context(), h, state(), Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(read(t, dir+"/args"), "\n")[0]; got != "other name" {
		t.Errorf("argv[0] is %q", got)
	}
	if got := strings.TrimSpace(read(t, dir+"/cwd")); got != dir {
		t.Errorf("directory is %q, want %q", got, dir)
	}
	// Without args, argv is the path alone: a shell that then reads the state.
	e := failure(t, specs.Hook{Path: "/bin/sh"}, Options{})
	says(t, e, "/bin/sh: 1: ")
	e = failure(t, sh("true"), Options{Dir: dir + "/missing"})
	says(t, e, "no working directory")
}

func TestNothingElseIsInherited(t *testing.T) {
	f, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	script := `for f in /proc/$$/fd/*; do [ -e $f ] && echo ${f##*/}; done > ` + dir + `/fds; ` +
		`read x y z w pgrp rest < /proc/$$/stat; echo $$ $pgrp > ` + dir + `/group; ` +
		`/usr/bin/awk '/flags/ {print $2}' /proc/$$/fdinfo/0 > ` + dir + `/flags`
	if err := Run(t.Context(), sh(script), state(), Options{}); err != nil {
		t.Fatal(err)
	}
	fds := strings.Fields(read(t, dir+"/fds"))
	// dash keeps its saved standard output at 10 during the loop.
	fds = slices.DeleteFunc(fds, func(s string) bool { return s == "10" })
	if !slices.Equal(fds, []string{"0", "1", "2"}) {
		t.Errorf("descriptors %q", fds)
	}
	if g := strings.Fields(read(t, dir+"/group")); len(g) != 2 || g[0] != g[1] {
		t.Errorf("process and group are %q", g)
	}
	if flags, err := strconv.ParseInt(strings.TrimSpace(read(t, dir+"/flags")), 8, 64); err != nil || flags&syscall.O_NONBLOCK != 0 {
		t.Errorf("standard input has flags %#o, %v", flags, err)
	}
}

func TestOrderAndFirstFailureEnds(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	list := []specs.Hook{sh("echo 0 >> " + log), sh("echo 1 >> " + log), sh("echo 2 >> " + log + "; exit 7"), sh("echo 3 >> " + log)}
	err := RunAll(t.Context(), "createContainer", list, state(), Options{})
	if got := read(t, log); got != "0\n1\n2\n" {
		t.Errorf("ran %q", got)
	}
	var e *Error
	if !errors.As(err, &e) || e.Kind != "createContainer" || e.Index != 2 || e.ExitCode != 7 || e.Path != "/bin/sh" {
		t.Errorf("error %#v", err)
	}
	says(t, err, `error running createContainer hook #2: "/bin/sh": exit status 7, stdout: , stderr: `)
}

func TestBestEffortRunsAll(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	list := []specs.Hook{sh("echo 0 >> " + log + "; exit 1"), sh("echo 1 >> " + log), sh("echo 2 >> " + log + "; exit 2")}
	err := RunAllBestEffort(t.Context(), "poststop", list, state(), Options{})
	if got := read(t, log); got != "0\n1\n2\n" {
		t.Errorf("ran %q", got)
	}
	says(t, err, "poststop hook #0: \"/bin/sh\": exit status 1")
	says(t, err, "poststop hook #2: \"/bin/sh\": exit status 2")
	if err := RunAllBestEffort(t.Context(), "poststop", list[1:2], state(), Options{}); err != nil {
		t.Error(err)
	}
}

func TestSignal(t *testing.T) {
	e := failure(t, sh("kill -9 $$"), Options{})
	if e.Signal != syscall.SIGKILL || e.ExitCode != -1 || e.TimedOut {
		t.Errorf("%#v", e)
	}
	says(t, e, `error running createRuntime hook #0: "/bin/sh": killed by signal 9, stdout: `)
}

func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	zero, minus := 0, -1
	for _, c := range []struct {
		h    specs.Hook
		want string
		is   error
	}{
		{specs.Hook{Path: dir + "/none"}, "/none\": cannot start: no such file or directory", os.ErrNotExist},
		{specs.Hook{Path: plain}, "cannot start: permission denied", os.ErrPermission},
		{specs.Hook{Path: dir}, "cannot start: permission denied", os.ErrPermission},
		{specs.Hook{Path: "sh"}, "path must be absolute", nil},
		{specs.Hook{}, "path must not be empty", nil},
		{specs.Hook{Path: "/bin/true", Timeout: &zero}, "timeout must be greater than zero, not 0", nil},
		{specs.Hook{Path: "/bin/true", Timeout: &minus}, "timeout must be greater than zero, not -1", nil},
		{specs.Hook{Path: "/bin/true", Env: []string{"a=\x00"}}, "cannot start: invalid argument", nil},
	} {
		e := failure(t, c.h, Options{})
		says(t, e, "error running createRuntime hook #0: ")
		says(t, e, c.want)
		if c.is != nil && !errors.Is(e, c.is) {
			t.Errorf("%v is not %v", e, c.is)
		}
	}
}

func TestHookRemovesItsWorld(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	list := []specs.Hook{sh("rm -rf " + dir), sh("true")}
	err := RunAll(t.Context(), "poststart", list, state(), Options{Dir: dir})
	says(t, err, "error running poststart hook #1: ")
	says(t, err, "no working directory")
}

// Another mechanism starts the hook, and is given all it needs.
func TestStarter(t *testing.T) {
	var got []string
	opt := Options{Dir: "/ignored", Start: func(ctx context.Context, h specs.Hook, stdin, stdout, stderr *os.File) (Process, error) {
		got = Args(h)
		if h.Path == "/none" {
			return Process{}, syscall.ENOEXEC
		}
		return StartProcess(ctx, sh("cat; echo err >&2; exit 9"), stdin, stdout, stderr)
	}}
	e := failure(t, specs.Hook{Path: "/in/container"}, opt)
	if !slices.Equal(got, []string{"/in/container"}) || e.ExitCode != 9 || e.Path != "/in/container" {
		t.Errorf("%q, %#v", got, e)
	}
	if e.Stdout != string(encodeState(state())) || e.Stderr != "err\n" {
		t.Errorf("%q, %q", e.Stdout, e.Stderr)
	}
	e = failure(t, specs.Hook{Path: "/none"}, opt)
	if !errors.Is(e, syscall.ENOEXEC) {
		t.Error(e)
	}
	// The process ends, but nobody can say how.
	opt.Start = func(context.Context, specs.Hook, *os.File, *os.File, *os.File) (Process, error) {
		return Process{Wait: func() (syscall.WaitStatus, error) { return 0, syscall.ECHILD }, Kill: func() {}}, nil
	}
	e = failure(t, specs.Hook{Path: "/x"}, opt)
	says(t, e, "cannot wait: no child processes")
	if e.ExitCode != -1 {
		t.Errorf("exit code %d of nobody", e.ExitCode)
	}
}

func TestManyAtOnce(t *testing.T) {
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for range 20 {
				if err := Run(t.Context(), sh("cat > /dev/null; exit 0"), state(), Options{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func BenchmarkRun(b *testing.B) {
	h := specs.Hook{Path: "/bin/true"}
	for b.Loop() {
		if err := Run(b.Context(), h, state(), Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
