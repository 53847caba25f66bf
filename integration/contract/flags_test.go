package contract

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// go-runc sends -no-subreaper with one dash, --rootless=false, --format=json.
func TestRule01FlagsWithOneDashAndWithEquals(t *testing.T) {
	r := bench(t)
	b := sleeper(t)
	id := r.ID()
	quiet(t, r.Do("-rootless=false", "--systemd-cgroup=false", "-log-format=text", "--debug=false",
		"create", "-bundle="+b.Dir, "-no-pivot=false", "-no-new-keyring", "-preserve-fds=0", "-pid-file", b.Dir+"/pid", id))
	if pid := r.PidOf(id); read(t, b.Dir+"/pid") != strconv.Itoa(pid) {
		t.Errorf("the flags were not understood: pid file %q of process %d", read(t, b.Dir+"/pid"), pid)
	}
	quiet(t, r.Do("delete", "-force", id))

	b.Edit(lab.Check("exit", "7"))
	for _, flags := range [][]string{{"-no-subreaper"}, {"--no-subreaper"}, {"-keep=false", "-no-subreaper=true"}} {
		if res := r.Run(b, flags...); res.Code != 7 {
			t.Errorf("%q: %v", flags, res)
		}
	}
	if res := r.Do("list", "-format=json"); res.Code != 0 || res.Stdout != "[]\n" {
		t.Errorf("%v", res)
	}
	for _, args := range [][]string{{"-nosuch"}, {"state", "--nosuch=1", "x"}, {"run", "-x", "id"}} {
		if res := r.Do(args...).Failed("flag provided but not defined: -"); strings.Contains(res.Stderr, "--nosuch") {
			t.Errorf("%q: two dashes: %s", args, res.Stderr)
		}
	}
}

// Environment variables are not split at commas: `--env A=1,2` is one variable.
func TestRule01ListsAreNotSplit(t *testing.T) {
	r := bench(t)
	command(t, r, "exec")
	c := r.Launch(sleeper(t))
	if res := r.Do("exec", "--env", "A=1,2", "-e=B=3,4", c.ID, "/inside", "env", "A", "--", "env", "B"); res.Code != 0 || res.Stdout != "1,2\n3,4\n" {
		t.Errorf("%v", res)
	}
}

// Who probes for checkpoints must find what is there, and only that.
func TestRule18CheckpointHelpTellsTheTruth(t *testing.T) {
	r := bench(t)
	res := r.Do("checkpoint", "--help")
	criu := strings.Contains(r.Do("features").OK().Stdout, `"org.opencontainers.runc.checkpoint.enabled": "true"`)
	if (res.Code == 0) != criu {
		t.Errorf("checkpoint is there: %v; features say so: %v", res.Code == 0, criu)
	}
	if !criu {
		t.Error("features say that there are no checkpoints")
	}
	for _, name := range []string{"checkpoint", "restore"} {
		if res := r.Do(name, "--help"); res.Code != 0 || !strings.Contains(res.Stdout, "--image-path") || res.Stderr != "" {
			t.Errorf("help of %s: %v", name, res)
		}
	}
}

// podman looks whether restore knows a flag by giving it no value.
func TestRule19FlagsWithoutTheirValue(t *testing.T) {
	r := bench(t)
	for _, args := range [][]string{{"create", "--bundle"}, {"run", "--pid-file"}, {"list", "--format"}} {
		res := r.Do(args...).Failed("flag needs an argument: --" + strings.TrimLeft(args[1], "-"))
		if res.Code != 1 {
			t.Errorf("%v", res)
		}
	}
	cmd := exec.Command(r.Path, "--root")
	cmd.Env = r.Env
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "flag needs an argument: --root") {
		t.Errorf("global flag: %s", out)
	}
	r.Do("restore", "--lsm-mount-context").Failed("flag needs an argument: --lsm-mount-context")
}

// podman sends --cgroup-manager as two arguments to runtimes that it knows to take it.
func TestRule20CgroupManagerIsAccepted(t *testing.T) {
	r := bench(t)
	b := sleeper(t)
	for _, name := range []string{"cgroupfs", "disabled"} {
		id := r.ID()
		res := r.Do("--cgroup-manager", name, "create", "--bundle", b.Dir, id)
		if res.Code != 0 {
			t.Errorf("%v", res)
			continue
		}
		mine := strings.Contains(read(t, "/proc/"+strconv.Itoa(r.PidOf(id))+"/cgroup"), id)
		if mine != (name == "cgroupfs") {
			t.Errorf("%s: the container has cgroups of its own: %v", name, mine)
		}
		quiet(t, r.Do("--cgroup-manager="+name, "start", id))
		quiet(t, r.Do("kill", "--all", id, "9"))
		quiet(t, r.Do("--cgroup-manager", name, "delete", "--force", id))
	}
	r.NothingLeft()
	r.Do("--cgroup-manager", "systemd", "list").OK()
	r.Do("--cgroup-manager", "nosuch", "list").Failed("invalid cgroup-manager: nosuch")
}

// podman and CRI-O give next to no environment.
func TestRule23NothingOfTheEnvironmentIsNeeded(t *testing.T) {
	r := bench(t)
	b := sleeper(t)
	gone := filepath.Join(lab.Dir(t), "gone")
	must(t, os.Mkdir(gone, 0o755))
	r.Env = []string{}
	do := func(args ...string) lab.Result {
		cmd := r.Command(args...)
		cmd.Env = []string{}
		cmd.Args = append([]string{"/bin/sh", "-c", `cd "$0"; rmdir "$0"; exec "$@"`, gone}, cmd.Args...)
		cmd.Path = "/bin/sh"
		must(t, os.MkdirAll(gone, 0o755))
		return r.Finish(cmd)
	}
	need.Tool(t, "sh")
	id := r.ID()
	quiet(t, do("create", "--bundle", b.Dir, "--pid-file", b.Dir+"/pid", id))
	quiet(t, do("start", id))
	if res := do("state", id); res.Code != 0 || !strings.Contains(res.Stdout, `"running"`) || res.Stderr != "" {
		t.Errorf("%v", res)
	}
	quiet(t, do("kill", id, "KILL"))
	for _, args := range [][]string{{"list"}, {"features"}, {"--version"}, {"ps", "-f", "json", id}} {
		if res := do(args...); res.Code != 0 || res.Stderr != "" {
			t.Errorf("%v", res)
		}
	}
	quiet(t, do("delete", "--force", id))
	r.NothingLeft()
}
