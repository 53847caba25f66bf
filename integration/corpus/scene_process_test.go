package corpus

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"runtime"
	"strings"
	"syscall"

	"github.com/ocirt/ocirt/internal/need"
)

func fileMode(m uint32) os.FileMode { return os.FileMode(m) }

func formScenes() map[string]scene {
	return map[string]scene{
		"J-20b": {set: func(s *stage) { must(s, os.Link(s.rootfs("bin/true"), s.rootfs("bin/😀"))) }},
		"V-14": {set: func(s *stage) {
			s.rootless()
		}},
		"V-16b": {set: func(s *stage) {
			must(s, os.Rename(s.rootfs(""), s.dir+"/a\nb\x1b[31m"))
		}},
		// The root is swapped when all checks have been made: by a hook of the host.
		"V-17": {
			set: func(s *stage) {
				s.file("marker", "", 0o644)
				s.hook("createRuntime", "mv rootfs before && ln -s ../other/rootfs rootfs")
			},
			after: func(s *stage, id string) {
				if _, err := os.Stat(s.procRoot(id) + "/marker"); err != nil {
					s.Errorf("the container has another root than the one that was checked: %v", err)
				}
			},
		},
		"I-13": {skip: "argument", why: "no argument of a program can hold a NUL byte: execve ends it there"},
	}
}

func programScenes() map[string]scene {
	return map[string]scene{
		"P-07": {set: func(s *stage) {}, from: []string{"process.args[0]"}, words: []string{`exec: "/tmp": is a directory`}},
		"P-08": {set: script("#!/bin/true\n", 0o644), from: []string{"process.args"}, words: []string{
			`exec: "/run.sh": permission denied (mode 0644, owner 0:0, executed by 0:0)`,
		}},
		"P-09": playStart(script("#!/no/such -x\n", 0o755),
			"exec /run.sh: no such file or directory: the interpreter /no/such of it is missing"),
		"P-10": {play: func(s *stage) {
			script("", 0o755)(s)
			s.write(&row{})
			s.startFails("exec /run.sh: exec format error: it is empty")
			s.file("run.sh", foreignProgram(), 0o755)
			s.startFails("exec /run.sh: exec format error: it is made for ", " and this machine is ")
		}},
		"P-17": {
			set:   func(s *stage) { s.file("bin/busybox", "", 0o755) },
			from:  []string{"process.cwd"},
			words: []string{`chdir to cwd ("/bin/busybox") set in config.json failed: not a directory`},
		},
		"P-19": {late: true, from: []string{"process.cwd"}, words: []string{`chdir to cwd ("/proc/self/fd/7") set in config.json failed: no such file or directory`}},
		"P-20": {
			set: func(s *stage) {
				must(s, os.Symlink("/proc/1/cwd", s.rootfs("x")))
				s.put("/process/cwd", "/x")
			},
			from:  []string{"process.cwd"},
			words: []string{`chdir to cwd ("/x") set in config.json failed: `, "outside of the container root"},
		},
	}
}

// foreignProgram is the head of an ELF file for a machine that this one is not.
func foreignProgram() string {
	machine := elf.EM_S390
	if runtime.GOARCH == "s390x" {
		machine = elf.EM_MIPS
	}
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x02\x01")
	binary.BigEndian.PutUint16(b[16:], uint16(elf.ET_EXEC))
	binary.BigEndian.PutUint16(b[18:], uint16(machine))
	binary.BigEndian.PutUint32(b[20:], 1)
	return string(b)
}

func rlimit(kind string, n uint64) []any {
	return []any{map[string]any{"type": kind, "hard": n, "soft": n}}
}

func processScenes() map[string]scene {
	return map[string]scene{
		"P-41": {
			set: func(s *stage) {
				s.runtime.Wrap = []string{need.Tool(s, "setpriv"), "--bounding-set", "-sys_boot"}
				s.put("/process/capabilities/bounding/-", "CAP_SYS_BOOT")
			},
			words: []string{"ignoring unknown or unavailable capabilities: [CAP_SYS_BOOT]"},
		},
		"P-46": {fine: true, after: func(s *stage, id string) { s.runtime.Do("start", id).OK() }},
		// Limits are set last, so that they cannot starve what comes before.
		"P-47": playStart(func(s *stage) { s.put("/process/rlimits", rlimit("RLIMIT_NOFILE", 1<<40)) },
			"limit nofile to 1099511627776", "operation not permitted", "fs.nr_open"),
		"P-49": {
			user: true,
			set: func(s *stage) {
				s.rootless()
				s.put("/process/oomScoreAdj", -500)
				s.runtime.Wrap = []string{"/bin/sh", "-c", `echo 200 >/proc/self/oom_score_adj && exec "$@"`, "sh"}
			},
			from:  []string{"process.oomScoreAdj"},
			words: []string{"permission denied", "current value 200"},
		},
		"P-50": {set: func(s *stage) {
			on, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
			need.Feature(s, "apparmor", strings.HasPrefix(string(on), "Y"), "AppArmor is not enabled")
		}, from: []string{"process.apparmorProfile"}, words: []string{"apparmor failed to apply profile", "is not loaded"}},
		"P-51": {set: func(s *stage) {
			on, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
			need.Feature(s, "no-apparmor", !strings.HasPrefix(string(on), "Y"), "AppArmor is enabled")
		}},
		"P-53": {set: func(s *stage) {
			_, err := os.Stat("/sys/fs/selinux/enforce")
			need.Feature(s, "no-selinux", err != nil, "SELinux is enabled")
		}, from: []string{"process.selinuxLabel"}, words: []string{"selinux label is specified in config, but selinux is disabled or not supported"}},
		"P-54": {set: func(s *stage) {
			_, err := os.Stat("/sys/fs/selinux/enforce")
			need.Feature(s, "selinux", err == nil, "SELinux is not enabled")
			s.put("/process/selinuxLabel", "nonsense")
		}, from: []string{"process.selinuxLabel"}, words: []string{"invalid context"}},
		"P-62": {words: []string{"cannot allocate tty if ocirt will detach without setting console socket"}},
		"P-63": {
			set:   func(s *stage) { s.flags = []string{"--console-socket", s.dir + "/none"} },
			words: []string{"cannot use console socket if ocirt will not detach or allocate tty"},
		},
		"P-64": {command: "run", words: []string{"process.terminal: stdin is not a terminal"}},
		"H-15": {from: []string{"annotations"}, words: []string{"annotation org.systemd.property.TimeoutStopUSec=uint64 x value parse error: "}},
		"M-25": {
			set: func(s *stage) {
				s.runtime.Wrap = []string{need.Tool(s, "unshare"), "--mount", "/bin/sh", "-c", `umount -R /sys/fs/cgroup && exec "$@"`, "sh"}
			},
			from: []string{"mounts[6]"}, words: []string{"no cgroup hierarchy"},
		},
		"M-30": {skip: "old-kernel", why: "needs Linux 5.11 or older: this one has mount_setattr"},
	}
}

func namespaceScenes() map[string]scene {
	return map[string]scene{
		"N-05": {set: func(s *stage) { s.put("/linux/namespaces/1/path", s.dir+"/file") }},
		"N-08": {set: func(s *stage) {
			path := s.dir + "/a,b"
			must(s, os.WriteFile(path, nil, 0o644))
			must(s, syscall.Mount("/proc/self/ns/net", path, "", syscall.MS_BIND, ""))
			s.Cleanup(func() { must(s, syscall.Unmount(path, 0)) })
			s.put("/linux/namespaces/1/path", path)
		}},
		"N-19c": {set: func(s *stage) { must(s, os.Chown(s.rootfs(""), 1000, 1000)) }},
		// As in crun, and not as in runc, which refuses it.
		"N-21": {set: func(s *stage) { must(s, os.Chown(s.rootfs(""), 1001, 1001)) }},
		"N-24": {
			user: true,
			set: func(s *stage) {
				need.Tool(s, "newuidmap")
				s.rootless()
				s.put("/linux/uidMappings", []any{map[string]int{"containerID": 0, "hostID": 0, "size": 5}})
			},
			late:  true,
			from:  []string{"linux.uidMappings"},
			words: []string{"cannot map ids with newuidmap: exit status 1", "newuidmap: "},
		},
		"N-29b": {skip: "eth0", why: "it would take the host's own device"},
	}
}
