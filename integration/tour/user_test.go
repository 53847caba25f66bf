package tour

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func TestIDMaps(t *testing.T) {
	t.Run("mapped", func(t *testing.T) {
		s := asRootMapped(t)
		b := s.bundle(t, func(c *specs.Spec) {
			c.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1000}, {ContainerID: 1000, HostID: 300000, Size: 10}}
			c.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 200000, Size: 4096}}
		})
		r := s.runtime.Report(b)
		if want := [][]int{{0, 100000, 1000}, {1000, 300000, 10}}; !reflect.DeepEqual(r.Maps.UID, want) {
			t.Errorf("uid map is %v, want %v", r.Maps.UID, want)
		}
		if want := [][]int{{0, 200000, 4096}}; !reflect.DeepEqual(r.Maps.GID, want) {
			t.Errorf("gid map is %v, want %v", r.Maps.GID, want)
		}
		if r.Maps.Setgroups != "allow" {
			t.Errorf("setgroups is %q, want allow", r.Maps.Setgroups)
		}
	})
	t.Run("user", func(t *testing.T) {
		s := asUser(t)
		r := s.runtime.Report(s.bundle(t))
		if want := [][]int{{0, s.uid, 1}}; !reflect.DeepEqual(r.Maps.UID, want) || !reflect.DeepEqual(r.Maps.GID, want) {
			t.Errorf("maps are %v and %v, want %v", r.Maps.UID, r.Maps.GID, want)
		}
		if r.Maps.Setgroups != "deny" {
			t.Errorf("setgroups is %q, want deny", r.Maps.Setgroups)
		}
	})
	t.Run("user, another id inside", func(t *testing.T) {
		s := asUser(t)
		b := s.bundle(t, lab.UserNamespace(1000, uint32(s.uid), 1), func(c *specs.Spec) { c.Process.User = specs.User{UID: 1000, GID: 1000} })
		r := s.runtime.Report(b)
		if want := []int{1000, 1000, 1000, 1000}; !reflect.DeepEqual(r.Identity.UIDs, want) || !reflect.DeepEqual(r.Identity.GIDs, want) {
			t.Errorf("ids are %v and %v, want %v", r.Identity.UIDs, r.Identity.GIDs, want)
		}
	})
}

func TestOwnershipSeenOutside(t *testing.T) {
	for _, uid := range []int{0, 1000, 65534} {
		t.Run(strconv.Itoa(uid), func(t *testing.T) {
			s := asRootMapped(t)
			b := s.bundle(t, lab.Check("touch", "/tmp/mine", "--", "stat", "/tmp/mine"), func(c *specs.Spec) {
				c.Process.User = specs.User{UID: uint32(uid), GID: uint32(uid)}
			})
			if out, want := s.runtime.Run(b).OK().Stdout, fmt.Sprintf("file 0644 %d %d\n", uid, uid); out != want {
				t.Errorf("inside the file is %q, want %q", out, want)
			}
			checkOwner(t, filepath.Join(b.Rootfs, "tmp/mine"), 100000+uid)
		})
	}
	t.Run("user", func(t *testing.T) {
		s := asUser(t)
		b := s.bundle(t, lab.Check("touch", "/tmp/mine", "--", "stat", "/tmp/mine"))
		if out, want := s.runtime.Run(b).OK().Stdout, "file 0644 0 0\n"; out != want {
			t.Errorf("inside the file is %q, want %q", out, want)
		}
		checkOwner(t, filepath.Join(b.Rootfs, "tmp/mine"), s.uid)
	})
}

func checkOwner(t *testing.T, path string, want int) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	if int(st.Uid) != want || int(st.Gid) != want {
		t.Errorf("outside the file is owned by %d:%d, want %d", st.Uid, st.Gid, want)
	}
}

func TestSetgroups(t *testing.T) {
	try := lab.Check("try-setgroups", "0")
	t.Run("mapped", func(t *testing.T) {
		s := asRootMapped(t)
		if out := s.runtime.Run(s.bundle(t, lab.Capabilities("CAP_SETGID"), try)).OK().Stdout; out != "ok\n" {
			t.Errorf("setgroups says %q, want ok", out)
		}
	})
	t.Run("user", func(t *testing.T) {
		s := asUser(t)
		if out := s.runtime.Run(s.bundle(t, lab.Capabilities("CAP_SETGID"), try)).OK().Stdout; out != "operation not permitted\n" {
			t.Errorf("setgroups says %q, want a refusal", out)
		}
	})
}

// With all capabilities of its own namespace, and with what would hinder it taken away,
// the container can do nothing to the host.
func TestNoCapabilityOverTheHost(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*testing.T) stance
	}{{"mapped", asRootMapped}, {"user", asUser}} {
		t.Run(c.name, func(t *testing.T) {
			s := c.make(t)
			dir := lab.Dir(t)
			theirs := filepath.Join(dir, "theirs")
			write(t, theirs, "x")
			if os.Geteuid() == 0 {
				if err := os.Chown(theirs, 0, 0); err != nil {
					t.Fatal(err)
				}
			} else {
				theirs = "/etc/passwd"
			}
			b := s.bundle(t, lab.Capabilities(lab.AllCapabilities()...), lab.Without(specs.UTSNamespace),
				lab.Mount("/theirs", "bind", theirs, "bind"),
				func(c *specs.Spec) { c.Linux.ReadonlyPaths, c.Linux.MaskedPaths = nil, nil },
				lab.Check("try-sethostname", "x", "--", "try-mknod", "/tmp/null", "--", "try-write", "/theirs", "--", "try-chown", "/theirs", "0", "0",
					"--", "try-write", "/proc/sys/kernel/core_pattern", "--", "stat", "/theirs"))
			r := s.runtime.Run(b).OK()
			want := []string{
				"operation not permitted", "operation not permitted", "permission denied", "operation not permitted",
				"permission denied", "file 0644 65534 65534",
			}
			if got := r.Lines(); !reflect.DeepEqual(got, want) {
				t.Errorf("the checker says %q, want %q", got, want)
			}
		})
	}
}

func TestProcessAsNobody(t *testing.T) {
	nobody := func(c *specs.Spec) {
		c.Process.User = specs.User{UID: 65534, GID: 65534, AdditionalGids: []uint32{5, 65533}}
	}
	for _, c := range []struct {
		name string
		make func(*testing.T) stance
	}{{"root", asRoot}, {"mapped", asRootMapped}} {
		t.Run(c.name, func(t *testing.T) {
			s := c.make(t)
			r := s.runtime.Report(s.bundle(t, nobody))
			if want := []int{65534, 65534, 65534, 65534}; !reflect.DeepEqual(r.Identity.UIDs, want) || !reflect.DeepEqual(r.Identity.GIDs, want) {
				t.Errorf("ids are %v and %v, want 65534", r.Identity.UIDs, r.Identity.GIDs)
			}
			if want := []int{5, 65533}; !reflect.DeepEqual(r.Identity.Groups, want) {
				t.Errorf("groups are %v, want %v", r.Identity.Groups, want)
			}
			if len(r.Identity.Caps["effective"]) > 0 || len(r.Identity.Caps["permitted"]) > 0 {
				t.Errorf("capabilities are %v; want none without ambient ones", r.Identity.Caps)
			}
		})
	}
}

// Ranges of ids, which an ordinary user gets with the help of newuidmap.
func TestIDRangesOfUser(t *testing.T) {
	s := asUser(t)
	lab.SubordinateIDs(t, s.uid, 65536)
	b := s.bundle(t, func(c *specs.Spec) {
		c.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(s.uid), Size: 1}, {ContainerID: 1, HostID: 700000, Size: 65535}}
		c.Linux.GIDMappings = c.Linux.UIDMappings
		c.Process.User = specs.User{UID: 1000, GID: 1000}
	})
	r := s.runtime.Report(b)
	if want := [][]int{{0, s.uid, 1}, {1, 700000, 65535}}; !reflect.DeepEqual(r.Maps.UID, want) || !reflect.DeepEqual(r.Maps.GID, want) {
		t.Errorf("maps are %v and %v, want %v", r.Maps.UID, r.Maps.GID, want)
	}
	if r.Maps.Setgroups != "allow" {
		t.Errorf("setgroups is %q, want allow", r.Maps.Setgroups)
	}
	b.Edit(lab.Check("touch", "/tmp/mine"))
	s.runtime.Run(b).OK()
	checkOwner(t, filepath.Join(b.Rootfs, "tmp/mine"), 700999)
}

// If the user has fewer ids than that, the helper's words are passed on, and nothing is left.
func TestIDRangesAreRefused(t *testing.T) {
	s := asUser(t)
	lab.SubordinateIDs(t, s.uid, 65535)
	b := s.bundle(t, lab.UserNamespace(0, 700000, 65536))
	res := s.runtime.CreateFails(b)
	if s.runtime.Ours() {
		res.Failed("cannot map ids with newuidmap: exit status 1", "not allowed")
	}
}
