package tour

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// A capability matrix: what is asked for, and what the kernel's rules (capabilities(7))
// make of it with the execve.
func TestCapabilities(t *testing.T) {
	const netBind, netRaw, kill = 10, 13, 5
	some := []string{"CAP_KILL", "CAP_NET_RAW"}
	sets := func(b, e, p, i, a []string) *specs.LinuxCapabilities {
		return &specs.LinuxCapabilities{Bounding: b, Effective: e, Permitted: p, Inheritable: i, Ambient: a}
	}
	none, two := []int{}, []int{kill, netRaw}
	all := lab.ParseReport(t, lab.Host(t, "report", "identity")).Identity.Caps["bounding"]
	mapped := []int{} // a new user namespace has them all
	for i := range lab.AllCapabilities() {
		mapped = append(mapped, i)
	}
	for _, c := range []struct {
		name                               string
		uid                                uint32
		caps                               *specs.LinuxCapabilities
		bounding, permitted, inherit, ambi []int
	}{
		{"root, absent", 0, nil, none, none, none, none},
		{"root, empty", 0, &specs.LinuxCapabilities{}, none, none, none, none},
		{"root, some", 0, sets(some, some, some, nil, nil), two, two, none, none},
		{"root, all sets", 0, sets(some, some, some, some, some), two, two, two, two},
		{"root, all", 0, sets(lab.AllCapabilities(), lab.AllCapabilities(), lab.AllCapabilities(), nil, nil), all, all, none, none},
		{"root, bounding only", 0, sets(some, nil, nil, nil, nil), two, two, none, none},
		{"user, no ambient", 1000, sets(some, some, some, some, nil), two, none, two, none},
		{"user, ambient", 1000, sets(some, some, some, some, some), two, two, two, two},
		{"user, ambient but unbounded", 1000, sets(nil, some, some, some, some), none, two, two, two},
		{"user, one ambient", 1000, sets(lab.AllCapabilities(), []string{"CAP_NET_BIND_SERVICE"}, []string{"CAP_NET_BIND_SERVICE"}, []string{"CAP_NET_BIND_SERVICE"}, []string{"CAP_NET_BIND_SERVICE"}), all, []int{netBind}, []int{netBind}, []int{netBind}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachStance(t, func(t *testing.T, s stance) {
				if c.uid != 0 && strings.HasSuffix(t.Name(), "/user") {
					return // has one id only
				}
				r := s.runtime.Report(s.bundle(t, func(s *specs.Spec) {
					s.Process.Capabilities = c.caps
					s.Process.User = specs.User{UID: c.uid, GID: c.uid}
				}))
				want := map[string][]int{
					"bounding": c.bounding, "permitted": c.permitted, "effective": c.permitted, "inheritable": c.inherit, "ambient": c.ambi,
				}
				for name, w := range want {
					if s.uid != 0 && reflect.DeepEqual(w, all) {
						w = mapped
					}
					if got := r.Identity.Caps[name]; !reflect.DeepEqual(got, w) {
						t.Errorf("%s is %v, want %v", name, got, w)
					}
				}
			})
		})
	}
}

func TestRlimits(t *testing.T) {
	want := map[string][2]uint64{
		"RLIMIT_CPU": {1000, 2000}, "RLIMIT_FSIZE": {1 << 30, 1 << 31}, "RLIMIT_DATA": {1 << 32, 1 << 33}, "RLIMIT_STACK": {1 << 23, 1 << 24},
		"RLIMIT_CORE": {0, 4096}, "RLIMIT_RSS": {1 << 30, ^uint64(0)}, "RLIMIT_NPROC": {500, 1000}, "RLIMIT_NOFILE": {100, 200},
		"RLIMIT_MEMLOCK": {1 << 14, 1 << 15}, "RLIMIT_AS": {1 << 40, ^uint64(0)}, "RLIMIT_LOCKS": {5, 6}, "RLIMIT_SIGPENDING": {50, 60},
		"RLIMIT_MSGQUEUE": {1000, 2000}, "RLIMIT_RTTIME": {100000, 200000},
	}
	if hostCapability(t, 24) { // the host's hard limit of these is 0
		want["RLIMIT_NICE"], want["RLIMIT_RTPRIO"] = [2]uint64{1, 2}, [2]uint64{3, 4}
	}
	for _, c := range []struct {
		name string
		make func(*testing.T) stance
	}{{"root", asRoot}, {"mapped", asRootMapped}} {
		t.Run(c.name, func(t *testing.T) {
			s := c.make(t)
			r := s.runtime.Report(s.bundle(t, func(s *specs.Spec) {
				for name, v := range want {
					s.Process.Rlimits = append(s.Process.Rlimits, specs.POSIXRlimit{Type: name, Soft: v[0], Hard: v[1]})
				}
			}))
			for name, v := range want {
				// The checker's language raises the number of files; see TestTinyRlimits.
				if got := r.Limits[name]; got.Hard != limit(v[1]) || got.Soft != limit(v[0]) && name != "RLIMIT_NOFILE" {
					t.Errorf("%s is %v, want %s and %s", name, got, limit(v[0]), limit(v[1]))
				}
			}
		})
	}
}

func limit(v uint64) string {
	if v == ^uint64(0) {
		return "unlimited"
	}
	return strconv.FormatUint(v, 10)
}

// The limit that the checker cannot see, and the ones that would hinder the runtime.
func TestTinyRlimits(t *testing.T) {
	s := asRoot(t)
	b := s.bundle(t, lab.Args("/bin/busybox", "grep", "open files", "/proc/self/limits"), func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: 4, Hard: 5},
			{Type: "RLIMIT_NPROC", Soft: 1, Hard: 1},
			{Type: "RLIMIT_FSIZE", Soft: 4096, Hard: 4096},
			{Type: "RLIMIT_AS", Soft: 4 << 20, Hard: 4 << 20},
			{Type: "RLIMIT_CPU", Soft: 1, Hard: 1},
			{Type: "RLIMIT_MEMLOCK", Soft: 0, Hard: 0},
		}
	}).Busybox()
	if got := strings.Fields(s.runtime.Run(b).OK().Stdout); !reflect.DeepEqual(got, strings.Fields("Max open files 4 5 files")) {
		t.Errorf("limit of open files is %q, want 4 and 5", got)
	}
}

func TestUmask(t *testing.T) {
	umask := uint32(0o027)
	for want, edit := range map[string]lab.Edit{
		"0022": func(*specs.Spec) {},
		"0027": func(s *specs.Spec) { s.Process.User.Umask = &umask },
	} {
		eachStance(t, func(t *testing.T, s stance) {
			if got := s.runtime.Report(s.bundle(t, edit)).Identity.Umask; got != want {
				t.Errorf("umask is %s, want %s", got, want)
			}
		})
	}
}

func TestOOMScore(t *testing.T) {
	for _, want := range []int{-1000, 0, 321, 1000} {
		t.Run(itoa(want), func(t *testing.T) {
			eachStance(t, func(t *testing.T, s stance) {
				if want < 0 {
					if strings.HasSuffix(t.Name(), "/user") {
						return // lowering is for root
					}
					need.Feature(t, "CAP_SYS_RESOURCE", hostCapability(t, 24), "the bounding set lacks it")
				}
				r := s.runtime.Report(s.bundle(t, func(s *specs.Spec) { s.Process.OOMScoreAdj = &want }))
				if r.Scheduling.OOMScoreAdj != itoa(want) {
					t.Errorf("oom_score_adj is %s, want %d", r.Scheduling.OOMScoreAdj, want)
				}
			})
		})
	}
	t.Run("absent", func(t *testing.T) {
		s := asRoot(t)
		data, err := os.ReadFile("/proc/self/oom_score_adj")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.runtime.Report(s.bundle(t)).Scheduling.OOMScoreAdj, strings.TrimSpace(string(data)); got != want {
			t.Errorf("oom_score_adj is %s, want the caller's, %s", got, want)
		}
	})
}

func TestEnvironment(t *testing.T) {
	given := []string{"PATH=/bin:/", "EMPTY=", "EQUALS=a=b", "SPACE=a b\tc", "LD_PRELOAD=/evil.so", "BYTES=ä\x01"}
	for _, c := range []struct {
		name       string
		add, extra []string
		passwd     string
		uid        uint32
	}{
		{"no passwd", nil, []string{"HOME=/"}, "", 0},
		{"home of passwd", nil, []string{"HOME=/home/somebody"}, "root:x:0:0::/root:/bin/sh\nsomebody:x:1000:1000::/home/somebody:/bin/sh\n", 1000},
		{"not in passwd", nil, []string{"HOME=/"}, "root:x:0:0::/root:/bin/sh\n", 1000},
		{"given", []string{"HOME=/given"}, nil, "root:x:0:0::/root:/bin/sh\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := asRoot(t)
			s.runtime.Env = append(s.runtime.Env, "SECRET=of-the-caller", "TERM=xterm", "LISTEN_FDS=banana", "_OCIRT_BUILDER=7")
			b := s.bundle(t, lab.Check("read", "/proc/self/environ"), func(s *specs.Spec) {
				s.Process.Env = append(append([]string{}, given...), c.add...)
				s.Process.User.UID, s.Process.User.GID = c.uid, c.uid
			})
			if c.passwd != "" {
				b.File("etc/passwd", c.passwd, 0o644)
			}
			got := s.runtime.Run(b).OK().Stdout
			want := strings.Join(append(append(append([]string{}, given...), c.add...), c.extra...), "\x00") + "\x00"
			if got != want {
				t.Errorf("the environment is\n%q, want\n%q", got, want)
			}
		})
	}
}

func TestWorkingDirectory(t *testing.T) {
	for cwd, want := range map[string]string{"/": "/", "/tmp": "/tmp", "/made/by/runtime": "/made/by/runtime", "/to-tmp": "/tmp", "/tmp/../etc/.": "/etc", "/away": "/etc"} {
		t.Run(cwd, func(t *testing.T) {
			eachStance(t, func(t *testing.T, s stance) {
				b := s.bundle(t, func(s *specs.Spec) { s.Process.Cwd = cwd })
				symlink(t, "tmp", b.Rootfs+"/to-tmp")
				symlink(t, "/../../../etc", b.Rootfs+"/away")
				if got := s.runtime.Report(b).Process.Cwd; got != want {
					t.Errorf("working directory is %q, want %q", got, want)
				}
			})
		})
	}
}

func TestWorkingDirectoryErrors(t *testing.T) {
	for cwd, want := range map[string]string{"tmp": "Cwd must be an absolute path", "/inside": "not a directory", "/proc/self/fd/5": ""} {
		t.Run(cwd, func(t *testing.T) {
			s := asRoot(t)
			b := s.bundle(t, func(s *specs.Spec) {
				s.Process.Cwd = cwd
				s.Process.User = specs.User{UID: 1000, GID: 1000}
				s.Process.Capabilities = nil
			})
			if s.runtime.Ours() {
				s.runtime.Fails([]string{"run", "--bundle", b.Dir, s.runtime.ID()}, want, "wd")
				return
			}
			s.runtime.Fails([]string{"run", "--bundle", b.Dir, s.runtime.ID()})
		})
	}
}

func TestSessionKeyring(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, lab.Check("report", "keyring"))
		id := s.runtime.ID()
		r := lab.ParseReport(t, s.runtime.Do("run", "--bundle", b.Dir, id).OK().Stdout)
		if !strings.HasSuffix(r.Keyring, ";_ses."+id) {
			t.Errorf("session keyring is %q, want one named _ses.%s", r.Keyring, id)
		}
		if strings.HasSuffix(t.Name(), "/root") {
			r = s.runtime.Report(b, "--no-new-keyring")
			if host := lab.ParseReport(t, lab.Host(t, "report", "keyring")); r.Keyring != host.Keyring {
				t.Errorf("session keyring is %q, want the caller's, %q", r.Keyring, host.Keyring)
			}
		}
	})
}

func TestNoNewPrivileges(t *testing.T) {
	for _, want := range []bool{false, true} {
		eachStance(t, func(t *testing.T, s stance) {
			r := s.runtime.Report(s.bundle(t, func(s *specs.Spec) { s.Process.NoNewPrivileges = want }))
			if r.Identity.NoNewPrivs != want {
				t.Errorf("no_new_privs is %v, want %v", r.Identity.NoNewPrivs, want)
			}
		})
	}
}

func TestScheduling(t *testing.T) {
	for _, c := range []struct {
		name string
		edit lab.Edit
		want string
	}{
		{"default", func(*specs.Spec) {}, "SCHED_OTHER 0 0 0 0 0 0"},
		{"batch", func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 5}
		}, "SCHED_BATCH 0 5 0 0 0 0"},
		{"nice", func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Nice: -7}
		}, "SCHED_OTHER 0 -7 0 0 0 0"},
		{"fifo", func(s *specs.Spec) {
			realTimeGroup(s)
			s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO, Priority: 10, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}
		}, "SCHED_FIFO 1 0 10 0 0 0"},
		{"idle", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedIdle} }, "SCHED_IDLE 0 0 0 0 0 0"},
		{"io best effort", func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 3}
		}, "SCHED_OTHER 0 0 0 2 3 0"},
		{"io real time", func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT, Priority: 7}
		}, "SCHED_OTHER 0 0 0 1 7 0"},
		{"io idle", func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE} }, "SCHED_OTHER 0 0 0 3 0 0"},
		{"personality", func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }, "SCHED_OTHER 0 0 0 0 0 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := asRoot(t)
			r := s.runtime.Report(s.bundle(t, c.edit))
			x := r.Scheduling
			if got := fmt.Sprint(x.Policy, " ", x.Flags, x.Nice, x.Priority, x.IOClass, x.IOLevel, " ", x.Personality); got != c.want {
				t.Errorf("policy, flags, nice, priority, io class, io level and personality are %q, want %q", got, c.want)
			}
		})
	}
}

func TestSysctls(t *testing.T) {
	want := map[string]string{"kernel.msgmax": "4321", "net.ipv4.ip_unprivileged_port_start": "81", "fs.mqueue.msg_max": "12", "kernel.shm_rmid_forced": "1"}
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, lab.Check("sysctl", "kernel.msgmax", "--", "sysctl", "net.ipv4.ip_unprivileged_port_start", "--", "sysctl", "fs.mqueue.msg_max", "--", "sysctl", "kernel.shm_rmid_forced"),
			func(s *specs.Spec) { s.Linux.Sysctl = want })
		if out := s.runtime.Run(b).OK().Stdout; out != "4321\n81\n12\n1\n" {
			t.Errorf("sysctls are %q, want %v", out, want)
		}
	})
}

func TestHostSysctlsAreRefused(t *testing.T) {
	for name, edit := range map[string]lab.Edit{
		"kernel.core_pattern": func(*specs.Spec) {}, "vm.swappiness": func(*specs.Spec) {}, "kernel.hostname": lab.Without("uts"),
		"kernel.msgmax": lab.Without("ipc"), "net.ipv4.ip_forward": lab.Without("network"),
	} {
		t.Run(name, func(t *testing.T) {
			s := asRoot(t)
			words := []string{}
			if s.runtime.Ours() {
				words = append(words, printed(`sysctl "`+name+`" is not in a separate kernel namespace`))
			}
			s.runtime.CreateFails(s.bundle(t, edit, func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{name: "1"} }), words...)
		})
	}
}

func TestMaskedAndReadonlyPaths(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, func(s *specs.Spec) {
			s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/etc/secret", "/etc/secrets", "/no/such/thing")
			s.Linux.ReadonlyPaths = append(s.Linux.ReadonlyPaths, "/etc/fixed", "/no/such/thing")
		}, lab.Capabilities("CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"),
			lab.Check("read", "/etc/secret", "--", "list", "/etc/secrets", "--", "read", "/proc/keys", "--", "read", "/proc/timer_list", "--", "list", "/sys/firmware",
				"--", "try-write", "/etc/secrets", "--", "try-write", "/etc/fixed", "--", "try-write", "/etc/fixed/f", "--", "try-write", "/proc/sys/kernel/hostname", "--", "try-write", "/proc/sysrq-trigger"))
		b.File("etc/secret", "x", 0o600)
		b.File("etc/secrets/inner", "x", 0o600)
		b.File("etc/fixed/f", "x", 0o666)
		if s.uid != 0 && os.Geteuid() == 0 {
			b.Chown(s.uid, s.uid)
		}
		const ro = "read-only file system"
		want := []string{ro, ro, ro, ro}
		if s.uid != 0 {
			want[3] = "permission denied" // /proc/sys belongs to the host's root
		}
		got := s.runtime.Run(b).OK().Lines()
		if len(got) != 5 || !reflect.DeepEqual(got[:4], want) || got[4] != ro && got[4] != "no such file or directory" {
			t.Errorf("the checker says %q; want masked files to be empty and read-only ones %q", got, ro)
		}
	})
}

// realTimeGroup gives the container's cgroup what a real-time policy needs on kernels that
// share real time out among groups.
func realTimeGroup(s *specs.Spec) {
	if _, err := os.Stat("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"); err != nil {
		return
	}
	runtime, period := int64(10000), uint64(1000000)
	s.Linux.Resources = &specs.LinuxResources{CPU: &specs.LinuxCPU{RealtimeRuntime: &runtime, RealtimePeriod: &period}}
}

// hostCapability reports whether the tests themselves can have a capability.
func hostCapability(t *testing.T, number int) bool {
	t.Helper()
	return slices.Contains(lab.ParseReport(t, lab.Host(t, "report", "identity")).Identity.Caps["bounding"], number)
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}
