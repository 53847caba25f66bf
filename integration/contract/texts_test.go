package contract

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/callers"
	"github.com/ocirt/ocirt/integration/internal/lab"
)

// dockerd, podman and CRI-O make exit statuses and answers of what the runtime says; the
// advice after the error must not change them.
func TestRule08WordsBecomeExitStatuses(t *testing.T) {
	text := func(name, content string, mode os.FileMode) func(*lab.Bundle) {
		return func(b *lab.Bundle) { b.File(name, content, mode); b.Edit(lab.Args("/" + name)) }
	}
	for _, c := range []struct {
		name         string
		set          func(*lab.Bundle)
		moby, podman int
	}{
		{"missing", func(b *lab.Bundle) { b.Edit(lab.Args("/nosuch")) }, 127, 127},
		{"not in PATH", func(b *lab.Bundle) { b.Edit(lab.Args("nosuch")) }, 127, 127},
		{"no execute bit", text("x", "#!/inside\n", 0o644), 126, 126},
		{"directory", func(b *lab.Bundle) { b.Edit(lab.Args("/tmp")) }, 126, 0},
		{"file as a directory", func(b *lab.Bundle) { b.Edit(lab.Mount("/tmp", "bind", b.Dir+"/config.json", "bind")) }, 127, 0},
		{"a limit that is refused", func(b *lab.Bundle) { b.Edit(lab.Mount("/mnt", "tmpfs", "tmpfs", "size=abc")) }, 128, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := bench(t)
			b := lab.NewBundle(t)
			c.set(b)
			for _, args := range [][]string{{"create"}, {"--log-format=json", "--log", b.Dir + "/log", "create"}} {
				res := r.Fails(append(args, "--bundle", b.Dir, r.ID()))
				for _, said := range []string{strings.ReplaceAll(res.Stderr, `\"`, `"`), first(res.Stderr)} {
					if got := callers.MobyStatus(said); got != c.moby {
						t.Errorf("dockerd makes %d of it, want %d: %s", got, c.moby, said)
					}
					if got := callers.PodmanStatus(said); got != c.podman {
						t.Errorf("podman makes %d of it, want %d: %s", got, c.podman, said)
					}
				}
				if c.podman == 127 && callers.LibpodStatus(res.Stderr) != 127 {
					t.Errorf("libpod makes 126 of it: %s", res.Stderr)
				}
			}
		})
	}
}

func first(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// What kill and delete say tells engines whether there is anything left to do.
func TestRule08WordsTellWhatIsGone(t *testing.T) {
	r := bench(t)
	res := r.Do("kill", "nobody", "9").Failed()
	if ended, gone := callers.NotFound(res.Stderr); ended || !gone {
		t.Errorf("kill of nobody: ended %v, gone %v: %v", ended, gone, res)
	}
	res = r.Do("delete", "nobody").Failed()
	if _, gone := callers.NotFound(res.Stderr); !gone {
		t.Errorf("delete of nobody: %v", res)
	}
	c := r.Launch(sleeper(t))
	c.Kill("KILL").OK()
	stopped(t, c)
	res = c.Kill("TERM").Failed("container not running")
	if ended, gone := callers.NotFound(res.Stderr); !ended || gone || !callers.CrioGone(res.Stderr) {
		t.Errorf("kill of a dead one: ended %v, gone %v: %v", ended, gone, res)
	}
	r.Do("kill", c.ID, "NOSUCH").Failed(`unknown signal \"NOSUCH\"`)
	if ended, gone := callers.NotFound(r.Do("kill", c.ID, "NOSUCH").Stderr); ended || gone {
		t.Error("a bad signal looks as if the container had gone")
	}
	r.Do("start", c.ID).Failed("cannot start a container that has stopped")
	r.Do("create", "--bundle", "/", c.ID).Failed("ocirt create failed: ")
}

func TestRule08ExecWords(t *testing.T) {
	r := bench(t)
	command(t, r, "exec")
	c := r.Launch(sleeper(t))
	for name, status := range map[string]int{"/nosuch": 127, "nosuch": 127, "/tmp": 126} {
		res := r.Do("exec", "--process", process(t, name), c.ID)
		if got := callers.MobyStatus(strings.ReplaceAll(res.Stderr, `\"`, `"`)); res.Code != 255 || got != status || !strings.Contains(res.Stderr, "exec failed: ") {
			t.Errorf("%s: dockerd makes %d of it, want %d: %v", name, got, status, res)
		}
	}
	must(t, unix.Kill(c.Pid, unix.SIGKILL))
	stopped(t, c)
	if res := r.Do("exec", c.ID, "/inside"); res.Code != 255 || !strings.Contains(res.Stderr, "cannot exec in a stopped container") {
		t.Errorf("%v", res)
	}
}

// dockerd takes the last line with the word "version" for the version.
func TestRule09Version(t *testing.T) {
	r := bench(t)
	text := r.Do("--version").OK().Stdout
	name, version, commit := callers.MobyVersion(text)
	if name != "ocirt" || version == "" || strings.ContainsAny(version, " \t") || commit == "" {
		t.Errorf("dockerd reads name %q, version %q, commit %q from\n%s", name, version, commit, text)
	}
	if strings.Count(text, "version") != 1 || !strings.HasPrefix(text, "ocirt version ") || !strings.Contains(text, "\nspec: 1.") {
		t.Errorf("%s", text)
	}
	if res := r.Do("-v").OK(); res.Stdout != text {
		t.Errorf("-v: %v", res)
	}
}

// go-runc understands only "runc version".
func TestRule10CalledAsRuncItAnswersAsRunc(t *testing.T) {
	r := bench(t)
	link := filepath.Join(lab.Dir(t), "runc")
	must(t, os.Symlink(r.Path, link))
	out, err := exec.Command(link, "--version").CombinedOutput()
	must(t, err)
	version, commit, spec := callers.GoRuncVersion(string(out))
	_, want, _ := callers.MobyVersion(r.Do("--version").Stdout)
	if version != want || commit == "" || spec == "" {
		t.Errorf("go-runc reads version %q (of %q), commit %q, spec %q from\n%s", version, want, commit, spec, out)
	}
	// dockerd calls runtimes by wrapper scripts of any name.
	wrapper := filepath.Join(lab.Dir(t), "io.containerd.whatever")
	must(t, os.Symlink(r.Path, wrapper))
	if out, err := exec.Command(wrapper, "--version").Output(); err != nil || !strings.HasPrefix(string(out), "ocirt version ") {
		t.Errorf("%v: %s", err, out)
	}
}

// CRI-O sends names, podman numbers.
func TestRule16Signals(t *testing.T) {
	r := bench(t)
	c := r.Launch(shell(t, `for s in TERM USR1 HUP RTMIN+3; do n=$(kill -l ${s#SIG} 2>/dev/null) || n=37; trap "echo got $n" $n; done; echo ready; while :; do sleep 0.02; done`))
	c.Says("ready")
	n := 1
	for _, s := range []struct{ word, got string }{
		{"15", "15"}, {"TERM", "15"}, {"SIGTERM", "15"}, {"sigterm", "15"}, {"", "15"}, {"USR1", "10"}, {"HUP", "1"}, {"SIGRTMIN+3", "37"}, {"37", "37"}, {"RTMIN+3", "37"},
	} {
		n++
		args := []string{"kill", c.ID, s.word}
		if s.word == "" {
			args = args[:2]
		}
		quiet(t, r.Do(args...))
		if line := c.Line(n); line != "got "+s.got {
			t.Errorf("signal %q arrives as %q", s.word, line)
		}
	}
	quiet(t, r.Do("kill", c.ID, "0"))
	for _, bad := range []string{"X", "-1", "65", "SIG", "9x"} {
		r.Do("kill", c.ID, bad).Failed("unknown signal " + strconv.Quote(strconv.Quote(bad))[1:len(strconv.Quote(strconv.Quote(bad)))-1])
	}
	quiet(t, r.Do("kill", c.ID, "SIGKILL"))
	stopped(t, c)
}
