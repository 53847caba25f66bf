package exec

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// A further process is like the first one in everything that config.json says of it: what
// create does and exec forgets would show here.
func TestLikeTheFirst(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		umask := uint32(0o027)
		caps := []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"}
		edit := func(c *specs.Spec) {
			p := c.Process
			p.Env = []string{"PATH=/bin:/", "A=1", "A=2", "B="}
			p.Cwd = "/tmp"
			p.User.Umask = &umask
			p.NoNewPrivileges = true
			p.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps[:2], Permitted: caps, Inheritable: caps[2:], Ambient: caps[2:]}
			p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 4096}}
			p.IOPriority = &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_BE", Priority: 6}
			p.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 5}
			adj := 500
			p.OOMScoreAdj = &adj
			c.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
			c.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno},
			}}
			if s.ids != 1 {
				p.User.UID, p.User.GID = 7, 8
			}
			if s.r.User == 0 {
				p.User.AdditionalGids = []uint32{9, 10}
			}
		}
		first := s.r.Report(s.bundle(t, edit))
		c := s.launch(t, edit)
		further := s.look(t, c)
		if first.Process.Cwd != "/tmp" || !slices.Equal(further.Process.Env, first.Process.Env) || further.Process.Cwd != first.Process.Cwd {
			t.Errorf("environment and directory are %q in %q, want %q in %q", further.Process.Env, further.Process.Cwd, first.Process.Env, first.Process.Cwd)
		}
		first.Identity.Threads, further.Identity.Threads = 0, 0 // the Go runtime's business
		for name, pair := range map[string][2]any{
			"identity":   {further.Identity, first.Identity},
			"maps":       {further.Maps, first.Maps},
			"system":     {further.System, first.System},
			"limits":     {further.Limits, first.Limits},
			"scheduling": {further.Scheduling, first.Scheduling},
			"files":      {slices.Sorted(maps.Keys(further.Files)), slices.Sorted(maps.Keys(first.Files))},
			"keyring":    {further.Keyring == "", first.Keyring == ""},
		} {
			if !reflect.DeepEqual(pair[0], pair[1]) {
				t.Errorf("%s is %+v, that of the first process is %+v", name, pair[0], pair[1])
			}
		}
		for _, kind := range []specs.LinuxNamespaceType{"pid", "network", "ipc", "uts", "mount", "cgroup", "user"} {
			if its := readlink(t, c.Namespace(kind)); further.Namespace(kind) != its {
				t.Errorf("%s namespace is %s, that of the container is %s", kind, further.Namespace(kind), its)
			}
		}
	})
}

func readlink(t *testing.T, path string) string {
	t.Helper()
	to, err := os.Readlink(path)
	must(t, err)
	return to
}

func TestFlags(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.launch(t)
		if r := s.look(t, c, "--cwd", "/tmp", "--env", "A=1,2", "-e", "PATH=/", "--no-new-privs"); r.Process.Cwd != "/tmp" || !r.Identity.NoNewPrivs ||
			!slices.Contains(r.Process.Env, "A=1,2") || !slices.Contains(r.Process.Env, "PATH=/") || slices.Contains(r.Process.Env, "PATH=/bin:/") {
			t.Errorf("%+v", r.Process)
		}
		if s.ids == 1 {
			return
		}
		if r := s.look(t, c, "--user", "1000"); r.Identity.UIDs[1] != 1000 || r.Identity.GIDs[1] != 0 {
			t.Errorf("ids are %v %v, want 1000 and 0", r.Identity.UIDs, r.Identity.GIDs)
		}
		if r := s.look(t, c, "-u", "5:6", "-g", "7", "--additional-gids", "8"); r.Identity.UIDs[1] != 5 || r.Identity.GIDs[1] != 6 || !slices.Equal(r.Identity.Groups, []int{7, 8}) {
			t.Errorf("ids are %v %v %v, want 5, 6 and 7, 8", r.Identity.UIDs, r.Identity.GIDs, r.Identity.Groups)
		}
	})
}

// A capability is added to what the process may do, and never to what its children inherit.
func TestCap(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.launch(t)
		const netRaw = 13
		r := s.look(t, c, "--cap", "CAP_NET_RAW")
		for set, want := range map[string]bool{"effective": true, "permitted": true, "bounding": true, "inheritable": false, "ambient": false} {
			if got := slices.Contains(r.Identity.Caps[set], netRaw); got != want {
				t.Errorf("CAP_NET_RAW in the %s set: %v, want %v (%v)", set, got, want, r.Identity.Caps)
			}
		}
		if again := s.look(t, c); slices.Contains(again.Identity.Caps["bounding"], netRaw) {
			t.Error("it is still there in the next process")
		}
		if out := s.exec(c, []string{"-c", "CAP_NOPE"}, "/inside", "pid").OK(); !strings.Contains(out.Stderr, "CAP_NOPE") {
			t.Errorf("no warning: %v", out)
		}
	})
}

// process writes a process object and returns its path.
func process(t *testing.T, s stance, object any) string {
	t.Helper()
	data, err := json.Marshal(object)
	must(t, err)
	path := lab.Dir(t) + "/process.json"
	must(t, os.WriteFile(path, data, 0o644))
	return path
}

func TestProcessObject(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		limits := []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 300, Hard: 300}}
		c := s.launch(t, func(c *specs.Spec) { c.Process.Rlimits, c.Process.NoNewPrivileges = limits, true })
		first := s.look(t, c)
		object := map[string]any{"args": []string{"/inside", "report"}, "cwd": "/tmp", "user": map[string]int{"uid": 0, "gid": 0}}
		file := process(t, s, object)
		for name, result := range map[string]lab.Result{
			"file":  s.exec(c, []string{"--process", file}),
			"short": s.exec(c, []string{"-p", file}),
			"stdin": func() lab.Result {
				cmd := s.r.Command("exec", "--process", "-", c.ID)
				f, err := os.Open(file)
				must(t, err)
				defer f.Close()
				cmd.Stdin = f
				return s.r.Finish(cmd)
			}(),
		} {
			r := lab.ParseReport(t, result.OK().Stdout)
			if r.Process.Cwd != "/tmp" || !slices.Equal(r.Process.Env, []string{"HOME=/"}) {
				t.Errorf("%s: %+v", name, r.Process)
			}
			// What is left out is the container's, but for what has a value when it is not there.
			if !reflect.DeepEqual(r.Identity.Caps, first.Identity.Caps) || r.Limits["RLIMIT_NOFILE"] != first.Limits["RLIMIT_NOFILE"] || r.Identity.NoNewPrivs {
				t.Errorf("%s: %+v %+v", name, r.Identity, r.Limits)
			}
		}
		object["capabilities"] = map[string]any{}
		object["args"] = []string{"/inside", "report", "identity"}
		if r := lab.ParseReport(t, s.exec(c, []string{"-p", process(t, s, object)}).OK().Stdout); len(r.Identity.Caps["permitted"]) != 0 {
			t.Errorf("capabilities are %v, want none", r.Identity.Caps)
		}
	})
}

// The configuration is that of the container, not of a file that has been changed since.
func TestConfigurationIsKept(t *testing.T) {
	s := asRoot(t)
	b := s.bundle(t, forever)
	c := s.r.Launch(b)
	b.Edit(func(c *specs.Spec) { c.Process.Cwd, c.Process.Env = "/tmp", nil })
	if r := s.look(t, c); r.Process.Cwd != "/" {
		t.Errorf("directory is %s", r.Process.Cwd)
	}
}

func TestHome(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, forever)
		b.File("etc/passwd", "root:x:0:0::/tmp/home:/bin/sh\n1000:x:0:0::/wrong:/bin/sh\nu:x:1000:0::/home/u:\n", 0o644)
		s.own(b)
		c := s.r.Launch(b)
		if got := s.exec(c, nil, "/inside", "env", "HOME").OK().Stdout; got != "/tmp/home\n" {
			t.Errorf("HOME is %q", got)
		}
		if got := s.exec(c, []string{"-e", "HOME=/x"}, "/inside", "env", "HOME").OK().Stdout; got != "/x\n" {
			t.Errorf("HOME is %q", got)
		}
		if s.ids == 1 {
			return
		}
		if got := s.exec(c, []string{"-u", "1000"}, "/inside", "env", "HOME").OK().Stdout; got != "/home/u\n" {
			t.Errorf("HOME is %q", got)
		}
	})
}

func TestAffinity(t *testing.T) {
	s := asRoot(t)
	c := s.launch(t, func(c *specs.Spec) { c.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "1", Final: "0"} })
	all := s.r.Report(s.bundle(t)).Scheduling.CPUs
	if all == "0" || all == "1" {
		t.Skip("the tests may run on one processor only: " + all)
	}
	if got := s.look(t, c).Scheduling.CPUs; got != "0" {
		t.Errorf("processors are %q, want 0", got)
	}
	object := map[string]any{"args": []string{"/inside", "report"}, "cwd": "/", "execCPUAffinity": map[string]string{"final": "1"}}
	if got := lab.ParseReport(t, s.exec(c, []string{"-p", process(t, s, object)}).OK().Stdout).Scheduling.CPUs; got != "1" {
		t.Errorf("processors are %q, want 1", got)
	}
	object["execCPUAffinity"] = map[string]string{"initial": "1"}
	if got := lab.ParseReport(t, s.exec(c, []string{"-p", process(t, s, object)}).OK().Stdout).Scheduling.CPUs; got != all {
		t.Errorf("processors are %q, want %s", got, all)
	}
}
