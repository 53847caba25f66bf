package contract

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func TestMain(m *testing.M) { lab.Main(m) }

// bench is a runtime of ocirt's own, as root.
func bench(t *testing.T) *lab.Runtime {
	t.Helper()
	need.Root(t)
	r := lab.New(t)
	need.Feature(t, "ours", r.Ours(), "the words are ocirt's")
	return r
}

// command gates on a command that this build may not have.
func command(t *testing.T, r *lab.Runtime, name string) {
	t.Helper()
	cmd := r.Command(name, "--help")
	need.Feature(t, name, r.Finish(cmd).Code == 0, "there is no command "+name)
}

// sleeper is a bundle whose program waits for ever.
func sleeper(t *testing.T, edits ...lab.Edit) *lab.Bundle {
	t.Helper()
	return lab.NewBundle(t, append([]lab.Edit{lab.Check("sleep", "forever")}, edits...)...)
}

// shell is a bundle whose program is a shell script.
func shell(t *testing.T, script string, edits ...lab.Edit) *lab.Bundle {
	t.Helper()
	return lab.NewBundle(t, append([]lab.Edit{lab.Args("/bin/sh", "-c", script)}, edits...)...).Busybox()
}

// stopped waits until a container has ended.
func stopped(t *testing.T, c *lab.Container) {
	t.Helper()
	if !lab.Eventually(func() bool { return c.State().Status == "stopped" }) {
		t.Fatalf("container %s does not end", c.ID)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// quiet fails the test if a command that succeeded said anything.
func quiet(t *testing.T, res lab.Result) {
	t.Helper()
	if res.Code != 0 || res.Stdout != "" || res.Stderr != "" {
		t.Errorf("want success without a word, got %v", res)
	}
}

// names are the entries of a folder.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

// process is a file with the process of an exec.
func process(t *testing.T, args ...string) string {
	t.Helper()
	path := filepath.Join(lab.Dir(t), "process.json")
	text := `{"cwd":"/","env":["PATH=/bin:/"],"user":{"uid":0,"gid":0},"args":["` + strings.Join(args, `","`) + `"]}`
	must(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// execed is the process of a detached exec. Its end is waited for, as engines do: the first
// process of its pid namespace cannot end before that.
func execed(t *testing.T, pidFile string) int {
	t.Helper()
	pid, err := strconv.Atoi(read(t, pidFile))
	must(t, err)
	t.Cleanup(func() {
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = unix.Wait4(pid, nil, 0, nil)
	})
	return pid
}
