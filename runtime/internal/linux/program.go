package linux

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of an ELF program header and of the auxiliary vector (elf(5), getauxval(3)).
const (
	typeLoad  = 1
	typePhdr  = 6
	writeable = 2

	auxPhdr  = 3
	auxPhent = 4
	auxPhnum = 5
)

// A programHeader is that of a 64-bit file.
type programHeader struct {
	kind, flags uint32
	_           uint64 // place in the file
	addr        uint64
	_, _        uint64 // physical address, size in the file
	size        uint64
	_           uint64 // alignment
}

// DropProgram gives back the pages of this program that can be read from its file again: two
// thirds of what a process has that does nothing but wait for a container. The others are
// dropped sooner, too: at the end, where somebody waits for this process. Where that cannot be
// done nothing is lost: it is only memory.
func DropProgram() {
	aux, err := unix.Auxv()
	if err != nil {
		return
	}
	var table, entry, n uintptr
	for _, a := range aux {
		switch a[0] {
		case auxPhdr:
			table = a[1]
		case auxPhent:
			entry = a[1]
		case auxPhnum:
			n = a[1]
		}
	}
	if table == 0 || entry != unsafe.Sizeof(programHeader{}) {
		return
	}
	headers := unsafe.Slice(*(**programHeader)(unsafe.Pointer(&table)), n)
	base := uint64(0) // of a program that may lie anywhere
	for _, h := range headers {
		if h.kind == typePhdr {
			base = uint64(table) - h.addr
		}
	}
	page := uint64(unix.Getpagesize())
	for _, h := range headers {
		if h.kind == typeLoad && h.flags&writeable == 0 {
			from := (base + h.addr) &^ (page - 1)
			to := (base + h.addr + h.size + page - 1) &^ (page - 1)
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(to-from), unix.MADV_DONTNEED)
		}
	}
}
