package exec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// What a container puts in the way of a joining process leads nowhere: the process runs, or
// there is an error, and nothing outside is seen or touched.
func TestHostileRoot(t *testing.T) {
	canary := filepath.Join(lab.Dir(t), "canary")
	must(t, os.WriteFile(canary, []byte("secret"), 0o644))
	link := func(to string) func(*testing.T, string) {
		return func(t *testing.T, path string) { must(t, os.RemoveAll(path)); must(t, os.Symlink(to, path)) }
	}
	eachStance(t, func(t *testing.T, s stance) {
		for _, row := range []struct {
			name  string
			path  string
			make  func(*testing.T, string)
			flags []string
			fails string // words of the error; empty: it works
		}{
			{"passwd is a FIFO", "etc/passwd", func(t *testing.T, path string) { must(t, unix.Mkfifo(path, 0o666)) }, nil, ""},
			{"passwd is huge", "etc/passwd", func(t *testing.T, path string) {
				must(t, os.WriteFile(path, nil, 0o644))
				must(t, os.Truncate(path, 1<<40))
			}, nil, ""},
			{"passwd is a loop", "etc/passwd", link("passwd"), nil, ""},
			{"passwd is a folder", "etc/passwd", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o755)) }, nil, ""},
			{"passwd is the kernel's log", "etc/passwd", link("/proc/kmsg"), nil, ""},
			{"passwd is the host's", "etc/passwd", link("/../../../../.." + canary), nil, ""},
			{"cwd is a link out", "etc/out", link("/../../../../.." + filepath.Dir(canary)), []string{"--cwd", "/etc/out"}, "chdir to cwd"},
			{"cwd is a link to init's", "etc/out", link("/proc/1/cwd"), []string{"--cwd", "/etc/out"}, "chdir to cwd"},
			{"cwd is a link to a descriptor", "etc/out", link("/proc/self/fd/4"), []string{"--cwd", "/etc/out"}, "chdir to cwd"},
			{"cwd is a loop", "etc/out", link("out"), []string{"--cwd", "/etc/out"}, "chdir to cwd"},
			{"cwd is a FIFO", "etc/out", func(t *testing.T, path string) { must(t, unix.Mkfifo(path, 0o666)) }, []string{"--cwd", "/etc/out"}, "chdir to cwd"},
			{"cwd goes up", "etc/out", func(*testing.T, string) {}, []string{"--cwd", "/etc/../../../.."}, ""},
		} {
			t.Run(row.name, func(t *testing.T) {
				b := s.bundle(t, forever)
				row.make(t, filepath.Join(b.Rootfs, row.path))
				s.own(b)
				c := s.r.Launch(b)
				r := s.exec(c, row.flags, "/inside", "report", "process")
				if row.fails != "" {
					fails(t, r, row.fails)
					return
				}
				if p := lab.ParseReport(t, r.OK().Stdout).Process; p.Cwd != "/" || p.Env[len(p.Env)-1] != "HOME=/" {
					t.Errorf("%+v", p)
				}
			})
		}
	})
}

// A container whose first process has made /proc, /dev and the root its own.
func TestHostileMounts(t *testing.T) {
	s := asRoot(t)
	for name, script := range map[string]string{
		"proc is a tmpfs":            "busybox mount -t tmpfs x /proc",
		"proc is a link":             "busybox umount /proc; busybox rmdir /proc; busybox ln -s /tmp /proc",
		"proc/self is covered":       "busybox mount -o bind /tmp /proc/1; busybox mount -o bind /inside /proc/self/attr/exec",
		"dev is a link":              "busybox umount -l /dev; busybox rmdir /dev; busybox ln -s /tmp /dev",
		"dev/pts is a link":          "busybox umount -l /dev/pts; busybox rmdir /dev/pts; busybox ln -s /tmp /dev/pts",
		"dev/pts is a tmpfs":         "busybox mount -t tmpfs x /dev/pts; busybox mknod /dev/pts/ptmx c 1 3",
		"ptmx is covered":            "busybox mount -o bind /dev/null /dev/pts/ptmx",
		"init has changed its root":  "busybox mkdir -p /tmp/r/bin; busybox cp /bin/busybox /tmp/r/bin; busybox cp /inside /tmp/r/wrong; exec busybox chroot /tmp/r /bin/busybox sh -c 'echo ready; while busybox true; do busybox sleep 1; done'",
		"the root is covered":        "busybox mkdir /tmp/r; busybox mount -o bind / /tmp/r; cd /tmp/r; busybox mount --move . /",
		"another devpts":             "busybox mount -t devpts -o newinstance,ptmxmode=0666 x /dev/pts",
		"everything is read-only":    "busybox mount -o remount,ro /",
		"a thousand mounts are more": "i=0; while [ $i -lt 300 ]; do busybox mount -t tmpfs x /tmp; i=$((i+1)); done",
	} {
		t.Run(name, func(t *testing.T) {
			b := s.bundle(t, lab.Capabilities(lab.AllCapabilities()...), func(c *specs.Spec) {
				c.Linux.ReadonlyPaths, c.Linux.MaskedPaths = nil, nil
			}, lab.Args("/bin/sh", "-c", script+"; echo ready; while busybox true; do busybox sleep 1; done")).Busybox()
			c := s.r.Launch(b)
			c.Says("ready")
			if r := s.exec(c, nil, "/inside", "pid").OK(); r.Stdout == "1\n" {
				t.Errorf("%v", r)
			}
			// A terminal is one of the container's devpts or none.
			path, receive := lab.ConsoleSocket(t, 0)
			file := pidFile(t, s)
			r := s.exec(c, []string{"-d", "-t", "--pid-file", file, "--console-socket", path}, "/inside", "tty", "--", "echo", "END")
			if strings.Contains(name, "dev") && !strings.Contains(name, "another") || strings.Contains(name, "ptmx") || name == "the root is covered" {
				fails(t, r, "unable to start container process", "terminal")
				return
			}
			r.OK()
			receive().Says("END")
			_, err := unix.Wait4(readPid(t, file), nil, 0, nil)
			must(t, err)
		})
	}
}

// A directory that only the user may enter, or only root, is a valid one.
func TestDirectories(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		if s.ids == 1 {
			t.Skip("a user without subordinate ids has one id in a container, and this test needs two")
		}
		b := s.bundle(t, forever)
		for _, d := range []string{"closed", "closed/in"} {
			must(t, os.Mkdir(filepath.Join(b.Rootfs, d), 0o700))
		}
		program, err := os.ReadFile(lab.Inside())
		must(t, err)
		b.File("closed/in/look", string(program), 0o755)
		s.own(b)
		// What is the user's alone, nobody outside of a user namespace may look at.
		for _, name := range []string{"closed", "closed/in"} {
			if os.Geteuid() == 0 {
				must(t, os.Lchown(filepath.Join(b.Rootfs, name), s.host(7), s.host(7)))
			}
		}
		c := s.r.Launch(b)
		for _, program := range []string{"/closed/in/look", "./look", "look"} {
			r := lab.ParseReport(t, s.exec(c, []string{"--cwd", "/closed/in", "-u", "7:7", "-e", "PATH=/bin:/closed/in"}, program, "report").OK().Stdout)
			if r.Process.Cwd != "/closed/in" || r.Identity.UIDs[0] != 7 {
				t.Errorf("directory is %s, user %v", r.Process.Cwd, r.Identity.UIDs)
			}
		}
	})
}
