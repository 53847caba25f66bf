package corpus

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// TestContractWords makes sure that the words that callers match are in the corpus, whose
// every row is run: there an error must begin with them.
func TestContractWords(t *testing.T) {
	said := map[string]bool{}
	_, rows := tables(t)
	for _, list := range rows {
		for _, r := range list {
			for _, e := range r.Expect {
				said[e.Contract] = true
				if r.Where == "id" {
					said[e.Message] = true
				}
			}
		}
	}
	for _, words := range []string{
		"process property must not be empty", "args must not be empty", "Cwd must be an absolute path",
		"root must be specified", "invalid rootfs", `malformed spec file: duplicated ns "pid"`, `namespace {"xyz" ""} does not exist`,
		"wrong rlimit value: RLIMIT_X", `sysctl "kernel.panic" is not in a separate kernel namespace`,
		"unable to set hostname without a private UTS namespace", "rootfsPropagation=x is not supported",
		"string SCMP_X is not a valid action for seccomp", "invalid personality domain X",
		"time namespace offsets specified, but time namespace isn't enabled in the config",
		"ignoring unknown or unavailable capabilities: [CAP_NOPE]", "can't raise ambient capability CAP_NET_RAW",
		"config cannot be null", "JSON specification file config.json not found",
		`invalid memory policy mode "X"`, "mode requires 0 nodes but got 8", "SCMP_ACT_NOTIFY cannot be used for the write syscall",
	} {
		if !said[words] {
			t.Errorf("no row of the corpus expects %q", words)
		}
	}
	if !slices.ContainsFunc(slicesOf(said), func(s string) bool { return strings.HasPrefix(s, "container id cannot be empty") }) ||
		!slices.ContainsFunc(slicesOf(said), func(s string) bool { return strings.HasPrefix(s, "invalid container ID format") }) {
		t.Error("the words about ids are not in the corpus")
	}
}

func slicesOf(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for s := range set {
		list = append(list, s)
	}
	return list
}

// TestTexts has what is said only of a container, or of a real file system.
func TestTexts(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*stage)
		words []string // in this order, after "NAME create failed: unable to start container process: "
		init  bool     // it is an error of the container's side
		from  string
	}{
		{
			"proc is a link", func(s *stage) { must(s, os.Symlink("tmp", s.rootfs("proc"))) },
			[]string{`error mounting "proc" to rootfs at "/proc": `, `must be mounted on ordinary directory`},
			true, "/mounts/0",
		},
		{
			"sys is a link", func(s *stage) { must(s, os.Symlink("tmp", s.rootfs("sys"))) },
			[]string{`error mounting "sysfs" to rootfs at "/sys": `, `must be mounted on ordinary directory`},
			true, "/mounts/5",
		},
		{"not permitted", func(s *stage) {
			s.userNamespace(100000, 1000)
			must(s, os.Chown(s.rootfs(""), 100000, 100000))
			s.mount("/x", "ext4", "/dev/none")
		}, []string{`error mounting "/dev/none" to rootfs at "/x": `, "operation not permitted"}, true, "/mounts/7"},
		{
			"cwd is a file", func(s *stage) { s.put("/process/cwd", "/bin/true") },
			[]string{`chdir to cwd ("/bin/true") set in config.json failed: `},
			true, "/process/cwd",
		},
		{
			"not in PATH", func(s *stage) { s.put("/process/args", []string{"nope-x"}) },
			[]string{`exec: "nope-x": executable file not found in $PATH`},
			true, "/process/args/0",
		},
		{"not executable", script("x", 0o644), []string{`exec: "/run.sh": permission denied`}, true, "/process/args/0"},
		{
			"hook", func(s *stage) { s.hook("createRuntime", "exit 3") },
			[]string{"error running createRuntime hook #0:", "exit status 3"},
			true, "/hooks/createRuntime/0",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, false)
			c.set(s)
			s.write(&row{})
			prefix := " failed: unable to start container process: "
			if c.init {
				prefix += "error during container init: "
			}
			for _, command := range []string{"create", "run"} {
				rec := s.fails(command, s.runtime.ID())
				rest, ok := strings.CutPrefix(rec.Msg, "ocirt "+command+prefix)
				if !ok {
					t.Errorf("it begins otherwise: %s", rec.Msg)
				}
				for _, w := range c.words {
					var found bool
					if _, rest, found = strings.Cut(rest, w); !found {
						t.Errorf("%q is not said, or not in its place: %s", w, rec.Msg)
					}
				}
				if rec.Config != c.from {
					t.Errorf("%q asked for it, and not %q", c.from, rec.Config)
				}
				s.gone()
			}
		})
	}
}

// A working directory that is missing is made.
func TestWorkingDirectoryIsMade(t *testing.T) {
	s := newStage(t, false)
	s.put("/process/cwd", "/not/yet")
	s.put("/process/args", []string{"true", "try-getcwd"})
	s.write(&row{})
	if out := s.do("run", s.runtime.ID()).OK().Stdout; out != "ok\n" {
		t.Errorf("it says %q", out)
	}
	if st, err := os.Stat(s.rootfs("not/yet")); err != nil || !st.IsDir() {
		t.Errorf("it is not there: %v", err)
	}
	s.gone()
}

// TestMissingRoots: a default state directory that is missing holds no containers, one that
// was named is a mistake.
func TestMissingRoots(t *testing.T) {
	s := newStage(t, true)
	cmd := s.runtime.Command("list", "-q")
	cmd.Args = slices.Delete(cmd.Args, 1, 3) // --root
	if res := s.runtime.Finish(cmd); res.Code != 0 || res.Stdout != "" {
		t.Errorf("the default: %v", res)
	}
	cmd = s.runtime.Command("list", "-q")
	cmd.Args[2] = s.dir + "/none"
	if res := s.runtime.Finish(cmd); res.Code != 1 || !strings.Contains(res.Stderr, "none") {
		t.Errorf("a directory that was named: %v", res)
	}
}

// TestStates goes through the states of a container, and tries in each what does not fit.
func TestStates(t *testing.T) {
	s := newStage(t, false)
	s.put("/process/args", []string{"true", "sleep", "forever"})
	s.write(&row{})
	id := s.runtime.ID()
	try := func(code int, want string, args ...string) {
		t.Helper()
		res := s.runtime.Do(args...)
		if res.Code != code || !strings.Contains(res.Stderr, want) || want == "" && res.Stderr != "" {
			t.Errorf("want status %d and %q, got %v", code, want, res)
		}
	}
	must(t, errorOf(s.do("create", id)))
	try(0, "", "start", id)
	try(1, `msg="cannot start an already running container"`, "start", id)
	try(1, `msg="cannot delete container `+id+` that is not stopped: running"`, "delete", id)
	try(0, "", "kill", id, "0")
	try(1, `unknown signal \"X\"`, "kill", id, "X")
	try(0, "", "kill", id, "KILL")
	if !lab.Eventually(func() bool { return strings.Contains(s.runtime.Do("state", id).Stdout, `"stopped"`) }) {
		t.Fatal("it does not end")
	}
	try(1, `msg="cannot start a container that has stopped"`, "start", id)
	try(1, `msg="container not running"`, "kill", id)
	try(1, `msg="container not running"`, "kill", id, "0")
	try(0, "", "kill", "--all", id, "9")
	try(0, "", "kill", "-a", id)
	if res := s.runtime.Do("ps", "-f", "json", id); res.Code != 0 || res.Stdout != "[]\n" && res.Stdout != "null\n" {
		t.Errorf("ps of a stopped container: %v", res)
	}
	try(0, "", "delete", id)
	for _, args := range [][]string{{"state", id}, {"start", id}, {"kill", id}, {"ps", id}, {"delete", id}} {
		try(1, `container does not exist`, args...)
	}
	try(0, "", "delete", "--force", id)
	try(0, "", "delete", "-f", id)
	s.gone()
}

// errorOf turns a failure into an error.
func errorOf(res lab.Result) error {
	if res.Code != 0 {
		return os.NewSyscallError(res.String(), os.ErrInvalid)
	}
	return nil
}
