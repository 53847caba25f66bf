package entry

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Become makes the calling process walk the program of an image, with this argument list,
// which nobody reads but those who look at the process. It keeps its pid, parent, children
// and pending signals, and of its descriptors those that are not close-on-exec; the attributes
// of the calling thread become the process's. It returns only if that cannot be.
//
// The program must not have inherited files: its descriptors have the numbers they have.
func Become(image *os.File, argv []string) error {
	list, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return fmt.Errorf("cannot execute %s: %w", image.Name(), err)
	}
	var path byte
	var environment *byte
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, image.Fd(), uintptr(unsafe.Pointer(&path)),
		uintptr(unsafe.Pointer(&list[0])), uintptr(unsafe.Pointer(&environment)), unix.AT_EMPTY_PATH, 0)
	runtime.KeepAlive(list)
	return fmt.Errorf("cannot execute %s: %w", image.Name(), errno)
}
