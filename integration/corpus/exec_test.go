package corpus

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/integration/internal/callers"
	"github.com/ocirt/ocirt/integration/internal/lab"
)

// A program that cannot be executed is explained: the words that engines match come first,
// and the sentence after them has none that would change the exit status they choose.
func TestExecuteExplained(t *testing.T) {
	const run = "/run.sh"
	at := func(name string) func(*stage) { return func(s *stage) { s.put("/process/args", []string{name}) } }
	for _, c := range []struct {
		name string
		set  func(*stage)
		says []string // in this order
		why  string   // the explanation
		moby int      // exit status that dockerd makes of it; 128: of nothing in particular
		lib  int      // and podman
	}{
		{"missing", at(run), []string{`exec: "/run.sh": `, "no such file or directory"}, "", 127, 127},
		{"missing in PATH", at("nope-x"), []string{`exec: "nope-x": executable file not found in $PATH`}, "PATH is /usr/local/sbin:", 127, 127},
		{"missing interpreter", script("#!/no/such arg\n", 0o755), []string{"exec /run.sh: no such file or directory"}, "the interpreter /no/such of it is missing: there is no no in ", 127, 127},
		{"missing interpreter of env", script("#!/usr/bin/env sh\n", 0o755), []string{"exec /run.sh: no such file or directory"}, "the interpreter /usr/bin/env of it is missing", 127, 127},
		{"interpreter named to deceive", script("#!/permission denied\n", 0o755), []string{"exec /run.sh: no such file or directory"}, "interpreter /permission of it is missing", 127, 127},
		{"carriage return", script("#!/bin/true\r\n", 0o755), []string{"exec /run.sh: no such file or directory"}, "the first line of it ends with a carriage return", 127, 127},
		{"missing loader", elfFile(lab.Inside, "/lib/ld-none.so.1"), []string{"exec /run.sh: no such file or directory"}, "/lib/ld-none.so.1", 127, 127},
		{"wrong architecture", script(foreignProgram(), 0o755), []string{"exec /run.sh: exec format error"}, "it is made for ", 128, 0},
		{"empty", script("", 0o755), []string{"exec /run.sh: exec format error"}, "it is empty", 128, 0},
		{"text", script("echo hello\n", 0o755), []string{"exec /run.sh: exec format error"}, `it is a text file without a "#!" line`, 128, 0},
		{"byte order mark", script("\xef\xbb\xbf#!/bin/true\n", 0o755), []string{"exec /run.sh: exec format error"}, "byte order mark", 128, 0},
		{"no execute bit", script("#!/bin/true\n", 0o644), []string{`exec: "/run.sh": permission denied`}, "(mode 0644, owner 0:0, executed by 0:0)", 126, 126},
		{"interpreter without execute bit", func(s *stage) {
			script("#!/bin/sh\n", 0o755)(s)
			s.file("bin/sh", "x", 0o600)
		}, []string{"exec /run.sh: permission denied"}, "the interpreter /bin/sh of it has no execute bit (mode 0600)", 126, 126},
		{"noexec", func(s *stage) {
			s.mount("/mnt", "bind", s.rootfs("bin"), "bind", "noexec")
			s.put("/process/args", []string{"/mnt/true"})
		}, []string{`exec: "/mnt/true": permission denied`}, "its mount is noexec", 126, 126},
		{"interpreter on noexec", func(s *stage) {
			script("#!/mnt/true\n", 0o755)(s)
			s.mount("/mnt", "bind", s.rootfs("bin"), "bind", "noexec")
		}, []string{"exec /run.sh: permission denied"}, "the interpreter /mnt/true of it ", 126, 126},
		{"directory", at("/tmp"), []string{`exec: "/tmp": is a directory`}, "", 126, 0},
		{"fifo", func(s *stage) {
			must(s, os.Link(s.dir+"/fifo", s.rootfs("fifo")))
			s.put("/process/args", []string{"/fifo"})
		}, []string{`exec: "/fifo": permission denied`}, "it is no ordinary file", 126, 126},
		{"other user", func(s *stage) {
			script("#!/bin/true\n", 0o700)(s)
			s.put("/process/user", map[string]int{"uid": 5, "gid": 6})
		}, []string{`exec: "/run.sh": permission denied`}, "executed by 5:6", 126, 126},
		{"loop", func(s *stage) {
			must(s, os.Symlink("run.sh", s.rootfs(run)))
			s.put("/process/args", []string{run})
		}, []string{"too many levels of symbolic links"}, "", 128, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, false)
			c.set(s)
			s.write(&row{})
			res := s.do("run", s.runtime.ID())
			if res.Code != 1 || res.Stdout != "" {
				t.Errorf("want status 1 and no output, got %v", res)
			}
			text := strings.ReplaceAll(res.Stderr, `\"`, `"`)
			rest := text
			for _, w := range append([]string{"ocirt run failed: "}, c.says...) {
				i := strings.Index(rest, w)
				if i < 0 {
					t.Fatalf("%q is not said, or not in its place:\n%s", w, text)
				}
				rest = rest[i+len(w):]
			}
			if !strings.Contains(rest, c.why) {
				t.Errorf("%q is not explained:\n%s", c.why, text)
			}
			if got := callers.MobyStatus(text); got != c.moby {
				t.Errorf("dockerd makes status %d of it, want %d:\n%s", got, c.moby, text)
			}
			if got := callers.PodmanStatus(text); got != c.lib {
				t.Errorf("podman makes status %d of it, want %d:\n%s", got, c.lib, text)
			}
			s.gone()
		})
	}
}

// elfFile makes the program an ELF file of this machine that needs a loader.
func elfFile(model func() string, loader string) func(*stage) {
	return func(s *stage) {
		f, err := elf.Open(model())
		must(s, err)
		defer f.Close()
		h := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(f.Machine), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1}
		copy(h.Ident[:], "\x7fELF")
		h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(f.Class), byte(f.Data), 1
		n := uint64(len(loader) + 1)
		p := elf.Prog64{Type: uint32(elf.PT_INTERP), Flags: uint32(elf.PF_R), Off: 120, Filesz: n, Memsz: n, Align: 1}
		var b strings.Builder
		must(s, binary.Write(&b, f.ByteOrder, h))
		must(s, binary.Write(&b, f.ByteOrder, p))
		script(b.String()+loader+"\x00", 0o755)(s)
	}
}
