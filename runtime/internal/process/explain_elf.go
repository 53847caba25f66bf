package process

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/elf"
)

// elfFile is what the kernel looks at in an ELF file. It is read by hand and bounded: the
// file is the container's.
type elfFile struct {
	machine elf.Machine
	class   elf.Class
	order   binary.ByteOrder
	kind    elf.Type
	loader  string // PT_INTERP
}

// elf explains an ELF file.
func (e *explainer) elf(who string, f *os.File, head []byte, depth int) string {
	x, ok := readELF(f, head)
	if !ok {
		return who + " is a damaged ELF file"
	}
	if e.errno == unix.ENOEXEC {
		if ours := hostMachine(); ours != elf.EM_NONE && !x.runsOn(ours) {
			return fmt.Sprintf("%s is made for %s and this machine is %s", who, machineName(x), runtime.GOARCH)
		}
		if x.kind != elf.ET_EXEC && x.kind != elf.ET_DYN {
			return who + " is an object file and no program"
		}
	}
	if x.loader == "" {
		return ""
	}
	if depth == 0 {
		return ""
	}
	text := e.needed("the ELF loader "+shown(x.loader)+" of "+who, x.loader, depth)
	if text == "" || e.errno != unix.ENOENT {
		return text
	}
	switch {
	case strings.Contains(x.loader, "ld-musl"):
		text += "; the program was linked with musl"
	case strings.Contains(x.loader, "ld-linux"), strings.Contains(x.loader, "ld64.so"):
		text += "; the program was linked with glibc"
	}
	return text
}

// runsOn reports whether a machine executes the file without an emulator.
func (x *elfFile) runsOn(host elf.Machine) bool {
	little := x.order == binary.ByteOrder(binary.LittleEndian)
	hostLittle := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	if little != hostLittle {
		return false
	}
	switch {
	case x.machine == host:
		return true
	case host == elf.EM_X86_64: // 32-bit programs, if the kernel has been built with that
		return x.machine == elf.EM_386
	case host == elf.EM_AARCH64:
		return x.machine == elf.EM_ARM
	}
	return false
}

func hostMachine() elf.Machine {
	switch runtime.GOARCH {
	case "amd64":
		return elf.EM_X86_64
	case "arm64":
		return elf.EM_AARCH64
	case "riscv64":
		return elf.EM_RISCV
	case "s390x":
		return elf.EM_S390
	case "ppc64le", "ppc64":
		return elf.EM_PPC64
	case "loong64":
		return elf.EM_LOONGARCH
	}
	return elf.EM_NONE
}

// machineName is the name that Go and the OCI image specification have for a machine.
func machineName(x *elfFile) string {
	little := x.order == binary.ByteOrder(binary.LittleEndian)
	switch x.machine {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_386:
		return "386"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_ARM:
		return "arm"
	case elf.EM_RISCV:
		return pick(x.class == elf.ELFCLASS64, "riscv64", "riscv32")
	case elf.EM_S390:
		return pick(x.class == elf.ELFCLASS64, "s390x", "s390")
	case elf.EM_PPC64:
		return pick(little, "ppc64le", "ppc64")
	case elf.EM_LOONGARCH:
		return "loong64"
	case elf.EM_MIPS:
		name := pick(x.class == elf.ELFCLASS64, "mips64", "mips")
		return name + pick(little, "le", "")
	case elf.EM_BPF:
		return "BPF"
	}
	return fmt.Sprintf("ELF machine %d", uint16(x.machine))
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// Limits of what is read: more program headers than any program has, and a path.
const (
	maxHeaders = 256
	maxLoader  = 4096
)

// readELF reads the file header and the path of the loader.
func readELF(f *os.File, head []byte) (*elfFile, bool) {
	if len(head) < 52 {
		return nil, false
	}
	x := &elfFile{class: elf.Class(head[elf.EI_CLASS])}
	switch elf.Data(head[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		x.order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		x.order = binary.BigEndian
	default:
		return nil, false
	}
	x.kind = elf.Type(x.order.Uint16(head[16:]))
	x.machine = elf.Machine(x.order.Uint16(head[18:]))
	var table uint64
	var size, n uint16
	switch {
	case x.class == elf.ELFCLASS64 && len(head) >= 64:
		table, size, n = x.order.Uint64(head[32:]), x.order.Uint16(head[54:]), x.order.Uint16(head[56:])
	case x.class == elf.ELFCLASS32:
		table, size, n = uint64(x.order.Uint32(head[28:])), x.order.Uint16(head[42:]), x.order.Uint16(head[44:])
	default:
		return nil, false
	}
	if n > maxHeaders || size > 256 || n > 0 && size < 32 {
		return nil, false
	}
	b := make([]byte, int(size)*int(n))
	if _, err := f.ReadAt(b, int64(table)); err != nil {
		return nil, false
	}
	for ; len(b) > 0; b = b[size:] {
		if elf.ProgType(x.order.Uint32(b)) == elf.PT_INTERP {
			return x, x.readLoader(f, b)
		}
	}
	return x, true
}

// readLoader reads the path that a program header of the type PT_INTERP stands for.
func (x *elfFile) readLoader(f *os.File, header []byte) bool {
	var at, size uint64
	switch {
	case x.class == elf.ELFCLASS32:
		at, size = uint64(x.order.Uint32(header[4:])), uint64(x.order.Uint32(header[16:]))
	case len(header) >= 40:
		at, size = x.order.Uint64(header[8:]), x.order.Uint64(header[32:])
	default:
		return false
	}
	if size < 2 || size > maxLoader {
		return false
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, int64(at)); err != nil {
		return false
	}
	x.loader, _, _ = strings.Cut(string(b), "\x00")
	return x.loader != ""
}
