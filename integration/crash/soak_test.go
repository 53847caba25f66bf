package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// lives is how many containers a soak makes.
const lives = 500

func TestSoak(t *testing.T) {
	need.Root(t)
	for _, workers := range []int{1, 8} {
		t.Run(fmt.Sprintf("%d at a time", workers), func(t *testing.T) { soak(t, workers) })
	}
}

func soak(t *testing.T, workers int) {
	a := newArena(t)
	files := openFiles()
	begin := time.Now()
	ids := make(chan string)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for id := range ids {
				if err := a.life(id); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	for range lives {
		ids <- a.r.ID()
	}
	close(ids)
	wg.Wait()
	fmt.Fprintf(t.Output(), "%d lives in %v\n", lives, time.Since(begin).Round(time.Millisecond))
	if left := a.left(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	// All ids of this test's process begin so.
	if left := groupsOf(a.id[:strings.LastIndexByte(a.id, '-')+1]); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if now := openFiles(); now > files {
		t.Errorf("%d descriptors are open, %d were", now, files)
	}
}

func openFiles() int {
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}

// life is one container's whole life. The test is the sub-reaper, and sees its end as an
// engine's monitor does.
func (a *arena) life(id string) error {
	pidFile := filepath.Join(a.b.Dir, "pid-"+id)
	defer os.Remove(pidFile)
	for _, args := range [][]string{{"create", "--bundle", a.b.Dir, "--pid-file", pidFile, id}, {"start", id}, {"kill", id, "KILL"}} {
		if res := a.r.Do(args...); res.Code != 0 {
			return fmt.Errorf("%v", res)
		}
	}
	pid, err := strconv.Atoi(read(pidFile))
	if err != nil {
		return err
	}
	var ws unix.WaitStatus
	for {
		if _, err = unix.Wait4(pid, &ws, 0, nil); err != unix.EINTR {
			break
		}
	}
	if err != nil || ws.Signal() != unix.SIGKILL {
		return fmt.Errorf("init ended with %v, %w", ws, err)
	}
	if res := a.r.Do("delete", id); res.Code != 0 {
		return fmt.Errorf("%v", res)
	}
	return nil
}
