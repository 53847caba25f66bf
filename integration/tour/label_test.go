package tour

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// profileName is loaded by these tests alone.
const profileName = "ocirt-tour"

// The rest of the profile: everything but one file. As profiles of containers do, it lets
// be executed what has no place in the file system, such as the image of init.
const profileRules = " flags=(attach_disconnected,mediate_deleted) {\n file,\n capability,\n network,\n mount,\n umount,\n pivot_root,\n ptrace,\n signal,\n unix,\n userns,\n" +
	" change_profile,\n deny /forbidden rw,\n}\n"

// appArmor loads profiles with these names for the time of the test; with a namespace, into
// that one.
func appArmor(t *testing.T, namespace string, names ...string) {
	t.Helper()
	need.Root(t)
	on, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	need.Feature(t, "apparmor", strings.HasPrefix(string(on), "Y"), "AppArmor is not enabled")
	need.Tool(t, "apparmor_parser")
	var text strings.Builder
	for _, n := range names {
		text.WriteString("profile " + n + profileRules)
	}
	file := filepath.Join(t.TempDir(), "profiles")
	write(t, file, text.String())
	flags := []string{"-K"}
	if namespace != "" {
		flags = append(flags, "-n", namespace)
	}
	if out, err := exec.Command("apparmor_parser", append(flags, "-r", file)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("apparmor_parser", append(flags, "-R", file)...).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

func profile(name string) lab.Edit {
	return func(s *specs.Spec) { s.Process.ApparmorProfile = name }
}

func noNewPrivileges(s *specs.Spec) { s.Process.NoNewPrivileges = true }

// The profile is on the container's program, with and without a user namespace, and it
// does what it says.
func TestAppArmorProfile(t *testing.T) {
	appArmor(t, "", profileName)
	eachStance(t, func(t *testing.T, s stance) {
		for _, nnp := range []bool{false, true} {
			b := s.bundle(t, profile(profileName), func(c *specs.Spec) { c.Process.NoNewPrivileges = nnp })
			b.File("forbidden", "secret", 0o644)
			b.File("allowed", "public", 0o644)
			if got := s.runtime.Report(b).Labels["apparmor/current"]; got != profileName+" (enforce)" {
				t.Errorf("noNewPrivileges %v: the label is %q", nnp, got)
			}
			b.Edit(lab.Check("read", "/allowed"))
			if out := s.runtime.Run(b).OK().Stdout; out != "public" {
				t.Errorf("noNewPrivileges %v: the allowed file has %q", nnp, out)
			}
			b.Edit(lab.Check("read", "/forbidden"))
			s.runtime.Run(b).Failed("permission denied")
			b.Edit(profile(""))
			if out := s.runtime.Run(b).OK().Stdout; out != "secret" {
				t.Errorf("without the profile the file has %q", out)
			}
		}
	})
}

func TestAppArmorUnconfined(t *testing.T) {
	appArmor(t, "", profileName)
	eachStance(t, func(t *testing.T, s stance) {
		for _, p := range []string{"", "unconfined"} {
			if got := s.runtime.Report(s.bundle(t, profile(p))).Labels["apparmor/current"]; got != "unconfined" {
				t.Errorf("%q: the label is %q", p, got)
			}
		}
	})
}

// A profile that the kernel does not have is an error of create, in words that no caller
// takes for a missing program.
func TestAppArmorProfileNotLoaded(t *testing.T) {
	appArmor(t, "", profileName)
	eachStance(t, func(t *testing.T, s stance) {
		res := s.runtime.CreateFails(s.bundle(t, profile("ocirt-nope")), "ocirt-nope", " is not loaded", "`/proc/thread-self/attr/apparmor/exec`")
		if strings.Contains(res.Stderr, "no such file") {
			t.Errorf("the error speaks of files: %s", res.Stderr)
		}
	})
}

// What the container has where its /proc should be makes no difference: a volume on it is
// refused (CVE-2019-16884), and without any /proc the profile is there all the same.
func TestAppArmorWithoutProc(t *testing.T) {
	appArmor(t, "", profileName)
	s := asRoot(t)
	b := s.bundle(t, profile(profileName), lab.Check("read", "/forbidden"), func(c *specs.Spec) {
		c.Mounts, c.Linux.MaskedPaths, c.Linux.ReadonlyPaths = c.Mounts[1:], nil, nil
	})
	b.File("forbidden", "secret", 0o644)
	s.runtime.Run(b).Failed("permission denied")
}

// A runtime that is confined itself, and whose container wants no new privileges, can only
// add the profile to its own.
func TestAppArmorStack(t *testing.T) {
	appArmor(t, "", profileName, profileName+"-outer")
	need.Tool(t, "aa-exec")
	s := asRoot(t)
	for name, want := range map[string]string{"stack": profileName + "//&" + profileName + "-outer", "change": profileName + " (enforce)"} {
		b := s.bundle(t, profile(profileName))
		if name == "stack" {
			b.Edit(noNewPrivileges)
		}
		cmd := s.runtime.Command("run", "--bundle", b.Dir, s.runtime.ID())
		cmd.Path, cmd.Args = "/usr/bin/aa-exec", append([]string{"aa-exec", "-p", profileName + "-outer", "--"}, cmd.Args...)
		r := lab.ParseReport(t, s.runtime.Finish(cmd).OK().Stdout)
		if got := r.Labels["apparmor/current"]; !strings.HasPrefix(got, want) {
			t.Errorf("%s: the label is %q, want %q", name, got, want)
		}
	}
}

// In a namespace of AppArmor's, as a system container has one, profiles are those of the
// namespace.
func TestAppArmorNamespace(t *testing.T) {
	const namespace = "ocirt-tour-ns"
	appArmor(t, namespace, profileName+"-inner")
	need.Tool(t, "aa-exec")
	s := asRoot(t)
	for _, p := range []string{profileName + "-inner", ":" + namespace + ":" + profileName + "-inner"} {
		b := s.bundle(t, profile(p))
		cmd := s.runtime.Command("run", "--bundle", b.Dir, s.runtime.ID())
		if p[0] != ':' {
			cmd.Path, cmd.Args = "/usr/bin/aa-exec", append([]string{"aa-exec", "-n", namespace, "-p", "unconfined", "--"}, cmd.Args...)
		}
		r := lab.ParseReport(t, s.runtime.Finish(cmd).OK().Stdout)
		if got := r.Labels["apparmor/current"]; !strings.Contains(got, profileName+"-inner (enforce)") {
			t.Errorf("%s: the label is %q", p, got)
		}
	}
}

// A host without AppArmor must not start what wants to be confined by it.
func TestWithoutAppArmor(t *testing.T) {
	on, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	need.Feature(t, "no-apparmor", !strings.HasPrefix(string(on), "Y"), "AppArmor is enabled")
	eachStance(t, func(t *testing.T, s stance) {
		s.runtime.CreateFails(s.bundle(t, profile(profileName)), "process.apparmorProfile: AppArmor is not enabled")
		s.runtime.Report(s.bundle(t, profile("unconfined")))
	})
}

// A label of mounts means nothing without SELinux, and one of the process is a demand.
func TestWithoutSELinux(t *testing.T) {
	_, err := os.Stat("/sys/fs/selinux/enforce")
	need.Feature(t, "no-selinux", err != nil, "SELinux is enabled")
	eachStance(t, func(t *testing.T, s stance) {
		label := func(c *specs.Spec) { c.Process.SelinuxLabel = "system_u:system_r:container_t:s0:c1,c2" }
		s.runtime.CreateFails(s.bundle(t, label), "selinux label is specified in config, but selinux is disabled or not supported", "process.selinuxLabel")
		res := s.runtime.Run(s.bundle(t, lab.Check("pid"), func(c *specs.Spec) { c.Linux.MountLabel = "system_u:object_r:container_file_t:s0:c1,c2" })).OK()
		if !strings.Contains(res.Stderr, "linux.mountLabel: SELinux is not enabled, ignored") {
			t.Errorf("no warning: %q", res.Stderr)
		}
	})
}
