package cgroup

import (
	"errors"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPaths(t *testing.T) {
	v1 := []Hierarchy{
		{"memory", "/sys/fs/cgroup/memory", "/docker/own"},
		{"cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/"},
		{"name=systemd", "/sys/fs/cgroup/systemd", "/"},
	}
	v2 := []Hierarchy{{"", "/sys/fs/cgroup", "/user.slice/session-1.scope"}}
	for _, c := range []struct {
		given string
		hs    []Hierarchy
		want  string // of the first hierarchy
		err   string
	}{
		{"", v1, "/sys/fs/cgroup/memory/docker/own/ID", ""},
		{"a/b", v1, "/sys/fs/cgroup/memory/docker/own/a/b", ""},
		{"/a/b", v1, "/sys/fs/cgroup/memory/a/b", ""},
		{"", v2, "/sys/fs/cgroup/user.slice/ID", ""},
		{"/a//b/", v2, "/sys/fs/cgroup/a/b", ""},
		{"/../../x", v1, "/sys/fs/cgroup/memory/x", ""},
		{"/a/../../x", v2, "/sys/fs/cgroup/x", ""},
		{"../../x", v1, "/sys/fs/cgroup/memory/docker/own/x", ""},
		{"../../x", v2, "/sys/fs/cgroup/user.slice/x", ""},
		{"/", v1, "", "must not be the root"},
		{"/a/..", v2, "", "must not be the root"},
		{"..", v1, "", "must not be the root"},
		{"/docker/own", v1, "", "must not be the cgroup of the runtime itself"},
		{"session-1.scope", v2, "", "must not be the cgroup of the runtime itself"},
		{"/a\nb", v1, "", "invalid name"},
		{"/a\x00b", v1, "", "invalid name"},
		{"/" + strings.Repeat("x", 256), v1, "", "invalid name"},
		{"/" + strings.Repeat("x", 255), v1, "/sys/fs/cgroup/memory/" + strings.Repeat("x", 255), ""},
	} {
		got, err := Paths(c.given, "ID", c.hs, false)
		if err != nil {
			if c.err == "" || !strings.HasPrefix(err.Error(), "linux.cgroupsPath: "+c.err) {
				t.Errorf("%.20q: %v, want %q", c.given, err, c.err)
			}
			continue
		}
		if got[c.hs[0].Name] != c.want || len(got) != len(c.hs) {
			t.Errorf("%.20q: %q, want %q", c.given, got, c.want)
		}
	}
}

func TestFindMounted(t *testing.T) {
	const own = "3:memory:/docker/abc/in\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/gone\n"
	const mounts = `30 20 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:29 /docker/abc /odd\040place/memory rw shared:9 - cgroup cgroup rw,memory
32 30 0:30 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpuacct,cpu
33 30 0:31 /docker/abcd /sys/fs/cgroup/no rw - cgroup cgroup rw,memory
34 30 0:32 / /sys/fs/cgroup/x rw - cgroup cgroup rw,xattr,name=systemd
`
	hs := parseOwn(own)
	findMounted(hs, mounts)
	want := []Hierarchy{
		{"memory", "/odd place/memory", "/in"},
		{"cpu,cpuacct", "/sys/fs/cgroup/cpu", "/"},
		{"name=systemd", "/sys/fs/cgroup/x", "/"},
		{"", "", "/gone"},
	}
	if !reflect.DeepEqual(hs, want) {
		t.Errorf("got  %q\nwant %q", hs, want)
	}
}

func TestOwnGroupDeleted(t *testing.T) {
	if hs := parseOwn("0::/x/y (deleted)\n"); hs[0].Own != "/" {
		t.Errorf("got %+v", hs)
	}
}

// Both ways to find the hierarchies of this machine agree.
func TestHierarchies(t *testing.T) {
	hs := hierarchies(t)
	mode, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	hasV1 := slices.ContainsFunc(hs, func(h Hierarchy) bool { return h.Name != "" })
	if hasV1 != (mode == V1 || mode == Hybrid) {
		t.Errorf("mode %v, hierarchies %+v", mode, hs)
	}
	text, err := readAt(unix.AT_FDCWD, "/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := readAt(unix.AT_FDCWD, "/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	slow := parseOwn(text)
	findMounted(slow, mounts)
	for _, h := range hs {
		if !slices.Contains(slow, h) {
			t.Errorf("%+v is not in mountinfo: %+v", h, slow)
		}
	}
}

func FuzzFindMounted(f *testing.F) {
	f.Add("1:memory:/a\n0::/\n", "31 30 0:29 /a /m\\040n rw - cgroup cgroup rw,memory\n")
	f.Fuzz(func(t *testing.T, own, mounts string) {
		hs := parseOwn(own)
		findMounted(hs, mounts)
	})
}

// asNobody runs f on a thread that has a user's rights over files.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with f
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestRootless(t *testing.T) {
	hs := hierarchies(t)
	paths := pathsIn(t, "rootless", hs...)
	asNobody(t, func() {
		g, err := Create(paths, Options{Rootless: true})
		if err != nil || len(g.Paths) > 0 || len(g.Made) > 0 {
			t.Errorf("nothing asked for: %+v, %v", g, err)
		}
		g, err = Create(paths, Options{Rootless: true, Asked: true})
		const words = "unable to apply cgroup configuration: rootless needs no limits + no cgrouppath when no permission is granted for cgroups: "
		if err == nil || !strings.HasPrefix(err.Error(), words) || !strings.HasSuffix(err.Error(), "permission denied") {
			t.Errorf("a path asked for: %+v, %v", g, err)
		}
		_, err = Create(paths, Options{})
		if !errors.Is(err, unix.EACCES) || !strings.HasPrefix(err.Error(), "unable to apply cgroup configuration: ") {
			t.Errorf("not rootless: %v", err)
		}
	})
	for _, dir := range paths {
		if exists(dir) {
			t.Errorf("%s was made", dir)
		}
	}
}
