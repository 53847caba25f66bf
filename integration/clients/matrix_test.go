package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ocirt/ocirt/internal/need"
)

// A cell is a container and what it is to print, which ends the output, and its status.
type cell struct {
	name   string
	args   []string
	want   string
	status int
}

// sh is a container that runs a script.
func sh(script string, flags ...string) []string { return append(flags, image, "sh", "-c", script) }

func cells(dir string) []cell {
	v1 := func(file string) string { return "cat /sys/fs/cgroup/" + file }
	return []cell{
		{"echo", []string{image, "echo", "hi"}, "hi", 0},
		{"exit status", sh("exit 42"), "", 42},
		{"killed", sh("kill -9 $$; sleep 1", "--pid", "host"), "", 137},
		{"not found", []string{image, "/nosuch"}, "", 127},
		{"not in PATH", []string{image, "nosuch"}, "", 127},
		{"not executable", []string{image, "/etc/passwd"}, "", 126},
		{"directory", []string{image, "/etc"}, "", 126},
		{"unknown user", []string{"--user", "nobody-knows", image, "true"}, "", 126},
		{"big output", sh("seq 20000 | tail -1; seq 20000 >&2", "--log-driver", "none"), "20000", 0},
		{"terminal", []string{"--tty", image, "tty"}, "/dev/pts/0", 0},
		{"terminal's size", sh("test -t 0 && test -t 1 && echo yes", "--tty"), "yes", 0},
		{"read-only", sh("touch /x 2>&1 | grep -o Read-only; touch /t/x && echo ok", "--read-only", "--tmpfs", "/t"), "Read-only\nok", 0},
		{"user and groups", sh("id -u; id -g; id -G", "--user", "1000:1000", "--group-add", "2000"), "1000\n1000\n1000 2000", 0},
		{"user by name", []string{"--user", "u", image, "id", "-G"}, "1000 2000", 0},
		{"environment, directory, host name", sh("echo $A; pwd; hostname", "--env", "A=b,c", "--workdir", "/tmp", "--hostname", "box"), "b,c\n/tmp\nbox", 0},
		{"resource limits", sh("ulimit -Sn; ulimit -Hn", "--ulimit", "nofile=123:456", "--ulimit", "nproc=1000:1000"), "123\n456", 0},
		{"umask", sh("umask", "--umask", "0077"), "0077", 0},
		{"no capabilities", sh("grep -E 'Cap(Eff|Bnd)' /proc/self/status | cut -f2", "--cap-drop", "ALL"), "0000000000000000\n0000000000000000", 0},
		{"one capability", sh("grep CapEff /proc/self/status | cut -f2", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"), "0000000000000400", 0},
		{"no new privileges", sh("grep NoNewPrivs /proc/self/status | cut -f2", "--security-opt", "no-new-privileges"), "1", 0},
		{"seccomp", sh("grep Seccomp: /proc/self/status | cut -f2"), "2", 0},
		{"no seccomp", sh("grep Seccomp: /proc/self/status | cut -f2", "--security-opt", "seccomp=unconfined"), "0", 0},
		{"a profile of one's own", sh("mkdir /x 2>&1", "--security-opt", "seccomp="+dir+"/seccomp.json"), "Cannot assign requested address", 1},
		{"OOM score", sh("cat /proc/self/oom_score_adj", "--oom-score-adj", "500"), "500", 0},
		{"size of /dev/shm", sh("df -m /dev/shm | awk 'END{print $2}'", "--shm-size", "5m"), "5", 0},
		{"sysctl", sh("cat /proc/sys/net/ipv4/ip_forward", "--sysctl", "net.ipv4.ip_forward=1"), "1", 0},
		{"masked and read-only paths", sh("grep -c ' /proc/keys ' /proc/mounts; (echo x >/proc/sys/kernel/hostname) 2>&1 | grep -o Read-only"), "1\nRead-only", 0},
		{"descriptors", sh("ls /proc/self/fd | wc -l"), "4", 0},
		{"memory", sh(v1("memory/memory.limit_in_bytes"), "--memory", "64m"), "67108864", 0},
		{"number of processes", sh(v1("pids/pids.max"), "--pids-limit", "50"), "50", 0},
		{"processors", sh(v1("cpu/cpu.cfs_quota_us")+"; "+v1("cpu/cpu.shares"), "--cpus", "0.5", "--cpu-shares", "512"), "50000\n512", 0},
		{"too many processes", sh("for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & done; wait 2>&1", "--pids-limit", "5"), "", 2},
		{"volumes", sh("cat /v/f; echo w >/v/new && cat /v/new; (echo z >/ro/f) 2>&1 | grep -o Read-only", "--volume", dir+"/vol:/v", "--volume", dir+"/vol:/ro:ro"), "hello\nw\nRead-only", 0},
		{"propagation", sh("grep ' /v ' /proc/self/mountinfo | grep -o 'master:' | head -1", "--volume", dir+"/shared:/v:rslave"), "master:", 0},
		{"tmpfs", sh("stat -f -c %T /m; df -m /m | awk 'END{print $2}'", "--mount", "type=tmpfs,dst=/m,tmpfs-size=3m"), "tmpfs\n3", 0},
		{"privileged", sh("mkdir /mnt && mount -t tmpfs x /mnt && stat -f -c %T /mnt; grep Seccomp: /proc/self/status | cut -f2", "--privileged"), "tmpfs\n0", 0},
		{"the host's namespaces", sh("readlink /proc/self/ns/uts; readlink /proc/self/ns/ipc", "--uts", "host", "--ipc", "host"), hostNamespaces(), 0},
		{"user namespace", sh("cat /proc/self/uid_map; touch /x; stat -c %u /x", "--uidmap", "0:200000:65536", "--gidmap", "0:200000:65536"), "         0     200000      65536\n0", 0},
		{"id-mapped volume", sh("stat -c %u /v/f", "--uidmap", "0:200000:65536", "--gidmap", "0:200000:65536", "--volume", dir+"/vol:/v:idmap"), "0", 0},
		{"device", sh("exec 3<>/dev/nought && echo opened", "--device", "/dev/null:/dev/nought:rw"), "opened", 0},
		{"log-driver passthrough", sh("echo pt", "--log-driver", "passthrough"), "pt", 0},
		{"unmasked", sh("grep -c ' /proc/keys ' /proc/mounts", "--security-opt", "unmask=ALL"), "0", 1},
	}
}

func hostNamespaces() string {
	uts, _ := os.Readlink("/proc/self/ns/uts")
	ipc, _ := os.Readlink("/proc/self/ns/ipc")
	return uts + "\n" + ipc
}

func TestPodmanRuns(t *testing.T) {
	p := newPodman(t)
	must(t, os.WriteFile(p.dir+"/seccomp.json", []byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":99}]}`), 0o644))
	for _, d := range []string{"vol", "shared"} {
		must(t, os.Mkdir(filepath.Join(p.dir, d), 0o777))
	}
	must(t, os.WriteFile(p.dir+"/vol/f", []byte("hello\n"), 0o644))
	if out, err := exec.Command("sh", "-c", `mount -t tmpfs x "$0" && mount --make-shared "$0"`, p.dir+"/shared").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer func() { _ = exec.Command("umount", p.dir+"/shared").Run() }()
	for _, c := range cells(p.dir) {
		t.Run(c.name, func(t *testing.T) {
			out, status := p.on(t).run(c.args...)
			text := strings.TrimRight(strings.ReplaceAll(out, "\r\n", "\n"), "\n")
			if status != c.status || !strings.HasSuffix(text, c.want) {
				t.Errorf("want %d and %q; got %d and\n%s", c.status, c.want, status, out)
			}
		})
	}
	t.Run("stdin", func(t *testing.T) {
		if out, status := p.on(t).do("data\n", "run", "--rm", "-i", "--network", "none", image, "cat"); status != 0 || out != "data\n" {
			t.Errorf("%d: %s", status, out)
		}
	})
	t.Run("init", func(t *testing.T) {
		need.Tool(t, "catatonit")
		if out, status := p.on(t).run(sh("cat /proc/1/comm", "--init")...); status != 0 || out != "catatonit\n" && out != "podman-init\n" {
			t.Errorf("%d: %s", status, out)
		}
	})
	t.Run("preserved descriptors", func(t *testing.T) {
		p := p.on(t)
		cmd := exec.Command(p.program, append(p.flags, "run", "--rm", "--network", "none", "--preserve-fds", "1", image, "sh", "-c", "cat <&3")...)
		cmd.Env = p.env
		f, err := os.Open(p.dir + "/vol/f")
		must(t, err)
		defer f.Close()
		cmd.ExtraFiles = []*os.File{f}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "hello\n" {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// One container, from its creation to its removal.
func TestPodmanLife(t *testing.T) {
	p := newPodman(t)
	has := func(what, part string) {
		t.Helper()
		if !strings.Contains(what, part) {
			t.Errorf("no %q in %s", part, what)
		}
	}
	p.ok("run", "--detach", "--name", "c", "--network", "none", "--memory", "64m", "--health-cmd", "test -f /ok", "--health-interval", "disable",
		image, "sh", "-c", `echo out; echo err >&2; trap 'echo usr1' USR1; while :; do sleep 0.1; done`)
	has(p.ok("inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "c"), "running ")
	if !eventually(func() bool { return strings.Contains(p.ok("logs", "c"), "err") }) {
		t.Error("no logs")
	}
	p.ok("kill", "--signal", "USR1", "c")
	if !eventually(func() bool { return strings.Contains(p.ok("logs", "c"), "usr1") }) {
		t.Error("the signal does not arrive")
	}
	has(p.ok("top", "c", "pid", "comm"), "sh")
	if stats := p.ok("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "c"); strings.HasPrefix(stats, "0B") || strings.Contains(stats, "--") {
		t.Errorf("stats: %s", stats)
	}
	t.Run("join", func(t *testing.T) {
		if out, status := p.on(t).run("--pid", "container:c", image, "cat", "/proc/1/comm"); status != 0 || out != "sh\n" {
			t.Errorf("%d: %s", status, out)
		}
	})
	t.Run("exec", func(t *testing.T) { p.on(t).execs() })
	t.Run("pause", func(t *testing.T) {
		p := p.on(t)
		p.command("pause")
		p.ok("pause", "c")
		has(p.ok("inspect", "-f", "{{.State.Status}}", "c"), "paused")
		p.ok("unpause", "c")
		has(p.ok("inspect", "-f", "{{.State.Status}}", "c"), "running")
	})
	t.Run("update", func(t *testing.T) {
		p := p.on(t)
		p.command("update")
		if _, status := p.do("", "update", "--help"); status != 0 {
			need.Feature(t, "podman update", false, "this podman has none")
		}
		p.ok("update", "--memory", "128m", "c")
	})
	p.ok("kill", "c")
	if !eventually(func() bool {
		return strings.Contains(p.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "c"), "exited 137")
	}) {
		t.Error("kill does not end it")
	}
	p.ok("start", "c")
	p.ok("restart", "--time", "0", "c")
	has(p.ok("inspect", "-f", "{{.State.Status}}", "c"), "running")
	p.ok("rm", "--force", "--time", "0", "c")
	if out, status := p.do("", "inspect", "--type", "container", "c"); status == 0 {
		t.Errorf("it is still there: %s", out)
	}
}

// command gates on a command of the runtime's.
func (p *podman) command(name string) {
	p.t.Helper()
	err := exec.Command(p.runtime, name, "--help").Run()
	need.Feature(p.t, name, err == nil, "the runtime has no command "+name)
}

// execs are those into the container c.
func (p *podman) execs() {
	p.command("exec")
	for _, c := range []cell{
		{"first process", []string{"c", "cat", "/proc/1/comm"}, "sh\n", 0},
		{"status", []string{"c", "sh", "-c", "exit 7"}, "", 7},
		{"not found", []string{"c", "/nosuch"}, "", 127},
		{"not executable", []string{"c", "/etc/passwd"}, "", 126},
		{"flags", []string{"--user", "1000", "--env", "Q=r", "--workdir", "/tmp", "c", "sh", "-c", "id -u; echo $Q; pwd"}, "1000\nr\n/tmp\n", 0},
		{"seccomp", []string{"c", "sh", "-c", "grep Seccomp: /proc/self/status | cut -f2"}, "2\n", 0},
		{"cgroup", []string{"c", "sh", "-c", "cmp /proc/self/cgroup /proc/1/cgroup && echo same"}, "same\n", 0},
		{"terminal", []string{"--tty", "c", "sh", "-c", "test -t 1 && echo istty"}, "istty\r\n", 0},
		{"privileged", []string{"--privileged", "c", "sh", "-c", "grep CapEff /proc/self/status | cut -f2 | cut -c8"}, "f\n", 0},
	} {
		p.t.Run(c.name, func(t *testing.T) {
			if out, status := p.on(t).do("", append([]string{"exec"}, c.args...)...); status != c.status || !strings.HasSuffix(out, c.want) {
				t.Errorf("want %d and %q; got %d and %q", c.status, c.want, status, out)
			}
		})
	}
	p.t.Run("stdin", func(t *testing.T) {
		if out, status := p.on(t).do("data\n", "exec", "-i", "c", "cat"); status != 0 || out != "data\n" {
			t.Errorf("%d: %s", status, out)
		}
	})
	p.t.Run("health", func(t *testing.T) {
		p := p.on(t)
		if out, status := p.do("", "healthcheck", "run", "c"); status != 1 {
			t.Errorf("%d: %s", status, out)
		}
		p.ok("exec", "c", "touch", "/ok")
		p.ok("healthcheck", "run", "c")
	})
}

func TestPodmanStops(t *testing.T) {
	p := newPodman(t)
	p.ok("run", "--detach", "--name", "term", "--network", "none", image, "sh", "-c", `trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done`)
	if !eventually(func() bool { return strings.Contains(p.ok("logs", "term"), "ready") }) {
		t.Fatal("it is not ready")
	}
	begin := time.Now()
	p.ok("stop", "--time", "60", "term")
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("stop took %v", d)
	}
	p.ok("run", "--detach", "--name", "deaf", "--network", "none", image, "sleep", "1000")
	p.ok("stop", "--time", "1", "deaf")
	p.ok("run", "--detach", "--name", "wait", "--network", "none", image, "sh", "-c", "sleep 0.5; exit 5")
	if out := p.ok("wait", "wait"); out != "5\n" {
		t.Errorf("wait: %s", out)
	}
	for name, status := range map[string]string{"term": "3", "deaf": "137", "wait": "5"} {
		if out := p.ok("inspect", "-f", "{{.State.ExitCode}}", name); out != status+"\n" {
			t.Errorf("%s: status %s, want %s", name, out, status)
		}
		p.ok("rm", name)
	}
	p.ok("create", "--name", "later", "--network", "none", image, "echo", "inited")
	p.ok("init", "later")
	p.ok("start", "later")
	p.ok("wait", "later")
	if out := p.ok("logs", "later"); out != "inited\n" {
		t.Errorf("logs: %s", out)
	}
	p.ok("create", "--name", "attached", "--network", "none", image, "sh", "-c", "echo attached; exit 4")
	if out, status := p.do("", "start", "--attach", "attached"); status != 4 || out != "attached\n" {
		t.Errorf("%d: %s", status, out)
	}
}
