package process

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// tree makes a root: names that end in "/" are directories, contents that begin with
// "-> " are links, and "!" before a content takes the execute bits away.
func tree(t *testing.T, files map[string]string) (*os.File, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// A user other than root must get into the directories above.
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		target, link := strings.CutPrefix(content, "-> ")
		body, plain := strings.CutPrefix(content, "!")
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(at, 0o755)
		case link:
			err = os.Symlink(target, at)
		case plain:
			err = os.WriteFile(at, []byte(body), 0o644)
		default:
			err = os.WriteFile(at, []byte(content), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root, dir
}

// makeELF is a small ELF program: a header, one program header, perhaps a loader's path.
func makeELF(class elf.Class, order binary.ByteOrder, machine elf.Machine, kind elf.Type, loader string) string {
	b := make([]byte, 64+56)
	copy(b, elf.ELFMAG)
	data := elf.ELFDATA2LSB
	if order == binary.ByteOrder(binary.BigEndian) {
		data = elf.ELFDATA2MSB
	}
	b[4], b[5], b[6] = byte(class), byte(data), 1
	order.PutUint16(b[16:], uint16(kind))
	order.PutUint16(b[18:], uint16(machine))
	if class == elf.ELFCLASS32 {
		order.PutUint32(b[28:], 64)
		order.PutUint16(b[42:], 32)
	} else {
		order.PutUint64(b[32:], 64)
		order.PutUint16(b[54:], 56)
	}
	if loader != "" {
		order.PutUint16(b[56:], 1)
		p := b[64:]
		order.PutUint32(p, uint32(elf.PT_INTERP))
		order.PutUint64(p[8:], uint64(len(b)))
		order.PutUint64(p[32:], uint64(len(loader)+1))
		b = append(b, loader...)
		b = append(b, 0)
	}
	return string(b)
}

func hostELF(loader string) string {
	var order binary.ByteOrder = binary.LittleEndian
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		order = binary.BigEndian
	}
	return makeELF(elf.ELFCLASS64, order, elf.Machine(hostMachine()), elf.ET_DYN, loader)
}

var explainFiles = map[string]string{
	"bin/sh":          hostELF("/lib/ld-musl-x86_64.so.1"),
	"bin/glibc":       hostELF("/lib64/ld-linux-x86-64.so.2"),
	"run/crlf":        "#!/bin/sh\r\necho\r\n",
	"run/nointerp":    "#!/usr/bin/python3 -u\n",
	"run/tosh":        "#! /bin/sh -e\n",
	"run/envname":     "#! \n",
	"run/long":        "#!/" + strings.Repeat("x", 300),
	"run/loop1":       "#!/run/loop2\n",
	"run/loop2":       "#!/run/loop1\n",
	"run/textinterp":  "#!/run/text\n",
	"run/noxinterp":   "#!/run/nox\n",
	"run/dirinterp":   "#!/run\n",
	"run/text":        "echo hello\n",
	"run/bom":         "\xef\xbb\xbf#!/bin/sh\n",
	"run/empty":       "",
	"run/nox":         "!#!/bin/sh\n",
	"run/arm64":       makeELF(elf.ELFCLASS64, binary.LittleEndian, elf.EM_AARCH64, elf.ET_EXEC, ""),
	"run/s390x":       makeELF(elf.ELFCLASS64, binary.BigEndian, elf.EM_S390, elf.ET_EXEC, ""),
	"run/object":      makeELF(elf.ELFCLASS64, binary.LittleEndian, elf.Machine(hostMachine()), elf.ET_REL, ""),
	"run/damaged":     "\x7fELFxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	"run/windows":     "MZ\x90\x00\x03",
	"run/macos":       "\xcf\xfa\xed\xfe\x0c\x00",
	"run/data":        "\x00\x01\x02\x03",
	"run/dir/":        "",
	"run/dangling":    "-> /opt/tool",
	"run/circle":      "-> circle",
	"run/evil":        "#!/run/Permission Denied\n",
	"run/evil2":       "#!/x\x1b[31m\n",
	"run/absolutebin": "-> /bin/glibc",
}

// explainTest is a path, what the kernel answers to its execve, and how the explanation
// begins.
type explainTest struct {
	path  string
	errno syscall.Errno
	want  string
}

func explainTests() []explainTest {
	foreign, name := "run/arm64", "arm64"
	if elf.Machine(hostMachine()) == elf.EM_AARCH64 {
		foreign, name = "run/s390x", "s390x"
	}
	return []explainTest{
		{"/run/none", unix.ENOENT, "it is missing: there is no none in /run"},
		{"/opt/x/y", unix.ENOENT, "it is missing: there is no opt in the container's root"},
		{"/run/dangling", unix.ENOENT, "it is missing: /run/dangling is a symbolic link to /opt/tool, which is not there"},
		{"/run/circle", unix.ELOOP, "the path of it runs in a circle"},
		{"/run/text/x", unix.ENOTDIR, "the path of it runs through a file that is no folder"},
		{"/run/dir", unix.EACCES, "it is a folder"},
		{"/run/fifo", unix.EACCES, "it is no ordinary file but a FIFO"},
		{"/run/nox", unix.EACCES, "it has no execute bit (mode 0644)"},
		{"/run/private", unix.EACCES, "it may not be executed by user 1000:1000 (mode 0700, owner 0:0)"},
		{"/run/closed/x", unix.EACCES, "user 1000:1000 may not search a folder on the path of it"},
		{"/run/crlf", unix.ENOENT, `the first line of it ends with a carriage return (a text file of Windows), so that its interpreter would be "/bin/sh\r"`},
		{"/run/nointerp", unix.ENOENT, "the interpreter /usr/bin/python3 of it is missing: there is no usr in the container's root"},
		{"/run/tosh", unix.ENOENT, "the ELF loader /lib/ld-musl-x86_64.so.1 of the interpreter /bin/sh of it is missing: there is no lib in the container's root; the program was linked with musl"},
		{"/bin/glibc", unix.ENOENT, "the ELF loader /lib64/ld-linux-x86-64.so.2 of it is missing: there is no lib64 in the container's root; the program was linked with glibc"},
		{"/run/absolutebin", unix.ENOENT, "the ELF loader /lib64/ld-linux-x86-64.so.2 of it is missing"},
		{"/run/envname", unix.ENOEXEC, `it has a "#!" line that names no interpreter`},
		{"/run/long", unix.ENOEXEC, `it has a "#!" line that is too long for the kernel`},
		{"/run/loop1", unix.ELOOP, "too many scripts have each other as interpreter"},
		{"/run/textinterp", unix.ENOEXEC, `the interpreter /run/text of it is a text file without a "#!" line that names its interpreter`},
		{"/run/noxinterp", unix.EACCES, "the interpreter /run/nox of it has no execute bit (mode 0644)"},
		{"/run/dirinterp", unix.EACCES, "the interpreter /run of it is a folder"},
		{"/run/text", unix.ENOEXEC, `it is a text file without a "#!" line that names its interpreter`},
		{"/run/bom", unix.ENOEXEC, `it begins with a byte order mark, which must not stand before "#!"`},
		{"/run/empty", unix.ENOEXEC, "it is empty"},
		{"/" + foreign, unix.ENOEXEC, "it is made for " + name + " and this machine is "},
		{"/run/object", unix.ENOEXEC, "it is an object file and no program"},
		{"/run/damaged", unix.ENOEXEC, "it is a damaged ELF file"},
		{"/run/windows", unix.ENOEXEC, "it is a program for Windows"},
		{"/run/macos", unix.ENOEXEC, "it is a program for macOS"},
		{"/run/data", unix.ENOEXEC, "it is of no kind that this kernel executes"},
		{"/run/evil", unix.ENOENT, `the interpreter /run/Permission of it is missing`},
		{"/run/evil2", unix.ENOENT, `the interpreter "/x\x1b[31m" of it is missing: there is no "x\x1b[31m" in the container's root`},
		{"run/empty", unix.ENOEXEC, "it is empty"},
	}
}

func TestExplainExec(t *testing.T) {
	need.Root(t)
	root, dir := tree(t, explainFiles)
	if err := unix.Mkfifo(dir+"/run/fifo", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/run/private", []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/run/closed", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/run/closed/x", []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	in := input()
	in.Process.User = specs.User{UID: 1000, GID: 1000}
	for _, test := range explainTests() {
		got := ExplainExec(root, test.path, test.errno, in)
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q, want %q", test.path, got, test.want)
		}
		for _, phrase := range matched {
			if strings.Contains(strings.ToLower(got), phrase) {
				t.Errorf("%s: %q contains %q", test.path, got, phrase)
			}
		}
		if errno := execIn(t, dir, test.path, in); errno != test.errno {
			t.Errorf("%s: the kernel says %v, the test %v", test.path, errno, test.errno)
		}
	}
}

// execIn executes a path with dir as root and says what the kernel answered.
func execIn(t *testing.T, dir, name string, in *step.Input) syscall.Errno {
	t.Helper()
	in.Process.Args = []string{name}
	first := []func(*entry.Program){func(p *entry.Program) {
		p.Call(unix.SYS_CHROOT, p.String(dir))
		p.Call(unix.SYS_CHDIR, p.String("/"))
	}}
	return run(t, in, start{exec: name, first: first, funcs: []compileFunc{User, Execute}}).Errno
}

func TestExplainNoexec(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOEXEC, "mode=755"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if err := os.WriteFile(dir+"/x", []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenFile(dir, unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if got := ExplainExec(root, "/x", unix.EACCES, input()); got != "it lies on a mount with the option noexec" {
		t.Errorf("got %q", got)
	}
}

func TestExplainArguments(t *testing.T) {
	in := input()
	in.Process.Args = []string{"x", string(bytes.Repeat([]byte("a"), maxString))}
	if got := ExplainExec(nil, "/x", unix.E2BIG, in); got != "process.args[1] is longer than 131071 bytes" {
		t.Errorf("got %q", got)
	}
	in.Process.Args[1] = "y"
	if got := ExplainExec(nil, "/x", unix.E2BIG, in); !strings.HasPrefix(got, "process.args and process.env are too long together") {
		t.Errorf("got %q", got)
	}
}

func TestExplainNameInPath(t *testing.T) {
	need.Root(t)
	root, _ := tree(t, map[string]string{"bin/a": "!x", "usr/bin/a": "#!/nope\n", "usr/bin/b": "!x"})
	in := input()
	in.Process.Env = []string{"PATH=/bin:/usr/bin"}
	for name, want := range map[string]string{
		"a": "the interpreter /nope of it is missing", "b": "it has no execute bit", "c": "it is missing",
	} {
		errno := unix.ENOENT
		if name == "b" {
			errno = unix.EACCES
		}
		if got := ExplainExec(root, name, errno, in); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestExecError(t *testing.T) {
	root, _ := tree(t, map[string]string{"run.sh": "#!/nope\n"})
	err := ExecError(root, "/run.sh", unix.ENOENT, input())
	want := "exec /run.sh: no such file or directory: the interpreter /nope of it is missing: there is no nope in the container's root"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestShown(t *testing.T) {
	for name, want := range map[string]string{
		"/bin/sh": "/bin/sh", "": `""`, "a b": `"a b"`, "\x1b": `"\x1b"`, "/x/Permission Denied": `"…"`,
		"\u202e": `"\u202e"`,
	} {
		if got := shown(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}
