package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstInherited is the first descriptor after standard input, output and error. (The Go
// runtime opens /dev/null for those of the three that are closed before main begins.)
const firstInherited = 3

// inherited are the descriptors that the caller handed over, and how many of them are for
// the container: those of socket activation first, then those of --preserve-fds.
type inherited struct {
	preserve int // of --preserve-fds
	listen   int
	names    string // of the listen ones, separated by colons; empty: they have none
	open     int    // how many are open one after the other, of those that may be asked for
	invalid  string
}

// adopt looks which descriptors were handed over, and then lets no program that is
// executed have any of them by accident. A descriptor that was inherited cannot be
// close-on-exec; the Go runtime's own ones are.
func (in *inherited) adopt() {
	in.listen = in.listenFDs()
	in.names = in.listenNames()
	for in.open-in.listen < in.preserve && handedOver(firstInherited+in.open) {
		in.open++
	}
	closeOnExec()
}

// listenFDs is the number of sockets of socket activation (sd_listen_fds(3)); values that
// are damaged, or meant for another process, count as none.
func (in *inherited) listenFDs() int {
	value, pid := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID")
	if value == "" || pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		in.invalid = fmt.Sprintf("LISTEN_FDS: %q is no number of descriptors; ignored", value)
		return 0
	}
	for i := range n {
		if fd := firstInherited + i; !handedOver(fd) {
			in.invalid = fmt.Sprintf("LISTEN_FDS is %d, but descriptor %d is not open; ignored", n, fd)
			return 0
		}
	}
	return n
}

// listenNames are the names that go with the sockets. Readers refuse a list of another
// length, so none is better.
func (in *inherited) listenNames() string {
	names := os.Getenv("LISTEN_FDNAMES")
	if in.listen == 0 || names == "" {
		return ""
	}
	if n := strings.Count(names, ":") + 1; n != in.listen {
		in.invalid = fmt.Sprintf("LISTEN_FDNAMES has %d names, but LISTEN_FDS is %d; ignored", n, in.listen)
		return ""
	}
	return names
}

func handedOver(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// closeOnExec marks all descriptors but the first three.
func closeOnExec() {
	if unix.CloseRange(firstInherited, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	names, err := os.ReadDir("/proc/self/fd") // Linux before 5.11
	if err != nil {
		return
	}
	for _, n := range names {
		if fd, err := strconv.Atoi(n.Name()); err == nil && fd >= firstInherited {
			unix.CloseOnExec(fd)
		}
	}
}

// files are the descriptors for a new container.
func (in *inherited) files() (listen, extra []*os.File, err error) {
	if extra, err = in.preserved(in.listen); err != nil {
		return nil, nil, err
	}
	for i := range in.listen {
		listen = append(listen, os.NewFile(uintptr(firstInherited+i), "LISTEN_FDS"))
	}
	return listen, extra, nil
}

// extras are those for a further process of a container. It gets no sockets of socket
// activation, as with runc: those are its first process's.
func (in *inherited) extras() ([]*os.File, error) { return in.preserved(0) }

// preserved are the descriptors of --preserve-fds, after skip others.
func (in *inherited) preserved(skip int) (extra []*os.File, err error) {
	if in.preserve < 0 {
		return nil, fmt.Errorf("--preserve-fds: %d must not be negative", in.preserve)
	}
	for i := range in.preserve { // not up to a sum, which can overflow
		fd := firstInherited + skip + i
		if skip+i >= in.open {
			return nil, fmt.Errorf("unable to stat preserved-fd %d (of %d): --preserve-fds: descriptor %d is not open", i, in.preserve, fd)
		}
		extra = append(extra, os.NewFile(uintptr(fd), "preserved"))
	}
	return extra, nil
}
