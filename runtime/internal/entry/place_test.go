package entry

import (
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPlaces(t *testing.T) {
	var p Program
	skip, twice, end := p.Place(), p.Place(), p.Place()
	rounds := p.Slot(0)
	p.Nothing().OnZero(skip)
	p.print("never ")
	twice.Here()
	p.print("again ")
	p.Call(unix.SYS_READ, 0, p.Bytes(make([]byte, 8)), 0).KeepIn(rounds)
	p.Go(end)
	skip.Here()
	p.print("once ")
	p.Call(unix.SYS_GETPID).OnZero(end) // is not zero
	p.Go(twice)
	p.print("never ")
	end.Here()
	p.print("end")
	p.Exit(3)
	out, records, status := run(t, &p)
	if want := "once again end"; out != want || len(records) != 0 || status.ExitStatus() != 3 {
		t.Errorf("printed %q, want %q; %v, %v", out, want, records, status)
	}
}

func TestPlaceNowhere(t *testing.T) {
	for name, write := range map[string]func(*Program){
		"no Here":         func(p *Program) { p.Go(p.Place()); p.Exit(0) },
		"Here at the end": func(p *Program) { pl := p.Place(); p.Go(pl); p.Exit(0); pl.Here() },
		"of another": func(p *Program) {
			q := &Program{}
			pl := q.Place()
			pl.Here()
			q.Exit(0)
			p.Go(pl)
			p.Exit(0)
		},
		"data of no place":  func(p *Program) { p.Put(heapBase+1<<20, []byte{1}); p.Exit(0) },
		"data beyond place": func(p *Program) { p.Put(Addr(p.Slot(0)), make([]byte, SlotSize+1)); p.Exit(0) },
	} {
		t.Run(name, func(t *testing.T) {
			var p Program
			write(&p)
			if f, err := p.Image(); err == nil || !strings.HasPrefix(err.Error(), "bug in ocirt: program: ") {
				f.Close()
				t.Errorf("image made: %v", err)
			}
		})
	}
	// A place that nobody goes to may be nowhere.
	var p Program
	p.Place()
	p.Exit(0)
	if f, err := p.Image(); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
}

func TestPut(t *testing.T) {
	var p Program
	n := p.Slot(-1)
	p.Call(unix.SYS_WRITE, 1, p.String("four"), n)
	p.Exit(0)
	p.Put(Addr(n), binary.NativeEndian.AppendUint32(nil, 4))
	if out, _, _ := run(t, &p); out != "four" {
		t.Errorf("printed %q", out)
	}
}
