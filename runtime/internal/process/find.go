package process

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// ErrNotFound is returned for a program that is in no directory of PATH.
var ErrNotFound = errors.New("executable file not found in $PATH")

// defaultPath is where programs are looked for without a PATH: the one of the template
// for config.json.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// FindProgram looks for the program inside the container's root, as its user, so that a
// missing one is an error before anything of the container runs.
type FindProgram struct {
	Name       string
	Path       string // value of PATH
	UnsafeBase string // working directory, for relative paths
	User       identity
}

// FindExecutable compiles the look-up of process.args[0].
func FindExecutable(in *step.Input, emit step.Emit) error {
	p := in.Process
	if p == nil {
		return nil
	}
	if len(p.Args) == 0 {
		return errors.New("args must not be empty")
	}
	search, ok := getenv(p.Env, "PATH")
	if !ok {
		search = defaultPath
	}
	emit("/process/args/0", FindProgram{p.Args[0], search, p.Cwd, identityOf(in)})
	return nil
}

func (s FindProgram) String() string { return "find program " + word(s.Name) }

// Do sets Sandbox.Exec. Whoever calls it for a running container needs no more than its
// root.
func (s FindProgram) Do(b *step.Sandbox) error {
	var found string
	err := s.User.do(func() (err error) {
		found, err = s.find(b.Root)
		return err
	})
	if err != nil {
		return fmt.Errorf("exec: %q: %w", s.Name, err)
	}
	if len(found) >= step.ExecSize {
		return fmt.Errorf("exec: %q: %w", s.Name, unix.ENAMETOOLONG)
	}
	b.Exec = found
	return nil
}

func (s FindProgram) find(root *os.File) (string, error) {
	if s.Name == "" {
		return "", ErrNotFound
	}
	if strings.Contains(s.Name, "/") {
		err := s.check(root, s.Name)
		if s.hidden(err) {
			err = nil
		}
		return s.Name, err
	}
	hint, perhaps := "", ""
	for dir := range strings.SplitSeq(s.Path, ":") {
		if s.Path == "" {
			break
		}
		if dir == "" {
			dir = "." // POSIX: the working directory
		}
		candidate := strings.TrimSuffix(dir, "/") + "/" + s.Name
		err := s.check(root, candidate)
		if err == nil {
			return candidate, nil
		}
		if perhaps == "" && s.hidden(err) {
			perhaps = candidate
		}
		var no refused
		if hint == "" && errors.As(err, &no) {
			hint = fmt.Sprintf("; %s may not be executed (%s)", word(candidate), no.why)
		}
	}
	if perhaps != "" {
		return perhaps, nil
	}
	return "", fmt.Errorf("%w (PATH is %s%s)", ErrNotFound, word(s.Path), hint)
}

// hidden reports whether a file could not be looked at from outside of the user namespace:
// then execve tells.
func (s FindProgram) hidden(err error) bool {
	var no refused
	return s.User.Foreign && errors.Is(err, unix.EACCES) && !errors.As(err, &no)
}

// check says whether a file could be executed.
func (s FindProgram) check(root *os.File, name string) error {
	inRoot := name
	if !strings.HasPrefix(name, "/") {
		inRoot = s.UnsafeBase + "/" + name
	}
	f, err := safepath.Open(root, inRoot, unix.O_PATH)
	if err != nil {
		return fmt.Errorf("stat %s: %w", word(name), bare(err))
	}
	defer f.Close()
	st, err := linux.Stat(f)
	if err != nil {
		return fmt.Errorf("stat %s: %w", word(name), bare(err))
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return unix.EISDIR
	default:
		return refused{"it is no ordinary file"}
	}
	err = unix.Faccessat2(int(f.Fd()), "", unix.X_OK, unix.AT_EACCESS|unix.AT_EMPTY_PATH)
	if s.User.Foreign || err != nil && !errors.Is(err, unix.EACCES) { // not known, or not allowed to ask
		err = nil
		if st.Mode&0o111 == 0 {
			err = unix.EACCES
		}
	}
	if err != nil {
		return refused{s.why(f, &st)}
	}
	return nil
}

func (s FindProgram) why(f *os.File, st *unix.Stat_t) string {
	if onNoexec(f) {
		return "its mount is noexec"
	}
	return fmt.Sprintf("mode %04o, owner %d:%d, executed by %d:%d", st.Mode&0o7777, st.Uid, st.Gid, s.User.UID, s.User.GID)
}

func onNoexec(f *os.File) bool {
	var fs unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &fs) == nil && fs.Flags&unix.ST_NOEXEC != 0
}

// refused is EACCES with its reason.
type refused struct{ why string }

func (r refused) Error() string { return syscall.EACCES.Error() + " (" + r.why + ")" }

func (r refused) Unwrap() error { return syscall.EACCES }
