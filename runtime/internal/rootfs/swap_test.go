package rootfs

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/steptest"
)

// Another container shares a volume and exchanges a directory in it for a link to the root
// of the host, all the time (CVE-2021-30465).
func TestSwappedMountPoints(t *testing.T) {
	need.Root(t)
	steptest.In(t, steptest.Options{}, func(t *testing.T) {
		volume, canary := t.TempDir(), t.TempDir()
		for _, d := range []string{volume + "/a/b", canary + "/b"} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("../../../../../../../.."+canary, volume+"/l"); err != nil {
			t.Fatal(err)
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					_ = unix.Renameat2(unix.AT_FDCWD, volume+"/a", unix.AT_FDCWD, volume+"/l", unix.RENAME_EXCHANGE)
				}
			}
		}()
		defer func() {
			close(stop)
			<-stopped
		}()
		proc := open(t, "/proc")
		before, host := stat(t, canary+"/b"), len(steptest.Mounts(t, &step.Sandbox{Proc: proc}))
		built := 0
		for range 100 {
			in := input(t, bind(volume, "/vol"), tmpfs("/vol/a/b"), tmpfs("/vol/a/c/d"), bind("/etc/hostname", "/vol/a/file"))
			steptest.Build(t, in, everything, func(_ *step.Sandbox, err error) {
				if err == nil {
					built++
				}
			})
		}
		if built == 0 {
			t.Error("no container was ever built")
		}
		if after := stat(t, canary+"/b"); after != before {
			t.Error("the canary changed")
		}
		if list, _ := os.ReadDir(canary); len(list) != 1 {
			t.Errorf("made on the host: %v", list)
		}
		if after := steptest.Mounts(t, &step.Sandbox{Proc: proc}); len(after) != host {
			t.Errorf("mounted on the host: %v", after)
		}
	})
}
