package tour

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// Labels that policies for containers have; testdata/selinux.cil is one for machines
// without.
const (
	processLabel = "system_u:system_r:container_t:s0:c1,c2"
	mountLabel   = "system_u:object_r:container_file_t:s0:c1,c2"
	foreignLabel = "system_u:object_r:shadow_t:s0"
)

func selinux(t *testing.T) {
	t.Helper()
	need.Root(t)
	f, err := os.OpenFile("/sys/fs/selinux/context", os.O_RDWR, 0)
	need.Feature(t, "selinux", err == nil, "SELinux is not enabled")
	defer f.Close()
	_, err = f.WriteString(processLabel)
	need.Feature(t, "selinux-container-policy", err == nil, "the policy knows no containers")
}

func labels(process, mount string) lab.Edit {
	return func(s *specs.Spec) { s.Process.SelinuxLabel, s.Linux.MountLabel = process, mount }
}

// Process, keyring and mounts have the labels, also if they were written in another way
// than the kernel writes them.
func TestSELinuxLabels(t *testing.T) {
	selinux(t)
	eachStance(t, func(t *testing.T, s stance) {
		for _, given := range []string{processLabel, strings.Replace(processLabel, "c1,c2", "c2,c1", 1)} {
			r := s.runtime.Report(s.bundle(t, labels(given, mountLabel)))
			for what, want := range map[string]string{
				"current": processLabel, "keyring": processLabel, "exec": "", "keycreate": "", "/dev": mountLabel, "/dev/mqueue": mountLabel,
			} {
				if s.name != "root" && what == "/dev/mqueue" {
					continue // of a user namespace, which the kernel gives no labels
				}
				if got := r.Labels[what]; got != want {
					t.Errorf("%s: %s is %q, want %q", given, what, got, want)
				}
			}
		}
	})
}

func TestSELinuxWrongLabel(t *testing.T) {
	selinux(t)
	eachStance(t, func(t *testing.T, s stance) {
		s.runtime.CreateFails(s.bundle(t, labels("system_u:system_r:nope_t:s0", "")), "set SELinux label of keys", "invalid context")
		s.runtime.CreateFails(s.bundle(t, labels("", "system_u:object_r:nope_t:s0")), "error mounting")
	})
}

// The label does what the policy says.
func TestSELinuxEnforced(t *testing.T) {
	selinux(t)
	enforcing, _ := os.ReadFile("/sys/fs/selinux/enforce")
	need.Feature(t, "selinux-enforcing", string(enforcing) == "1", "SELinux is not enforcing")
	s := asRoot(t)
	dir := lab.Dir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755,context="+foreignLabel); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	write(t, dir+"/file", "secret")
	for label, want := range map[string]string{"": "ok\n", processLabel: "permission denied\n"} {
		b := s.bundle(t, labels(label, mountLabel), lab.Mount("/data", "bind", dir, "rbind"), lab.Check("try-read", "/data/file"))
		if out := s.runtime.Run(b).OK().Stdout; out != want {
			t.Errorf("%q: reading says %q, want %q", label, out, want)
		}
	}
}
