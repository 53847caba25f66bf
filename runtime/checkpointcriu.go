package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/criu"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/spec"
)

// criuConfig is the annotation that names CRIU's configuration file. What stands there
// counts for more than what the caller asked for.
const criuConfig = "org.criu.config"

// configFile is the file that the annotation names, or the one that the host's owner has
// put in place; an empty annotation is none.
func configFile(annotations map[string]string) string {
	if file, ok := annotations[criuConfig]; ok {
		return file
	}
	for _, file := range []string{"/etc/criu/ocirt.conf", "/etc/criu/runc.conf"} {
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return ""
}

// An imageDirs are the open folders of a checkpoint.
type imageDirs struct {
	images, work         *os.File
	imagesPath, workPath string
}

func (d *imageDirs) close() {
	d.images.Close()
	d.work.Close()
}

// openImages opens the folders; create makes them.
func openImages(o *CRIUOptions, create bool) (_ *imageDirs, err error) {
	d := &imageDirs{imagesPath: o.ImagesDir, workPath: o.WorkDir}
	if d.images, err = openFolder("image-path", &d.imagesPath, create); err != nil {
		return nil, err
	}
	if d.workPath == "" {
		d.workPath = d.imagesPath
	}
	if d.work, err = openFolder("work-path", &d.workPath, true); err != nil {
		d.images.Close()
		return nil, err
	}
	return d, nil
}

// openFolder opens a folder that a flag names, and makes its path absolute. A link in its
// place is refused: whoever can make one there could send what is written elsewhere.
func openFolder(flag string, path *string, create bool) (*os.File, error) {
	abs, err := filepath.Abs(*path)
	if err != nil {
		return nil, fmt.Errorf("--%s: cannot make %q absolute: %w", flag, *path, err)
	}
	*path = abs
	if create {
		if err := os.MkdirAll(filepath.Dir(abs), 0o755); err != nil {
			return nil, fmt.Errorf("--%s: cannot make %q: %w", flag, filepath.Dir(abs), errors.Unwrap(err))
		}
		if err := unix.Mkdir(abs, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("--%s: cannot make %q: %w", flag, abs, err)
		}
	}
	fd, err := unix.Open(abs, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("--%s: %q must be a folder, and not a link to one", flag, abs)
	}
	if err != nil {
		return nil, fmt.Errorf("--%s: cannot open %q: %w", flag, abs, err)
	}
	return os.NewFile(uintptr(fd), abs), nil
}

// reopen opens the folders anew: they must be those of the mount namespace that CRIU is in,
// which mounts things in its working directory.
func (d *imageDirs) reopen() error {
	for _, at := range []struct {
		f    **os.File
		path string
	}{{&d.images, d.imagesPath}, {&d.work, d.workPath}} {
		fd, err := unix.Open(at.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("cannot open %q: %w", at.path, err)
		}
		f := os.NewFile(uintptr(fd), at.path)
		was, err1 := linux.Stat(*at.f)
		is, err2 := linux.Stat(f)
		if err := errors.Join(err1, err2); err != nil || was.Dev != is.Dev || was.Ino != is.Ino {
			f.Close()
			return errors.Join(err, fmt.Errorf("%q has become another folder", at.path))
		}
		(*at.f).Close()
		*at.f = f
	}
	return nil
}

// startCRIU starts CRIU with these files.
func startCRIU(files []*os.File, attr *syscall.SysProcAttr) (*criu.Session, error) {
	path, err := criu.Find()
	if err != nil {
		return nil, fmt.Errorf("cannot find CRIU: %w", err)
	}
	s, err := criu.Start(path, files, attr)
	if err != nil {
		return nil, err
	}
	v, err := s.Version()
	if err == nil && !v.AtLeast(3, 15) {
		err = fmt.Errorf("CRIU %s is too old, 3.15 is needed", v)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// criuLogLevel tells what CRIU does, without every byte.
const criuLogLevel = 4

// commonOptions are those of a dump and of a restore.
func commonOptions(b *spec.Bundle, o *CRIUOptions, dirs *imageDirs) (*criu.Options, error) {
	mode, err := cgroupMode(o.ManageCgroups)
	if err != nil {
		return nil, err
	}
	lock, err := networkLock(o.NetworkLock)
	if err != nil {
		return nil, err
	}
	opts := &criu.Options{
		ImagesDirFD: int(dirs.images.Fd()), WorkDirFD: int(dirs.work.Fd()), LogLevel: criuLogLevel,
		ConfigFile:    configFile(b.Spec.Annotations),
		NotifyScripts: true, OrphanPTSMaster: true,
		TCPEstablished: o.TCPEstablished, ExternalUnix: o.ExternalUnix, ShellJob: o.ShellJob, FileLocks: o.FileLocks,
		LazyPages: o.LazyPages, AutoDedup: o.AutoDedup, LinkRemap: o.LinkRemap,
		ManageCgroups: mode, NetworkLock: lock,
	}
	// What is in the container's own network namespace is set up by engines and hooks, not
	// by CRIU.
	if hasNamespace(b, specs.NetworkNamespace) && namespacePath(b, specs.NetworkNamespace) == "" || len(o.EmptyNamespaces) > 0 {
		opts.EmptyNamespace = unix.CLONE_NEWNET
	}
	return opts, nil
}

func hasNamespace(b *spec.Bundle, kind specs.LinuxNamespaceType) bool {
	if b.Spec.Linux != nil {
		for _, n := range b.Spec.Linux.Namespaces {
			if n.Type == kind {
				return true
			}
		}
	}
	return false
}

// pageServer reads address:port.
func pageServer(s string) (*criu.PageServer, error) {
	i := strings.LastIndexByte(s, ':') // not by package net, whose initialisers every start would pay
	if i <= 0 {
		return nil, fmt.Errorf("--page-server: %q must be ADDRESS:PORT", s)
	}
	host, port := s[:i], s[i+1:]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("--page-server: %q is not a port", port)
	}
	return &criu.PageServer{Address: host, Port: int(n)}, nil
}

// explain makes an error of what CRIU answered and what it logged.
func (d *imageDirs) explain(op, id, log string, err error) error {
	var said *criu.Error
	if lines := criu.LastErrors(d.work, log, 3); len(lines) > 0 && errors.As(err, &said) {
		err = &criu.Error{Errno: said.Errno, Text: strings.Join(lines, "; ")}
	}
	return fmt.Errorf("cannot %s container %s: %w (log file: %s)", op, id, err, filepath.Join(d.workPath, log))
}
