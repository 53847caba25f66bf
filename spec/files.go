package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// CheckFiles checks what the configuration says about files against the files:
// the root directory, programs of hooks that run on the host, and, with
// Options.Sources, sources of bind mounts. It only looks; what it saw may have
// changed when it is used, so it explains early and protects from nothing.
func (b *Bundle) CheckFiles(opts Options) Problems {
	c := &checker{Bundle: b, opts: opts, inConfig: true}
	c.rootFile()
	c.hookFiles()
	if opts.Sources {
		c.sourceFiles()
	}
	return b.inFileOrder(c.found)
}

func (c *checker) rootFile() {
	root := c.RootPath()
	if root == "" || root == "/" || len(root) > maxPath {
		return // Validate speaks of these
	}
	say := func(text, contract string) {
		c.errorAt(text).words(contract).at("root", "path")
	}
	info, err := os.Lstat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		say(quote(root)+" does not exist", "invalid rootfs")
	case errors.Is(err, fs.ErrPermission):
		say("permission denied at "+quote(barrier(root)), "invalid rootfs")
	case err != nil:
		say(reason(err), "invalid rootfs")
	case info.Mode()&fs.ModeSymlink != 0:
		say("is a symbolic link", "invalid rootfs: not an absolute path, or a symlink")
	case !info.IsDir():
		say("not a directory", "invalid rootfs")
	default:
		host, err := os.Stat("/")
		if err == nil && os.SameFile(host, info) {
			say("must not be the host root", "invalid rootfs")
		}
	}
}

// barrier finds the directory on the way to path that cannot be entered.
func barrier(path string) string {
	at := path
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir + "/."); errors.Is(err, fs.ErrPermission) {
			at = dir
		}
	}
	return at
}

// reason is an error's cause without the operation and the path.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func (c *checker) hookFiles() {
	for _, list := range hookLists(c.Spec.Hooks) {
		if !list.onHost {
			continue
		}
		for i, h := range list.hooks {
			if !filepath.IsAbs(h.Path) {
				continue
			}
			text := ""
			switch info, err := os.Stat(h.Path); {
			case err != nil:
				text = reason(err)
			case info.IsDir():
				text = "is a directory"
			case info.Mode()&0o111 == 0:
				text = "permission denied (mode " + fmt.Sprintf("%04o", info.Mode().Perm()) + ")"
			default:
				continue
			}
			c.errorf("%s: %s", quote(h.Path), text).at("hooks", list.name, i, "path")
		}
	}
}

func (c *checker) sourceFiles() {
	for i := range c.Spec.Mounts {
		m := &c.Spec.Mounts[i]
		if !isBind(m) || m.Source == "" || has(m.Options, "remount") {
			continue
		}
		source := c.join(m.Source)
		if _, err := os.Lstat(source); errors.Is(err, fs.ErrNotExist) {
			c.errorf("%s does not exist", quote(source)).at("mounts", i, "source")
		}
	}
	if c.Spec.Linux == nil {
		return
	}
	for i, ns := range c.Spec.Linux.Namespaces {
		c.namespaceFile(i, ns)
	}
}

func (c *checker) namespaceFile(i int, ns specs.LinuxNamespace) {
	if !filepath.IsAbs(ns.Path) {
		return
	}
	at := []any{"linux", "namespaces", i, "path"}
	info, err := os.Stat(ns.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.errorf("%s does not exist", quote(ns.Path)).at(at...)
	case err == nil && !info.Mode().IsRegular(): // nsfs files are regular ones
		c.errorAt("is not a namespace file").at(at...)
	}
}
