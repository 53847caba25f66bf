package crash

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// A setting is something odd about the caller.
type setting struct {
	name  string
	wrap  []string // a program that executes the runtime oddly
	env   []string
	words string // what the error says; empty: it works
}

// shell wraps the runtime into a script that ends by executing it.
func shell(script string) []string { return []string{"/bin/sh", "-c", script + `; exec "$@"`, "sh"} }

func settings() []setting {
	long := []string{}
	for i := range 100 {
		long = append(long, fmt.Sprintf("LONG%d=%s", i, strings.Repeat("x", 10_000)))
	}
	list := []setting{
		{name: "E-06 GOMAXPROCS", env: []string{"GOMAXPROCS=0"}},
		{name: "E-06 GODEBUG", env: []string{"GODEBUG=netdns=go+1,http2debug=1"}},
		{name: "E-06 GOGC", env: []string{"GOGC=off", "GOMEMLIMIT=1"}},
		{name: "E-06 GOTRACEBACK", env: []string{"GOTRACEBACK=crash", "GOCOVERDIR=/nonexistent"}},
		{name: "E-07", env: []string{"LD_PRELOAD=/nonexistent.so", "LD_LIBRARY_PATH=/nonexistent"}},
		{name: "E-08 no PATH", wrap: []string{"/usr/bin/env", "-i"}},
		{name: "E-08 PATH", env: []string{"PATH=.:"}},
		{name: "E-09", env: []string{"TMPDIR=/nonexistent"}},
		{name: "E-10 SIGCHLD ignored", wrap: []string{"/usr/bin/env", "--ignore-signal=CHLD"}},
		{name: "E-10 all blocked", wrap: []string{"/usr/bin/env", "--block-signal"}},
		{name: "E-12 no cwd", wrap: shell("d=$(mktemp -d); cd $d; rmdir $d")},
		{name: "E-13 hidepid", wrap: append([]string{"unshare", "-m"}, shell("mount -t proc -o hidepid=2 proc /proc")...)},
		{name: "E-13 subset", wrap: append([]string{"unshare", "-m"}, shell("mount -t proc -o subset=pid proc /proc")...), words: "/proc"},
		{name: "E-13 no proc", wrap: append([]string{"unshare", "-m"}, shell("umount -l /proc")...), words: "/proc"},
		{name: "E-13 other proc", wrap: append([]string{"unshare", "-m"}, shell("mount -t tmpfs none /proc")...), words: "/proc"},
		{name: "E-14 no_new_privs", wrap: []string{"setpriv", "--no-new-privs"}},
		{name: "E-15 umask", wrap: shell("umask 0777")},
		{name: "E-15 locale", env: []string{"LC_ALL=tr_TR.UTF-8", "LANG=xx", "TZ=Nowhere/Land"}},
		{name: "F-57 environment", env: long},
		{name: "F-57 no cgroups", wrap: append([]string{"unshare", "-m"}, shell("umount -R -l /sys/fs/cgroup")...)},
	}
	for i := range 8 {
		script := ":"
		for fd := range 3 {
			if i>>fd&1 == 1 {
				script = fmt.Sprintf("exec %d>&-; ", fd) + script
			}
		}
		list = append(list, setting{name: fmt.Sprintf("E-11 closed %03b", i), wrap: shell(script)})
	}
	return list
}

func TestSurroundings(t *testing.T) {
	need.Root(t)
	a := newArena(t)
	env := a.r.Env
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			a.r.Env, a.r.Wrap = append(env[:len(env):len(env)], s.env...), s.wrap
			res := a.r.Do("create", "--bundle", a.b.Dir, a.id)
			a.r.Env, a.r.Wrap = env, nil
			switch {
			case s.words == "" && res.Code != 0:
				t.Errorf("%v", res)
			case s.words != "" && (res.Code != 1 || !strings.Contains(res.Stderr, s.words)):
				t.Errorf("want an error with %q: %v", s.words, res)
			case s.words != "" && len(a.left()) > 0:
				t.Errorf("the error left %q", a.left())
			case s.words == "":
				if res := a.r.Do("start", a.id); res.Code != 0 {
					t.Errorf("%v", res)
				}
			}
			if wrong := a.settle(); len(wrong) > 0 {
				t.Errorf("%q", wrong)
				a.sweep()
			}
		})
	}
}

// E-06, E-07: nothing of the caller's environment reaches the container.
func TestForeignEnvironment(t *testing.T) {
	need.Root(t)
	r := lab.New(t)
	r.Env = append(r.Env, "GODEBUG=http2debug=1", "LD_PRELOAD=/x.so", "GOTRACEBACK=all", "FOREIGN=1")
	b := lab.NewBundle(t, lab.Check("env", "GODEBUG", "--", "env", "LD_PRELOAD", "--", "env", "GOTRACEBACK", "--", "env", "FOREIGN", "--", "env", "PATH"))
	if res := r.Run(b).OK(); strings.TrimSpace(res.Stdout) != "/bin:/" {
		t.Errorf("the container's environment: %q", res.Stdout)
	}
}

// E-11: many descriptors, and few.
func TestDescriptors(t *testing.T) {
	need.Root(t)
	a := newArena(t)
	null, err := os.Open("/dev/null")
	must(t, err)
	defer null.Close()
	cmd := a.r.Command("create", "--bundle", a.b.Dir, a.id)
	for range 5000 {
		cmd.ExtraFiles = append(cmd.ExtraFiles, null)
	}
	a.r.Finish(cmd).OK()
	if wrong := a.settle(); len(wrong) > 0 {
		t.Errorf("%q", wrong)
	}
	works := 0
	for limit := 3; limit <= 40 && works < 3; limit++ {
		a.r.Wrap = shell(fmt.Sprintf("ulimit -n %d", limit))
		res := a.r.Do("create", "--bundle", a.b.Dir, a.id)
		a.r.Wrap = nil
		switch {
		case res.Code == 0:
			works++
		case strings.Contains(res.Stderr, "fatal error: runtime: e"): // the Go runtime wants some for itself
		case res.Stderr == "" || strings.Contains(res.Stderr, "ocirt/"):
			t.Errorf("%d descriptors: %v", limit, res)
		case len(a.left()) > 0:
			t.Errorf("%d descriptors: the error left %q", limit, a.left())
		}
		if wrong := a.settle(); len(wrong) > 0 {
			t.Errorf("%d descriptors: %q", limit, wrong)
		}
	}
	if works == 0 {
		t.Errorf("40 descriptors are not enough")
	}
}

// E-15: a program without even its own name.
func TestNoArguments(t *testing.T) {
	need.Root(t)
	r := lab.New(t)
	for _, args := range [][]string{{""}, {"", "list"}, {"", "--root", r.Root, "list"}} {
		cmd := &exec.Cmd{Path: r.Path, Args: args, Env: r.Env}
		if res := r.Finish(cmd); res.Code > 1 || strings.Contains(res.Stderr, "goroutine") {
			t.Errorf("%q: %v", args, res)
		}
	}
}
