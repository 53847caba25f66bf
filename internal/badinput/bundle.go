package badinput

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Bundle makes a bundle as the corpus' README describes it, without a config.json. It goes
// with the test.
func Bundle(t testing.TB) string {
	t.Helper()
	// A short name of its own: t.TempDir's holds the test's name, messages cut what is long,
	// and a socket may be bound in it.
	top, err := os.MkdirTemp("", "s") //nolint:usetesting // see above
	must(t, err)
	dir := filepath.Join(top, "b")
	t.Cleanup(func() {
		_ = os.Chmod(filepath.Join(dir, "closed"), 0o700)
		must(t, os.RemoveAll(top))
	})
	must(t, os.Chmod(top, 0o755))
	for _, d := range []string{"b/rootfs", "b/closed/a/b", "other/rootfs"} {
		must(t, os.MkdirAll(filepath.Join(top, d), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	must(t, os.Symlink("rootfs", filepath.Join(dir, "link")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	must(t, os.Chmod(filepath.Join(dir, "closed"), 0))
	return dir
}

// Write puts the row's config.json into a bundle, changed further by patches: a file with
// the row's configuration, or what the row's setup puts there instead.
func (r *Row) Write(t testing.TB, dir string, patches ...Patch) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	if r.Setup != "" {
		plant(t, path, r.Setup)
		return
	}
	must(t, os.WriteFile(path, Patched(t, r.Config(t, dir), patches), 0o644))
}

// plant puts something that is no ordinary file at path.
func plant(t testing.TB, path, what string) {
	t.Helper()
	var err error
	switch what {
	case "missing":
	case "fifo":
		err = syscall.Mkfifo(path, 0o600)
	case "folder":
		err = os.Mkdir(path, 0o755)
	case "device":
		err = os.Symlink("/dev/zero", path)
	case "socket":
		var l net.Listener
		if l, err = net.Listen("unix", path); err == nil {
			t.Cleanup(func() { l.Close() })
		}
	case "loop":
		err = os.Symlink(filepath.Base(path), path)
	case "unreadable":
		err = os.WriteFile(path, []byte("{}"), 0)
	case "sparse":
		if err = os.WriteFile(path, nil, 0o600); err == nil {
			err = os.Truncate(path, 100<<20)
		}
	default:
		t.Fatalf("setup %q is unknown", what)
	}
	must(t, err)
}
