package entry

import (
	"os"
	"strconv"
	"syscall"
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
	path := "/proc/self/fd/" + strconv.Itoa(int(image.Fd()))
	return p.forkExec(path, []string{"init"}, stdio, attr)
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
