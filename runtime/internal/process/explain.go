package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// ExecError is the error of a failed execve: in the words that callers match, and then
// with what ExplainExec finds. It unwraps to the errno.
func ExecError(root *os.File, name string, errno syscall.Errno, in *step.Input) error {
	if text := ExplainExec(root, name, errno, in); text != "" {
		return fmt.Errorf("exec %s: %w: %s", word(name), errno, text)
	}
	return fmt.Errorf("exec %s: %w", word(name), errno)
}

// ExplainExec says in one sentence why execve of a path failed, as far as files in the
// container's root tell: the kernel gives the same errno for a missing program, a missing
// interpreter and a missing ELF loader. It is "" if nothing is to be seen. A name without
// a slash is looked up in the process's PATH.
//
// The sentence never contains words by which callers choose an exit status (126 or 127):
// those are in the errno's text, which stands before it.
func ExplainExec(root *os.File, name string, errno syscall.Errno, in *step.Input) string {
	e := explainer{root: root, errno: errno, in: in}
	if in != nil && in.Process != nil {
		e.user = identityOf(in)
		name = e.program(name)
	}
	if text := e.byErrno(); text != "" {
		return text
	}
	return e.file("it", name, maxInterpreters)
}

// program is the path that a name was executed by: the first in PATH that would do, or
// else the first that is there.
func (e *explainer) program(name string) string {
	p := e.in.Process
	if !strings.Contains(name, "/") {
		search, ok := getenv(p.Env, "PATH")
		if !ok {
			search = defaultPath
		}
		find := FindProgram{name, search, p.Cwd, e.user}
		if found, err := find.find(e.root); err == nil {
			name = found
		} else {
			name = e.firstInPath(name, search)
		}
	}
	if !strings.HasPrefix(name, "/") {
		name = p.Cwd + "/" + name
	}
	return name
}

func (e *explainer) firstInPath(name, search string) string {
	for dir := range strings.SplitSeq(search, ":") {
		candidate := path.Join("/", dir, name)
		if f, err := safepath.Open(e.root, candidate, unix.O_PATH); err == nil {
			f.Close()
			return candidate
		}
	}
	return name
}

// maxInterpreters is how many scripts may name each other as interpreters: the kernel
// gives up after five.
const maxInterpreters = 6

type explainer struct {
	root  *os.File
	errno syscall.Errno
	in    *step.Input
	user  identity
}

// byErrno handles what is not in any file.
func (e *explainer) byErrno() string {
	switch e.errno {
	case unix.E2BIG:
		return e.tooLong()
	case unix.ETXTBSY:
		return "the file is open for writing"
	case unix.EAGAIN:
		return "the user has reached the limit of processes (RLIMIT_NPROC)"
	case unix.ENOMEM:
		return "memory or address space is too small (RLIMIT_AS, RLIMIT_DATA or the cgroup's limit)"
	case unix.EPERM, unix.ENOSYS:
		return "a seccomp filter or a security module forbids execve"
	}
	return ""
}

// maxString is MAX_ARG_STRLEN with pages of 4 KiB.
const maxString = 131072

func (e *explainer) tooLong() string {
	if e.in == nil || e.in.Process == nil {
		return ""
	}
	total := 0
	for _, list := range []struct {
		name string
		of   []string
	}{{"args", e.in.Process.Args}, {"env", e.in.Process.Env}} {
		for i, s := range list.of {
			if len(s) >= maxString {
				return fmt.Sprintf("process.%s[%d] is longer than %d bytes", list.name, i, maxString-1)
			}
			total += len(s) + 1 + 8 // the string, its NUL byte and its pointer
		}
	}
	return fmt.Sprintf("process.args and process.env are too long together (%d bytes; a quarter of RLIMIT_STACK, at most 6 MiB, is allowed)", total)
}

// file explains one file: the program ("it"), or what the program needs.
func (e *explainer) file(who, name string, depth int) string {
	f, err := safepath.Open(e.root, name, unix.O_PATH)
	if err != nil {
		return e.unopened(who, name, bare(err))
	}
	defer f.Close()
	st, err := linux.Stat(f)
	if err != nil {
		return ""
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return who + " is a folder"
	default:
		return who + " is no ordinary file but " + kindOf(st.Mode)
	}
	if onNoexec(f) {
		return who + " lies on a mount with the option noexec"
	}
	if e.errno == unix.EACCES {
		if text := e.refused(who, name, &st); text != "" {
			return text
		}
	}
	r, err := openRegular(e.root, name)
	if err != nil {
		return ""
	}
	defer r.Close()
	return e.content(who, r, depth)
}

// unopened explains a path that leads to nothing.
func (e *explainer) unopened(who, name string, err error) string {
	switch {
	case errors.Is(err, unix.ENOENT):
		return e.missing(who, name)
	case errors.Is(err, unix.ELOOP):
		return "the path of " + who + " runs in a circle of symbolic links, or through a link of /proc that leads to no path"
	case errors.Is(err, unix.ENOTDIR):
		return "the path of " + who + " runs through a file that is no folder"
	case errors.Is(err, unix.ENAMETOOLONG):
		return "the path of " + who + " is too long"
	}
	return ""
}

// missing says which part of a path is missing: a name in a directory, or what a link
// leads to.
func (e *explainer) missing(who, name string) string {
	clean := path.Clean("/" + name)
	for at := clean; at != "/"; at = path.Dir(at) {
		f, err := safepath.OpenLast(e.root, at, unix.O_PATH)
		if err != nil {
			continue
		}
		defer f.Close()
		if target, err := linux.ReadlinkAt(f, ""); err == nil {
			return fmt.Sprintf("%s is missing: %s is a symbolic link to %s, which is not there", who, shown(at), shown(target))
		}
		return fmt.Sprintf("%s is missing: there is no %s in %s", who, shown(nextName(clean, at)), shown(at))
	}
	return fmt.Sprintf("%s is missing: there is no %s in the container's root", who, shown(nextName(clean, "")))
}

// nextName is the component of a clean path that follows one of its parents.
func nextName(clean, parent string) string {
	rest := strings.TrimPrefix(clean[len(parent):], "/")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// refused explains EACCES by modes.
func (e *explainer) refused(who, name string, st *unix.Stat_t) string {
	if st.Mode&0o111 == 0 {
		return fmt.Sprintf("%s has no execute bit (mode %04o)", who, st.Mode&0o7777)
	}
	if e.in == nil || e.user.Foreign {
		return ""
	}
	text := ""
	_ = e.user.do(func() error {
		f, err := safepath.Open(e.root, name, unix.O_PATH)
		if err != nil {
			text = fmt.Sprintf("user %d:%d may not search a folder on the path of %s", e.user.UID, e.user.GID, who)
			return nil
		}
		defer f.Close()
		if unix.Faccessat2(int(f.Fd()), "", unix.X_OK, unix.AT_EACCESS|unix.AT_EMPTY_PATH) == unix.EACCES {
			text = fmt.Sprintf("%s may not be executed by user %d:%d (mode %04o, owner %d:%d)",
				who, e.user.UID, e.user.GID, st.Mode&0o7777, st.Uid, st.Gid)
		}
		return nil
	})
	return text
}

func kindOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return "a FIFO"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFCHR, unix.S_IFBLK:
		return "a device"
	}
	return "something else"
}

// headSize is how much of a file the kernel looks at (BINPRM_BUF_SIZE).
const headSize = 256

// content explains a file that may be executed as far as its mode goes.
func (e *explainer) content(who string, f *os.File, depth int) string {
	head := make([]byte, headSize)
	n, _ := f.ReadAt(head, 0)
	head = head[:n]
	switch {
	case n == 0:
		return who + " is empty"
	case bytes.HasPrefix(head, []byte("#!")):
		return e.script(who, head, depth)
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return e.elf(who, f, head, depth)
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf#!")):
		return who + ` begins with a byte order mark, which must not stand before "#!"`
	case bytes.HasPrefix(head, []byte("MZ")):
		return who + " is a program for Windows"
	case isMachO(head):
		return who + " is a program for macOS"
	case e.errno != unix.ENOEXEC:
		return ""
	case bytes.IndexByte(head, 0) < 0:
		return who + ` is a text file without a "#!" line that names its interpreter`
	}
	return who + " is of no kind that this kernel executes"
}

func isMachO(head []byte) bool {
	for _, magic := range []string{"\xcf\xfa\xed\xfe", "\xce\xfa\xed\xfe", "\xca\xfe\xba\xbe"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}

// script explains a file with a "#!" line.
func (e *explainer) script(who string, head []byte, depth int) string {
	line, _, complete := bytes.Cut(head[2:], []byte("\n"))
	text := strings.TrimLeft(string(line), " \t")
	interpreter := text
	if i := strings.IndexAny(text, " \t\x00"); i >= 0 {
		interpreter = text[:i]
	} else if !complete && len(head) == headSize {
		return who + ` has a "#!" line that is too long for the kernel`
	}
	if interpreter == "" || interpreter == "\r" {
		return who + ` has a "#!" line that names no interpreter`
	}
	if strings.HasSuffix(interpreter, "\r") {
		return fmt.Sprintf("the first line of %s ends with a carriage return (a text file of Windows), so that its interpreter would be %s",
			who, shown(interpreter))
	}
	if depth == 0 {
		return "too many scripts have each other as interpreter"
	}
	return e.needed("the interpreter "+shown(interpreter)+" of "+who, interpreter, depth)
}

// needed explains a file that another one needs.
func (e *explainer) needed(who, name string, depth int) string {
	if !strings.HasPrefix(name, "/") && e.in != nil && e.in.Process != nil {
		name = e.in.Process.Cwd + "/" + name
	}
	return e.file(who, name, depth-1)
}

// matched are the phrases by which callers choose an exit status or tell what an error
// means (Docker, containerd, Podman).
var matched = [...]string{
	"permission denied", "operation not permitted", "no such file", "not found", "is a directory",
	"not a directory", "cannot find the file", "open executable", "path is empty", "does not exist",
	"no such process", "not running", "already finished", "failed to run runc",
}

// shown is a name out of the container as it may stand in an explanation: one word, cut,
// and without the phrases that callers match, which it could have on purpose.
func shown(name string) string {
	const enough = 120
	if len(name) > enough {
		name = strings.ToValidUTF8(name[:enough], "") + "…"
	}
	low := strings.ToLower(name)
	for _, phrase := range matched {
		if strings.Contains(low, phrase) {
			return `"…"`
		}
	}
	return word(name)
}
