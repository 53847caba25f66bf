package entry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Image seals the program: an ELF file of two segments (walker, read and execute; data,
// read and write) in a sealed memory file. Start it through its descriptor.
//
// Where the sysctl vm.memfd_noexec is 2 no memory file may be executed. Image then uses
// an unlinked file in the directory of SetFallbackDir, open for reading only; without
// one, its error names the sysctl and wraps EACCES.
func (p *Program) Image() (*os.File, error) {
	b, err := p.encode()
	if err != nil {
		return nil, err
	}
	f, err := memoryFile(b, p.imageName())
	if errors.Is(err, unix.EACCES) && p.dir != "" {
		return unlinkedFile(p.dir, b)
	}
	return f, err
}

func (p *Program) imageName() string {
	if p.name != "" {
		return p.name
	}
	return "ocirt-init"
}

// SetFallbackDir names a directory, on a file system that is not mounted noexec, for an
// image that may not be a memory file. See Image.
func (p *Program) SetFallbackDir(dir string) { p.dir = dir }

// memoryFile makes a memory file that nobody can change any more (memfd_create(2)).
func memoryFile(b []byte, name string) (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if err == unix.EINVAL { // Linux before 6.3 knows no MFD_EXEC
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err == unix.EACCES {
		return nil, fmt.Errorf("cannot make an executable memory file: %w (sysctl vm.memfd_noexec is 2)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make a memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), "init")
	if _, err := f.Write(b); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot write init's image: %w", err)
	}
	if err := Seal(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot seal init's image: %w", err)
	}
	return f, nil
}

// Seal makes a memory file one that nobody can change any more (fcntl(2), F_ADD_SEALS). The
// file must never have been mapped.
//
// What is sealed is writing from now on: F_SEAL_WRITE, which is also about mappings that
// there are, waits until the kernel holds none of the pages, and gives up with EBUSY after
// 0.15 s, which a busy machine does not always keep to.
func Seal(f *os.File) error {
	const seals = unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
	return os.NewSyscallError("F_ADD_SEALS", err)
}

// unlinkedFile makes a file that has no name any more and that nobody has open for
// writing: one that is could not be executed (ETXTBSY). It is not O_TMPFILE, which cannot
// be opened again without procfs and which some file systems lack.
//
// The fork lock keeps another goroutine's child from inheriting the writable descriptor
// and holding it until its own execve.
func unlinkedFile(dir string, b []byte) (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := createIn(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot make a file for init's image (sysctl vm.memfd_noexec is 2): %w", err)
	}
	path := f.Name()
	_, err = f.Write(b)
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		os.Remove(path)
		return nil, fmt.Errorf("cannot write init's image: %w", err)
	}
	f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err2 := os.Remove(path); err == nil && err2 != nil {
		f.Close()
		err = err2
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open init's image: %w", err)
	}
	if err := letExecute(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot execute init's image in %s (sysctl vm.memfd_noexec is 2): %w", dir, err)
	}
	return f, nil
}

// letExecute gives a file that has no name any more the permissions of a memory file: the
// child may be somebody else by the time it executes it.
func letExecute(f *os.File) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err == nil && fs.Flags&unix.ST_NOEXEC != 0 {
		return fmt.Errorf("mounted noexec: %w", unix.EACCES)
	}
	return f.Chmod(0o755)
}

// createIn makes a new file in dir, for the caller alone: its data may be secret.
func createIn(dir string) (f *os.File, err error) {
	for range 100 {
		name := ".ocirt-init-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		f, err = os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
		if !errors.Is(err, os.ErrExist) {
			break
		}
	}
	return f, err
}
