package systemd

import (
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// inSession runs a shell's script as an ordinary user who has logged in: not in the group of
// the user's systemd but beside it, out of which a user may move no process.
func inSession(t *testing.T, name, script string) (string, error) {
	t.Helper()
	// The runtime folder of a user who logs in now is not mounted where the tests are.
	out, err := exec.Command(need.Tool(t, "nsenter"), "--target", "1", "--mount", "--",
		need.Tool(t, "su"), "-l", name, "-c", script).CombinedOutput()
	return string(out), err
}

// visitor is an ordinary user of this machine that can log in.
func visitor(t *testing.T) (name string, uid, gid int) {
	t.Helper()
	u, err := user.Lookup("rootless")
	need.Feature(t, "visitor", err == nil, "no user called rootless, whom the tests could log in")
	uid, err = strconv.Atoi(u.Uid)
	if err == nil {
		gid, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := inSession(t, u.Username, "cat /proc/self/cgroup")
	need.Feature(t, "session", err == nil && strings.Contains(out, ".scope") && !strings.Contains(out, "user@"), "a login makes no session: "+out)
	return u.Username, uid, gid
}

func TestExecFromASession(t *testing.T) {
	need.Root(t)
	r := onBench(t)
	name, uid, gid := visitor(t)
	user := func(s *specs.Spec) {
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: uint32(uid), Size: 1}}
		s.Linux.GIDMappings = []specs.LinuxIDMapping{{HostID: uint32(gid), Size: 1}}
	}
	b := bundle(t, lab.UserNamespace(0, 0, 1), user, lab.Without(specs.CgroupNamespace), func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/inside", Args: []string{"inside", "read", "/proc/self/cgroup"}}}}
	}).Busybox().Chown(uid, gid)
	id := r.ID()
	out, err := inSession(t, name, strings.NewReplacer("OCIRT", r.Path, "ID", id, "BUNDLE", b.Dir).Replace(`
		ocirt="OCIRT --root $XDG_RUNTIME_DIR/ID"
		trap '$ocirt delete --force ID; rm -rf $XDG_RUNTIME_DIR/ID' EXIT
		$ocirt --systemd-cgroup create --bundle BUNDLE ID </dev/null >/dev/null || exit 1
		$ocirt start ID || exit 1
		$ocirt exec ID /bin/sh -c 'echo exec: $(/bin/busybox cat /proc/self/cgroup)' || exit 1
		mkdir /sys/fs/cgroup$(grep -o '/.*' /proc/$($ocirt state ID | grep -o '"pid": [0-9]*' | grep -o '[0-9]*')/cgroup)/below || exit 1
		$ocirt exec --cgroup /below ID /bin/sh -c 'echo below: $(/bin/busybox cat /proc/self/cgroup)'
	`))
	unit := "user@" + strconv.Itoa(uid) + ".service/user.slice/ocirt-" + id + ".scope"
	if err != nil || !strings.Contains(out, "exec: 0::/user.slice/user-"+strconv.Itoa(uid)+".slice/"+unit+"\n") || !strings.Contains(out, unit+"/below\n") {
		t.Errorf("%v:\n%s", err, out)
	}
}
