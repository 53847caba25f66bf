package entry

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"syscall"
	"testing"
)

// writer writes a program out of bytes: every operation, in every order, with arguments
// that no caller would give.
type writer struct {
	b []byte
	p *Program
}

func (w *writer) byte() int {
	if len(w.b) == 0 {
		return 0
	}
	b := w.b[0]
	w.b = w.b[1:]
	return int(b)
}

func (w *writer) word() uint64 {
	var b [8]byte
	w.b = w.b[copy(b[:w.byte()%9], w.b):]
	return binary.LittleEndian.Uint64(b[:])
}

func (w *writer) text() []byte {
	n := min(w.byte(), len(w.b))
	b := w.b[:n]
	w.b = w.b[n:]
	return b
}

func (w *writer) arg() any {
	switch w.byte() % 10 {
	case 0:
		return int(w.word())
	case 1:
		return uintptr(w.word())
	case 2:
		return Addr(w.word())
	case 3:
		return Slot(w.word())
	case 4:
		return Slot(heapBase) + Slot(w.byte())
	case 5:
		return uint32(w.word())
	case 6:
		return syscall.Signal(w.byte())
	case 7:
		return w.p.String(string(w.text()))
	case 8:
		return w.p.Slot(int32(w.word()))
	}
	return []any{nil, "text", 1.5, uint8(3)}[w.byte()%4]
}

func (w *writer) any() *Call {
	if n := len(w.p.calls); n > 0 && w.byte()%16 != 0 {
		return w.p.calls[w.byte()%n]
	}
	return (&Program{}).Call(1)
}

func (w *writer) write() {
	p := w.p
	switch w.byte() % 16 {
	case 0:
		args := make([]any, w.byte()%9)
		for i := range args {
			args[i] = w.arg()
		}
		p.Call(uintptr(w.word()), args...)
	case 1:
		w.any().May(syscall.Errno(w.word()))
	case 2:
		w.any().May()
	case 3:
		w.any().Keep()
	case 4:
		w.any().KeepIn(Slot(w.word()))
	case 5:
		w.any().ElseBack(w.any())
	case 6:
		w.any().ElseBack(nil)
	case 7:
		p.Call(uintptr(w.word())).Fork(func(p *Program) { p.Exit(w.byte()) })
	case 8:
		p.Strings([]string{string(w.text()), string(w.text())}, Addr(w.word()))
	case 9:
		p.Tell(string(w.text()))
	case 10:
		p.Wait(string(w.text()))
	case 11:
		p.TellFiles("files", w.byte()-8, func([]Slot) { w.any() })
	case 12:
		p.WaitFiles("files", w.byte()-8, w.byte()-8)
	case 13:
		p.ReportTo(int(w.word()))
	case 14:
		p.SetStep(int(w.word()))
		p.FirstFile(int(w.word()))
	case 15:
		p.Inherit(os.Stdin)
		p.TellNote("note", p.Note())
	}
}

// FuzzEncode shows that no program, however wrong, makes a panic; and that what is not
// refused is an image whose calls, as the interpreter reads them, are those of the list.
func FuzzEncode(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 6, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 9, 3, 5, 10, 0, 12, 20, 20, 5, 1, 0, 1, 0})
	f.Add(bytes.Repeat([]byte{0, 2, 8, 1, 7, 3, 7, 8, 9, 10, 1, 0, 15}, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := &writer{b: b, p: &Program{}}
		for range 500 {
			if len(w.b) == 0 {
				break
			}
			w.write()
		}
		image, err := w.p.encode()
		calls := w.p.Calls()
		for i := range calls {
			w.p.Describe(i - 1)
		}
		if err != nil {
			return
		}
		file, err := elf.NewFile(bytes.NewReader(image))
		if err != nil {
			t.Fatal(err)
		}
		if data := file.Progs[1]; data.Off+data.Filesz != uint64(len(image)) {
			t.Fatalf("%+v in %d bytes", data.ProgHeader, len(image))
		}
		m := &Memory{image[dataAt:]}
		at, err := m.word(dataBase)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range calls {
			got, err := m.call(at)
			if err != nil {
				t.Fatal(err)
			}
			if got.Index != want.Index || got.Trap != want.Trap || want.MayAny && !got.allows(1) {
				t.Fatalf("call %d: %+v, want %+v", want.Index, got, want)
			}
			for _, e := range want.May {
				if e != 0 && !got.allows(e) {
					t.Fatalf("call %d does not allow errno %d", want.Index, e)
				}
			}
			at = got.next
		}
	})
}
