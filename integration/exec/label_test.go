package exec

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// appArmorProfile is loaded by this test alone.
const appArmorProfile = "ocirt-exec"

// A further process has the profile of the container, whatever the container has made of its
// /proc (CVE-2015-1334), and with a process object that names none, too.
func TestAppArmorProfile(t *testing.T) {
	need.Root(t)
	on, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	need.Feature(t, "apparmor", strings.HasPrefix(string(on), "Y"), "AppArmor is not enabled")
	file := filepath.Join(t.TempDir(), "profile")
	rules := " flags=(attach_disconnected,mediate_deleted) {\n file,\n capability,\n network,\n mount,\n umount,\n pivot_root,\n ptrace,\n signal,\n unix,\n}\n"
	must(t, os.WriteFile(file, []byte("profile "+appArmorProfile+rules), 0o600))
	parser := need.Tool(t, "apparmor_parser")
	if out, err := exec.Command(parser, "-Kr", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command(parser, "-R", file).Run() })
	s := asRoot(t)
	object := process(t, s, map[string]any{"args": []string{"/inside", "sleep", "forever"}, "cwd": "/", "user": map[string]int{"uid": 0, "gid": 0}})
	for name, script := range map[string]string{
		"proc as it is": "busybox true", "proc is a tmpfs": "busybox mount -t tmpfs x /proc",
		"attr is covered": "busybox mount -o bind /tmp /proc/1; busybox mount -o bind /inside /proc/self/attr/apparmor/exec; busybox mount -o bind /inside /proc/self/attr/exec",
	} {
		t.Run(name, func(t *testing.T) {
			b := s.bundle(t, lab.Capabilities(lab.AllCapabilities()...), func(c *specs.Spec) {
				c.Linux.ReadonlyPaths, c.Linux.MaskedPaths = nil, nil
				c.Process.ApparmorProfile = appArmorProfile
			}, lab.Args("/bin/sh", "-c", script+"; echo ready; while busybox true; do busybox sleep 1; done")).Busybox()
			c := s.r.Launch(b)
			c.Says("ready")
			for _, args := range [][]string{{"/inside", "sleep", "forever"}, nil} {
				file := pidFile(t, s)
				flags := []string{"-d", "--pid-file", file}
				if args == nil {
					flags = append(flags, "--process", object)
				}
				s.exec(c, flags, args...).OK()
				pid := readPid(t, file)
				if got := read(t, fmt.Sprintf("/proc/%d/attr/apparmor/current", pid)); got != appArmorProfile+" (enforce)\n" {
					t.Errorf("the label is %q", got)
				}
				must(t, unix.Kill(pid, unix.SIGKILL))
				_, err := unix.Wait4(pid, nil, 0, nil)
				must(t, err)
			}
		})
	}
}
