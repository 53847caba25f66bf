package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// A newline in a pid file breaks containerd's Atoi; half a file would break everybody's.
func TestRule02PidFilesAreNumbers(t *testing.T) {
	r := bench(t)
	dir := lab.Dir(t)
	must(t, os.WriteFile(dir+"/old", []byte("123456789 and more"), 0o600))
	b := sleeper(t)
	for _, c := range []struct {
		name string
		args []string
	}{
		{"new", []string{"create"}}, {"old", []string{"create"}}, {"run", []string{"run", "--detach"}},
	} {
		id := r.ID()
		r.Do(append(c.args, "--bundle", b.Dir, "--pid-file", filepath.Join(dir, c.name), id)...).OK()
		if text := read(t, filepath.Join(dir, c.name)); text != strconv.Itoa(r.PidOf(id)) {
			t.Errorf("%s: the file of process %d has %q", c.name, r.PidOf(id), text)
		}
		r.Do("delete", "--force", id).OK()
	}
	b.Edit(lab.Args("/nosuch"))
	r.Do("create", "--bundle", b.Dir, "--pid-file", dir+"/none", r.ID()).Failed()
	if got := names(t, dir); got != "new old run" {
		t.Errorf("files are %q", got)
	}
}

func TestRule02PidFilesOfExec(t *testing.T) {
	r := bench(t)
	command(t, r, "exec")
	dir := lab.Dir(t)
	c := r.Launch(sleeper(t))
	r.Do("exec", "--detach", "--pid-file", dir+"/good", "--process", process(t, "/inside", "sleep", "forever"), c.ID).OK()
	if pid := execed(t, dir+"/good"); pid == c.Pid || !strings.Contains(read(t, fmt.Sprintf("/proc/%d/cmdline", pid)), "sleep") {
		t.Errorf("the file has %q", read(t, dir+"/good"))
	}
	// conmon takes an exec with a pid file for one that has started.
	if res := r.Do("exec", "--detach", "--pid-file", dir+"/bad", "--process", process(t, "/nosuch"), c.ID); res.Code != 255 {
		t.Errorf("%v", res)
	}
	if got := names(t, dir); got != "good" {
		t.Errorf("files are %q", got)
	}
}

// conmon and CRI-O leave --systemd-cgroup out of later commands.
func TestRule11TheCgroupDriverIsRemembered(t *testing.T) {
	r := bench(t)
	_, err := os.Stat("/run/systemd/system")
	_, unified := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	need.Feature(t, "systemd", err == nil && unified == nil, "systemd does not manage a cgroup v2 host")
	limit := int64(64 << 20)
	b := sleeper(t, func(s *specs.Spec) {
		s.Linux.CgroupsPath = fmt.Sprintf("system.slice:lab:%d", os.Getpid())
		s.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}
	})
	scope := fmt.Sprintf("lab-%d.scope", os.Getpid())
	id := r.ID()
	quiet(t, r.Do("--systemd-cgroup", "create", "--bundle", b.Dir, id))
	pid := r.PidOf(id)
	if cgroup := read(t, fmt.Sprintf("/proc/%d/cgroup", pid)); !strings.Contains(cgroup, "/system.slice/"+scope) {
		t.Errorf("the container is in %s", cgroup)
	}
	quiet(t, r.Do("start", id))
	t.Run("exec", func(t *testing.T) {
		command(t, r, "exec")
		res := r.Do("exec", "--process", process(t, "/inside", "read", "/proc/self/cgroup"), id)
		if res.Code != 0 || res.Stderr != "" {
			t.Errorf("%v", res)
		}
	})
	t.Run("update", func(t *testing.T) {
		command(t, r, "update")
		cmd := r.Command("update", "--resources", "-", id)
		cmd.Stdin = strings.NewReader(`{"memory":{"limit":100663296}}`)
		quiet(t, r.Finish(cmd))
		out, _ := exec.Command("systemctl", "show", "-p", "MemoryMax", scope).Output()
		if string(out) != "MemoryMax=100663296\n" {
			t.Errorf("systemd knows %s", out)
		}
	})
	quiet(t, r.Do("kill", id, "9"))
	quiet(t, r.Do("delete", "--force", id))
	if out, _ := exec.Command("systemctl", "is-active", scope).Output(); string(out) == "active\n" {
		t.Errorf("the unit %s is left", scope)
	}
}

// The driver that is not systemd is remembered as well: saying otherwise later is of no
// consequence.
func TestRule11CgroupfsIsRemembered(t *testing.T) {
	r := bench(t)
	c := r.Launch(sleeper(t))
	for _, args := range [][]string{{"--systemd-cgroup", "state", c.ID}, {"--systemd-cgroup", "kill", c.ID, "9"}, {"--systemd-cgroup", "delete", "--force", c.ID}} {
		r.Do(args...).OK()
	}
	r.NothingLeft()
}

// The shim sends `kill --all ID 9` after the end of a container that shares its pid
// namespace.
func TestRule12KillAll(t *testing.T) {
	for name, edit := range map[string]lab.Edit{"own": func(*specs.Spec) {}, "shared": lab.Without(specs.PIDNamespace)} {
		t.Run(name, func(t *testing.T) {
			r := bench(t)
			c := r.Launch(shell(t, `sleep 1000 & echo child $!; wait`, edit))
			c.Line(1)
			children := func() []string { return cgroupPids(t, c.ID) }
			if !lab.Eventually(func() bool { return len(children()) == 2 }) {
				t.Fatalf("the container has %q", children())
			}
			must(t, unix.Kill(c.Pid, unix.SIGKILL))
			stopped(t, c)
			quiet(t, r.Do("kill", "--all", c.ID, "9"))
			if !lab.Eventually(func() bool { return len(children()) == 0 }) {
				t.Errorf("left: %q", children())
			}
			quiet(t, r.Do("kill", "--all", c.ID, "9"))
			quiet(t, r.Do("kill", "-a", c.ID))
			quiet(t, r.Do("delete", c.ID))
			r.Do("kill", "--all", c.ID, "9").Failed("container does not exist")
		})
	}
}

// cgroupPids are the processes in the cgroups that bear a container's id: by name, or as the
// scope that systemd makes.
func cgroupPids(t *testing.T, id string) []string {
	t.Helper()
	var pids []string
	for _, top := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		_ = filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() && (d.Name() == id || strings.HasSuffix(d.Name(), "-"+id+".scope")) {
				data, _ := os.ReadFile(path + "/cgroup.procs")
				pids = append(pids, strings.Fields(string(data))...)
			}
			return nil
		})
		if len(pids) > 0 {
			break
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

func TestRule13DeleteForceOfNobody(t *testing.T) {
	r := bench(t)
	quiet(t, r.Do("delete", "--force", "nobody"))
	quiet(t, r.Do("delete", "-f", "nobody"))
	must(t, os.RemoveAll(r.Root))
	quiet(t, r.Do("delete", "--force", "nobody"))
	if _, err := os.Stat(r.Root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state directory was made: %v", err)
	}
	r.Do("delete", "nobody").Failed("container does not exist")
}

// podman cleans up containers that it never started.
func TestRule14DeleteOfACreatedContainer(t *testing.T) {
	r := bench(t)
	c := r.Create(sleeper(t))
	quiet(t, r.Do("delete", c.ID))
	r.Do("state", c.ID).Failed("container does not exist")
	r.NothingLeft()
	c = r.Launch(sleeper(t))
	r.Do("delete", c.ID).Failed("cannot delete container " + c.ID + " that is not stopped: running")
	if c.State().Status != "running" {
		t.Error("it does not run any more")
	}
}

// CRI-O records exit status 255 when state fails.
func TestRule15StateOfADeadContainer(t *testing.T) {
	for name, start := range map[string]bool{"ended": true, "never started": false} {
		t.Run(name, func(t *testing.T) {
			r := bench(t)
			c := r.Create(sleeper(t))
			if s := c.State(); s.Status != "created" || s.Pid != c.Pid || c.Pid == 0 {
				t.Errorf("%+v", s)
			}
			if start {
				c.Start()
				if s := c.State(); s.Status != "running" {
					t.Errorf("%+v", s)
				}
			}
			before := c.State()
			must(t, unix.Kill(c.Pid, unix.SIGKILL))
			// Nobody takes its status yet: a zombie is dead already.
			must(t, unix.Waitid(unix.P_PID, c.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil))
			for range 3 {
				res := r.Do("state", c.ID).OK()
				s := c.State()
				if s.Status != "stopped" || s.Pid != 0 || s.Bundle != before.Bundle || res.Stderr != "" {
					t.Errorf("%v", res)
				}
			}
			var s struct{ Created time.Time }
			must(t, json.Unmarshal([]byte(r.Do("state", c.ID).Stdout), &s))
			if d := time.Since(s.Created); d < 0 || d > time.Minute {
				t.Errorf("created %v ago", d)
			}
			c.Wait()
			if s := c.State(); s.Status != "stopped" || s.Pid != 0 {
				t.Errorf("after it was waited for: %+v", s)
			}
			quiet(t, r.Do("delete", c.ID))
		})
	}
}

// The shim is a subreaper: it learns of the end of the container from SIGCHLD.
func TestRule17NothingStandsBetween(t *testing.T) {
	r := bench(t)
	before := lab.Children()
	c := r.Create(sleeper(t))
	if parent := parentOf(t, c.Pid); parent != os.Getpid() {
		t.Errorf("the parent of the container's process is %d: %s; we are %d", parent, read(t, fmt.Sprintf("/proc/%d/cmdline", parent)), os.Getpid())
	}
	started := func(what string, want ...int) {
		t.Helper()
		now := slices.DeleteFunc(lab.Children(), func(pid int) bool { return slices.Contains(before, pid) })
		if !slices.Equal(now, want) {
			t.Errorf("%s: children are %d, want %d", what, now, want)
		}
		if pids := cgroupPids(t, c.ID); len(pids) != len(want) {
			t.Errorf("%s: %q are in the cgroup", what, pids)
		}
	}
	started("created", c.Pid)
	c.Start()
	started("running", c.Pid)
	must(t, unix.Kill(c.Pid, unix.SIGKILL))
	if code := c.Wait(); code != 128+9 {
		t.Errorf("the status is %d", code)
	}
}

func TestRule17NothingStandsBetweenExecs(t *testing.T) {
	r := bench(t)
	command(t, r, "exec")
	c := r.Launch(sleeper(t))
	file := lab.Dir(t) + "/pid"
	r.Do("exec", "--detach", "--pid-file", file, "--process", process(t, "/inside", "sleep", "0.2", "--", "exit", "5"), c.ID).OK()
	pid, err := strconv.Atoi(read(t, file))
	must(t, err)
	if parent := parentOf(t, pid); parent != os.Getpid() {
		t.Errorf("the parent is %d: %s", parent, read(t, fmt.Sprintf("/proc/%d/cmdline", parent)))
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(pid, &ws, 0, nil); err != nil || ws.ExitStatus() != 5 {
		t.Errorf("status %d: %v", ws.ExitStatus(), err)
	}
}

func parentOf(t *testing.T, pid int) int {
	t.Helper()
	stat := read(t, fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	parent, err := strconv.Atoi(fields[1])
	must(t, err)
	return parent
}

// BuildKit and CRI-O take the runtime's exit status for the program's.
func TestRule22ExitStatuses(t *testing.T) {
	r := bench(t)
	b := lab.NewBundle(t)
	for status, check := range map[int][]string{
		0: {"exit", "0"}, 1: {"exit", "1"}, 42: {"exit", "42"}, 255: {"exit", "255"}, 128 + 9: {"kill-self", "9"}, 128 + 15: {"kill-self", "15"},
	} {
		// The first process of a pid namespace is not killed by its own signals.
		b.Edit(lab.Without(specs.PIDNamespace), lab.Check(check...))
		if res := r.Run(b); res.Code != status || res.Stderr != "" {
			t.Errorf("want %d: %v", status, res)
		}
	}
	if res := r.Run(lab.NewBundle(t, lab.Args("/nosuch"))); res.Code != 1 {
		t.Errorf("a program that is missing: %v", res)
	}
	if res := r.Do("nosuch"); res.Code != 3 {
		t.Errorf("a command that is unknown: %v", res)
	}
}

func TestRule22ExitStatusesOfExec(t *testing.T) {
	r := bench(t)
	command(t, r, "exec")
	c := r.Launch(sleeper(t))
	for status, check := range map[int][]string{0: {"exit", "0"}, 7: {"exit", "7"}, 255: {"exit", "255"}, 128 + 9: {"kill-self", "9"}, 128 + 15: {"kill-self", "15"}} {
		res := r.Do("exec", "--process", process(t, append([]string{"/inside"}, check...)...), c.ID)
		if res.Code != status || res.Stderr != "" {
			t.Errorf("want %d: %v", status, res)
		}
	}
	for name, args := range map[string][]string{
		"program":   {c.ID, "/nosuch"},
		"container": {"nobody", "/inside"},
		"process":   {"--process", "/nosuch.json", c.ID},
		"cwd":       {"--cwd", "/inside", c.ID, "/inside"},
		"user":      {"--user", "nosuch", c.ID, "/inside"},
	} {
		if res := r.Do(append([]string{"exec"}, args...)...); res.Code != 255 || res.Stderr == "" {
			t.Errorf("%s: want 255: %v", name, res)
		}
	}
}
