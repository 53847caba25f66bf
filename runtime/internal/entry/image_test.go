package entry

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func testProgram() *Program {
	p := &Program{}
	p.ReportTo(3)
	p.Wait("wait")
	p.Call(unix.SYS_DUP, 1).Label("dup").Keep()
	p.Tell("told")
	p.Exit(0)
	return p
}

func TestImageIsWhatKernelsWant(t *testing.T) {
	b, err := testProgram().encode()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "loong64": elf.EM_LOONGARCH,
		"ppc64le": elf.EM_PPC64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390,
	}[runtime.GOARCH]
	if f.Type != elf.ET_EXEC || f.Machine != want || f.Class != elf.ELFCLASS64 || len(f.Sections) != 0 {
		t.Errorf("%v, %d sections", f.FileHeader, len(f.Sections))
	}
	if len(f.Progs) != 3 { // so there is no PT_INTERP and no PT_DYNAMIC: nothing to relocate
		t.Fatalf("%d program headers", len(f.Progs))
	}
	text, data, stack := f.Progs[0], f.Progs[1], f.Progs[2]
	if text.Type != elf.PT_LOAD || text.Flags != elf.PF_R|elf.PF_X || text.Filesz != text.Memsz {
		t.Errorf("text: %+v", text.ProgHeader)
	}
	if data.Type != elf.PT_LOAD || data.Flags != elf.PF_R|elf.PF_W || data.Filesz != data.Memsz {
		t.Errorf("data: %+v", data.ProgHeader)
	}
	if stack.Type != elf.PT_GNU_STACK || stack.Flags != elf.PF_R|elf.PF_W {
		t.Errorf("stack: %+v", stack.ProgHeader)
	}
	if data.Vaddr != dataBase || data.Off+data.Filesz != uint64(len(b)) {
		t.Errorf("data: %+v in %d bytes", data.ProgHeader, len(b))
	}
}

func TestSegmentsShareNoPage(t *testing.T) {
	b, err := testProgram().encode()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, data := f.Progs[0], f.Progs[1]
	for _, page := range []uint64{4 << 10, 16 << 10, 64 << 10} {
		for _, p := range []*elf.Prog{text, data} {
			if p.Vaddr%page != p.Off%page || p.Align%page != 0 {
				t.Errorf("pages of %d: %+v cannot be mapped", page, p.ProgHeader)
			}
		}
		if (text.Vaddr+text.Memsz-1)/page >= data.Vaddr/page {
			t.Errorf("pages of %d: text and data share one", page)
		}
	}
}

func TestWalkerLiesInText(t *testing.T) {
	walker := walkerText()
	b, err := testProgram().encode()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text := f.Progs[0]
	mapped, err := io.ReadAll(text.Open())
	if err != nil {
		t.Fatal(err)
	}
	at := f.Entry - text.Vaddr
	if len(walker) < 100 || len(walker) > 1024 {
		t.Fatalf("the walker has %d bytes", len(walker))
	}
	if !bytes.HasPrefix(mapped[at:], walker) {
		t.Error("the entry point is not the walker's first byte")
	}
	// Headers before it, nothing behind it.
	if rest := bytes.TrimLeft(mapped[at+uint64(len(walker)):], "\x00"); len(rest) != 0 {
		t.Errorf("%d bytes behind the walker", len(rest))
	}
	if gap := bytes.TrimLeft(mapped[64+3*56:at], "\x00"); len(gap) != 0 {
		t.Errorf("%d bytes between the headers and the walker", len(gap))
	}
}

func TestImageIsSealed(t *testing.T) {
	native(t)
	f, err := testProgram().Image()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0}, 0); err == nil {
		t.Error("the image can be written")
	}
	if err := f.Truncate(0); err == nil {
		t.Error("the image can be made shorter")
	}
	if err := f.Truncate(1 << 20); err == nil {
		t.Error("the image can be made longer")
	}
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_SEAL == 0 {
		t.Errorf("seals %#x, %v", seals, err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_EXEC); err == nil {
		t.Error("the image can be sealed further")
	}
	again, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), os.O_RDWR, 0)
	if err == nil {
		_, err = again.Write([]byte("x"))
		again.Close()
	}
	if err == nil {
		t.Error("the image, opened again, can be written")
	}
	_, err = unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err == nil {
		t.Error("the image can be mapped to be written")
	}
}

func TestImageTwice(t *testing.T) {
	p := testProgram()
	a, err := p.encode()
	if err != nil {
		t.Fatal(err)
	}
	n := p.Len()
	b, err := p.encode()
	if err != nil || !slices.Equal(a, b) || p.Len() != n {
		t.Errorf("second image differs: %d and %d bytes, %d and %d calls, %v", len(a), len(b), n, p.Len(), err)
	}
}

func TestMistakesAreKept(t *testing.T) {
	other := (&Program{}).Call(unix.SYS_GETPID)
	for want, write := range map[string]func(*Program){
		"argument 0 of call 0 is a string": func(p *Program) { p.Call(unix.SYS_CLOSE, "1") },
		"call 0 has 7 arguments":           func(p *Program) { p.Call(unix.SYS_CLOSE, 0, 1, 2, 3, 4, 5, 6) },
		"call 0 allows 5 errnos":           func(p *Program) { p.Call(unix.SYS_CLOSE).May(1, 2, 3, 4, 5) },
		"call 0 allows errno 512":          func(p *Program) { p.Call(unix.SYS_CLOSE).May(512) },
		"call 0 keeps its result at 0x10":  func(p *Program) { p.Call(unix.SYS_CLOSE).KeepIn(0x10) },
		"is slot 0x10011012":               func(p *Program) { p.Call(unix.SYS_CLOSE, Slot(heapBase+2)) },
		"goes on in another program":       func(p *Program) { p.Call(unix.SYS_CLOSE).ElseBack(other) },
		"after a file was inherited":       func(p *Program) { p.Inherit(os.Stdin); p.FirstFile(4) },
		"payload of -1 bytes":              func(p *Program) { p.WaitFiles("", -1, 0) },
		"-1 descriptors in a message":      func(p *Program) { p.TellFiles("", -1, func([]Slot) {}) },
		"254 descriptors in a message":     func(p *Program) { p.WaitFiles("", 1, 254) },
	} {
		var p Program
		write(&p)
		_, err := p.Image()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "bug in ocirt: program: ") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
