package resources

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// helloProgram is an amd64 program of 160 bytes that says hello: the smallest there is.
func helloProgram() string {
	const text = "\xb8\x01\x00\x00\x00" + // mov eax, 1 (write)
		"\xbf\x01\x00\x00\x00" + // mov edi, 1
		"\x48\x8d\x35\x10\x00\x00\x00" + // lea rsi, [rip+16]
		"\xba\x06\x00\x00\x00" + // mov edx, 6
		"\x0f\x05" + // syscall
		"\xb8\x3c\x00\x00\x00" + // mov eax, 60 (exit)
		"\x31\xff" + // xor edi, edi
		"\x0f\x05" + // syscall
		"hello\n"
	var b bytes.Buffer
	h := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1,
		Entry: 0x400000 + 120, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	p := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: 0x400000, Filesz: 120 + uint64(len(text)), Memsz: 120 + uint64(len(text)), Align: 4096}
	_ = binary.Write(&b, binary.LittleEndian, h)
	_ = binary.Write(&b, binary.LittleEndian, p)
	return b.String() + text
}

func small(t *testing.T, limit int64) *lab.Bundle {
	t.Helper()
	need.Feature(t, "amd64", runtime.GOARCH == "amd64", "the small program is for amd64")
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}
	b := bundle(t, lab.Args("/hello"), limits(r))
	b.File("hello", helloProgram(), 0o755)
	return b
}

// What the runtime itself needs does not count: a small static program starts where there is
// memory for it.
func TestSmallMemory(t *testing.T) {
	r := onBench(t)
	for range rounds(10) {
		if res := r.Run(small(t, 128<<10)); res.Code != 0 || res.Stdout != "hello\n" {
			t.Errorf("under a limit of 128 KiB: %v", res)
		}
	}
}

// Nor does it with a user namespace, where a process of its own builds, and the kernel makes
// some hundred KiB of namespaces: none of that is the container's.
func TestSmallInUserNamespace(t *testing.T) {
	r := asRoot(t)
	need.UserNamespaces(t)
	b := small(t, 128<<10)
	b.Edit(lab.UserNamespace(0, 200000, 65536))
	for _, pids := range []int64{0, 1, 2, 3} {
		b.Spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
		b.Edit()
		for range 3 {
			if res := r.Run(b); res.Code != 0 || res.Stdout != "hello\n" {
				t.Errorf("under limits of 128 KiB and %d processes: %v", pids, res)
			}
		}
	}
}

// What init is charged with is init alone, whatever stands between it and ocirt.
func TestNothingOfTheBuilderIsCharged(t *testing.T) {
	r := asRoot(t)
	need.UserNamespaces(t)
	for name, edit := range map[string]lab.Edit{
		"user namespace": lab.UserNamespace(0, 200000, 65536),
		"time namespace": lab.Namespace(specs.TimeNamespace, ""),
	} {
		c := r.Create(lab.NewBundle(t, limits(&specs.LinuxResources{}), edit))
		g := groupOf(t, c, "memory")
		// The kernel takes 64 pages for each processor in advance.
		most := int64(runtime.NumCPU()*64*os.Getpagesize() + 64<<10)
		used, err := strconv.ParseInt(g.read("memory.max_usage_in_bytes", "memory.peak"), 10, 64)
		if err != nil || used > most {
			t.Errorf("%s: the highest use is %d (%v), want at most %d", name, used, err, most)
		}
		c.Delete("--force").OK()
	}
}

// Where there is none, the error says so, and nothing is left.
func TestTooSmallMemory(t *testing.T) {
	r := onBench(t)
	for range rounds(10) {
		res := r.Run(small(t, 4096))
		if systemd() && res.Code == 1 {
			continue // it removes the cgroup of a unit that has ended, and with it the cause
		}
		if res.Code != 1 || !strings.Contains(res.Stderr, "linux.resources.memory.limit") {
			t.Fatalf("under a limit of 4 KiB: %v", res)
		}
		if killed := strings.Contains(res.Stderr, "container init was OOM-killed (memory limit too low?): linux.resources.memory.limit: 4096 is too small: the kernel has killed 1 process(es) for want of memory (peak use "); !killed &&
			!strings.Contains(res.Stderr, "unable to set memory limit to 4096 (current usage: ") {
			t.Errorf("under a limit of 4 KiB: %v", res)
		}
		r.NothingLeft()
	}
}
