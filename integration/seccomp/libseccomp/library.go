// Package libseccomp asks libseccomp what it makes of a seccomp profile, and compares that
// with the filters of ocirt. Only its tests do anything.
package libseccomp

// #cgo pkg-config: libseccomp
// #include <seccomp.h>
// #include <stdlib.h>
import "C"

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
)

// tokens are libseccomp's numbers of architectures, as far as this version has them.
var tokens = map[specs.Arch]C.uint32_t{
	specs.ArchX86: C.SCMP_ARCH_X86, specs.ArchX86_64: C.SCMP_ARCH_X86_64, specs.ArchX32: C.SCMP_ARCH_X32,
	specs.ArchARM: C.SCMP_ARCH_ARM, specs.ArchAARCH64: C.SCMP_ARCH_AARCH64, specs.ArchMIPS: C.SCMP_ARCH_MIPS,
	specs.ArchMIPS64: C.SCMP_ARCH_MIPS64, specs.ArchMIPS64N32: C.SCMP_ARCH_MIPS64N32,
	specs.ArchMIPSEL: C.SCMP_ARCH_MIPSEL, specs.ArchMIPSEL64: C.SCMP_ARCH_MIPSEL64,
	specs.ArchMIPSEL64N32: C.SCMP_ARCH_MIPSEL64N32, specs.ArchPPC: C.SCMP_ARCH_PPC,
	specs.ArchPPC64: C.SCMP_ARCH_PPC64, specs.ArchPPC64LE: C.SCMP_ARCH_PPC64LE, specs.ArchS390: C.SCMP_ARCH_S390,
	specs.ArchS390X: C.SCMP_ARCH_S390X, specs.ArchPARISC: C.SCMP_ARCH_PARISC,
	specs.ArchPARISC64: C.SCMP_ARCH_PARISC64, specs.ArchRISCV64: C.SCMP_ARCH_RISCV64,
}

var operators = map[specs.LinuxSeccompOperator]uint32{
	specs.OpNotEqual: C.SCMP_CMP_NE, specs.OpLessThan: C.SCMP_CMP_LT, specs.OpLessEqual: C.SCMP_CMP_LE,
	specs.OpEqualTo: C.SCMP_CMP_EQ, specs.OpGreaterEqual: C.SCMP_CMP_GE, specs.OpGreaterThan: C.SCMP_CMP_GT,
	specs.OpMaskedEqual: C.SCMP_CMP_MASKED_EQ,
}

// action is what the kernel and libseccomp call an action.
func action(a specs.LinuxSeccompAction, errno *uint) uint32 {
	data := uint32(1)
	if errno != nil {
		data = uint32(*errno)
	}
	switch a {
	case specs.ActKill, specs.ActKillThread:
		return C.SCMP_ACT_KILL_THREAD
	case specs.ActKillProcess:
		return C.SCMP_ACT_KILL_PROCESS
	case specs.ActTrap:
		return C.SCMP_ACT_TRAP
	case specs.ActErrno:
		return 0x00050000 | data
	case specs.ActTrace:
		return 0x7ff00000 | data
	case specs.ActLog:
		return C.SCMP_ACT_LOG
	case specs.ActNotify:
		return C.SCMP_ACT_NOTIFY
	}
	return C.SCMP_ACT_ALLOW
}

// number is that of a call on an architecture; negative if it has none of its own.
func number(a specs.Arch, name string) (n int, known bool) {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	n = int(C.seccomp_syscall_resolve_name_arch(tokens[a], c))
	return n, n != C.__NR_SCMP_ERROR
}

// compile lets libseccomp make the filter of a profile for a machine with these ways of
// calling it, as runtimes do.
func compile(p *specs.LinuxSeccomp, abis []specs.Arch) ([]byte, error) {
	fallback := action(p.DefaultAction, p.DefaultErrnoRet)
	ctx := C.seccomp_init(C.uint32_t(fallback))
	if ctx == nil {
		return nil, fmt.Errorf("seccomp_init refuses %#x", fallback)
	}
	defer C.seccomp_release(ctx)
	C.seccomp_attr_set(ctx, C.SCMP_FLTATR_CTL_OPTIMIZE, 2)
	if !slices.Contains(abis, specs.ArchX86_64) {
		C.seccomp_arch_remove(ctx, C.SCMP_ARCH_NATIVE)
	}
	for _, a := range abis {
		if rc := C.seccomp_arch_add(ctx, tokens[a]); rc != 0 && a != specs.ArchX86_64 {
			return nil, fmt.Errorf("seccomp_arch_add %s: %d", a, rc)
		}
	}
	for i := range p.Syscalls {
		if err := addRule(ctx, &p.Syscalls[i], fallback); err != nil {
			return nil, err
		}
	}
	return export(ctx)
}

func addRule(ctx C.scmp_filter_ctx, s *specs.LinuxSyscall, fallback uint32) error {
	act := action(s.Action, s.ErrnoRet)
	if act == fallback {
		return nil
	}
	seen, twice := map[uint]bool{}, false
	var args []C.struct_scmp_arg_cmp
	for _, a := range s.Args {
		twice = twice || seen[a.Index]
		seen[a.Index] = true
		args = append(args, C.struct_scmp_arg_cmp{
			arg: C.uint(a.Index), op: operators[a.Op], datum_a: C.scmp_datum_t(a.Value), datum_b: C.scmp_datum_t(a.ValueTwo),
		})
	}
	for _, name := range s.Names {
		c := C.CString(name)
		n := C.seccomp_syscall_resolve_name(c)
		C.free(unsafe.Pointer(c))
		if n == C.__NR_SCMP_ERROR {
			continue
		}
		lists := [][]C.struct_scmp_arg_cmp{args}
		if twice {
			lists = nil
			for i := range args {
				lists = append(lists, args[i:i+1])
			}
		}
		for _, list := range lists {
			if rc := C.seccomp_rule_add_array(ctx, C.uint32_t(act), n, C.uint(len(list)), unsafe.SliceData(list)); rc != 0 {
				return fmt.Errorf("seccomp_rule_add %s: %d", name, rc)
			}
		}
	}
	return nil
}

// export is the filter in the byte order of the machine.
func export(ctx C.scmp_filter_ctx) ([]byte, error) {
	f, err := os.CreateTemp("", "bpf")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	defer os.Remove(f.Name())
	if rc := C.seccomp_export_bpf(ctx, C.int(f.Fd())); rc != 0 {
		return nil, fmt.Errorf("seccomp_export_bpf: %d", rc)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	code, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return code, nil
}

// parse reads an array of struct sock_filter.
func parse(code []byte, order binary.ByteOrder) []bpf.Instruction {
	var list []bpf.Instruction
	for in := range slices.Chunk(code, 8) {
		list = append(list, bpf.RawInstruction{
			Op: order.Uint16(in), Jt: in[2], Jf: in[3], K: order.Uint32(in[4:]),
		}.Disassemble())
	}
	return list
}
