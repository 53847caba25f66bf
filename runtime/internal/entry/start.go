package entry

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start starts the program as a child of the caller and returns its pid. Stdio and extra
// are descriptors 0 up to Base; the program's inherited files follow. The environment is
// empty.
//
// Without CLONE_NEWUSER in attr the child shares the caller's memory until execve, so its
// cost does not grow with the caller's size (clone(2), CLONE_VM|CLONE_VFORK).
func (p *Program) Start(stdio []*os.File, attr *syscall.SysProcAttr) (pid int, err error) {
	image, err := p.Image()
	if err != nil {
		return 0, err
	}
	defer image.Close()
	high, err := aside(image, stdio, p.files)
	if err != nil {
		return 0, err
	}
	defer unix.Close(high)
	return p.forkExec("/proc/self/fd/"+strconv.Itoa(high), []string{"init"}, stdio, attr)
}

// aside duplicates the image to a descriptor that syscall.ForkExec will not overwrite in
// the child: it arranges the child's descriptors by way of numbers above the highest one it
// is given, and knows nothing of the one that is named by the path (golang.org/issue/61751).
func aside(image *os.File, lists ...[]*os.File) (int, error) {
	high, n := uintptr(0), 0
	for _, files := range lists {
		n += len(files)
		for _, f := range files {
			high = max(high, f.Fd())
		}
	}
	fd, err := unix.FcntlInt(image.Fd(), unix.F_DUPFD_CLOEXEC, int(high)+n+2)
	if err != nil {
		return -1, fmt.Errorf("cannot put init's image aside: %w", err)
	}
	return fd, nil
}

// forkExec starts an executable with the descriptors that the program expects.
func (p *Program) forkExec(path string, argv []string, stdio []*os.File, attr *syscall.SysProcAttr) (pid int, err error) {
	if len(stdio) != p.Base() {
		p.fault("%d descriptors before the program's own, want %d", len(stdio), p.Base())
		return 0, p.err
	}
	files := make([]uintptr, 0, len(stdio)+len(p.files))
	for _, f := range append(stdio[:len(stdio):len(stdio)], p.files...) {
		files = append(files, f.Fd())
	}
	return syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: []string{}, Files: files, Sys: attr})
}
