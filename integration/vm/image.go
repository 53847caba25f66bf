package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// here is the folder of this command's files, below the module's, where it is run.
const here = "integration/vm"

// keyPrefix begins the key of every image of ours: others are never made anew.
const keyPrefix = "ocirt-vm "

// clientsPart of an image is what only tests of clients need: a client of CRI, and an image
// in every client's store. It takes half of the time.
const clientsPart = "clients"

// An image is a folder with the disk of the machine, kernels for it, and a QEMU.
type image struct {
	dir   string
	parts string // of a new one, separated by spaces: kernels, and "clients"
	force bool
}

func (i image) file(name string) string { return filepath.Join(i.dir, name) }

// ready makes the image unless it is up to date and has these parts. An image that
// something else has made is taken as it is.
func (i image) ready(ctx context.Context, parts ...string) error {
	recipe, err := i.recipe()
	if err != nil {
		return err
	}
	if i.fits(recipe, parts) && !i.force {
		return nil
	}
	if key, err := os.ReadFile(i.file("key")); err == nil && !strings.HasPrefix(string(key), keyPrefix) {
		return fmt.Errorf("cannot use the image in %s: it is not ours to change, and lacks something of %q", i.dir, parts)
	}
	if why := i.cannotMake(); why != "" {
		return fmt.Errorf("cannot make an image: %s", why)
	}
	if err := os.MkdirAll(i.dir, 0o755); err != nil {
		return fmt.Errorf("cannot make an image: %w", err)
	}
	lock, err := i.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	if i.fits(recipe, parts) && !i.force { // somebody else has made it meanwhile
		return nil
	}
	for _, p := range parts {
		if !slices.Contains(strings.Fields(i.parts), p) {
			i.parts += " " + p
		}
	}
	return i.make(ctx, recipe)
}

// readyFor makes one for tests if need be, which may take half of the time that is left.
func (i image) readyFor(ctx context.Context, kernel string, clients bool) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	parts := []string{kernel}
	if clients {
		parts = append(parts, clientsPart)
	}
	return i.ready(ctx, parts...)
}

// fits reports whether there is an image that needs nothing done. The key of one of ours is
// its recipe and its parts.
func (i image) fits(recipe string, parts []string) bool {
	key, err := os.ReadFile(i.file("key"))
	if err != nil {
		return false
	}
	if _, err := os.Stat(i.file("disk.img")); err != nil {
		return false
	}
	if strings.HasPrefix(string(key), keyPrefix) {
		has, ok := strings.CutPrefix(string(key), recipe)
		return ok && !slices.ContainsFunc(parts, func(p string) bool { return !slices.Contains(strings.Fields(has), p) })
	}
	return !slices.ContainsFunc(kernelsOf(parts), func(k string) bool {
		_, err := os.Stat(i.file("kernels/" + k + ".vmlinuz"))
		return err != nil
	})
}

func kernelsOf(parts []string) []string {
	return slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return p == clientsPart })
}

// recipe identifies what the image is made by.
func (i image) recipe() (string, error) {
	sum := sha256.New()
	for _, name := range []string{"build", "archive.go", "guest/prime", "guest/as-user", "testdata/cri/main.go"} {
		data, err := os.ReadFile(filepath.Join(here, name))
		if err != nil {
			return "", fmt.Errorf("cannot read the recipe of the image (run this in the module's folder): %w", err)
		}
		sum.Write(data)
	}
	return fmt.Sprintf("%s%x", keyPrefix, sum.Sum(nil)[:8]), nil
}

// cannotMake says what this machine lacks for making one, before anything is tried.
func (i image) cannotMake() string {
	if runtime.GOARCH != "amd64" {
		return "the recipe is for amd64, and this is " + runtime.GOARCH
	}
	if os.Geteuid() != 0 {
		return "it needs root"
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "it needs a Debian, for its packages"
	}
	var st unix.Statfs_t
	const need = 7 << 30
	above := i.dir
	for unix.Statfs(above, &st) != nil && above != "/" {
		above = filepath.Dir(above)
	}
	if free := int64(st.Bavail) * st.Bsize; free < need {
		return fmt.Sprintf("%s has %d MiB of free space, and it needs %d", above, free>>20, need>>20)
	}
	return ""
}

// lock keeps other makers of the same image away.
func (i image) lock(ctx context.Context) (*os.File, error) {
	f, err := os.OpenFile(i.file("lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the image: %w", err)
	}
	for ctx.Err() == nil {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		time.Sleep(time.Second)
	}
	f.Close()
	return nil, fmt.Errorf("cannot lock the image: %w", errors.Join(err, ctx.Err()))
}

// make builds a new one beside an old one, boots it once per kernel, and puts it in place.
func (i image) make(ctx context.Context, recipe string) error {
	begin := time.Now()
	fresh := image{dir: i.file("new")}
	if err := errors.Join(os.RemoveAll(fresh.dir), os.MkdirAll(fresh.dir, 0o755)); err != nil {
		return fmt.Errorf("cannot make an image: %w", err)
	}
	defer os.RemoveAll(fresh.dir)
	fmt.Fprintln(os.Stderr, "vm: making the image, which takes some minutes")
	if err := i.build(ctx); err != nil {
		return fmt.Errorf("cannot make an image: %w", err)
	}
	var stores []string // to be filled once
	if slices.Contains(strings.Fields(i.parts), clientsPart) {
		stores = []string{"stores"}
	}
	for _, k := range kernelsOf(strings.Fields(i.parts)) {
		fmt.Fprintf(os.Stderr, "vm: %4.0f s: first boot, kernel %s\n", time.Since(begin).Seconds(), k)
		var log strings.Builder
		m := machine{kernel: k, memory: 4096, cpus: 2, commit: true}
		j := job{command: append([]string{"/lab/guest/prime"}, stores...), limit: 15 * time.Minute, user: "root"}
		status, err := m.run(ctx, fresh, j, &log, &log)
		if err == nil && status != 0 {
			err = fmt.Errorf("exit status %d", status)
		}
		if err != nil {
			return fmt.Errorf("cannot prepare the image with kernel %s: %w\n%s", k, err, &log)
		}
		stores = nil
	}
	if err := os.WriteFile(fresh.file("key"), []byte(recipe+" "+i.parts+"\n"), 0o644); err != nil {
		return err
	}
	if err := fresh.moveTo(i); err != nil {
		return fmt.Errorf("cannot put the new image in place: %w", err)
	}
	fmt.Fprintf(os.Stderr, "vm: %4.0f s: done\n", time.Since(begin).Seconds())
	return nil
}

// build runs the script that makes the files, as the first process of namespaces: its
// mounts and all its processes go with it.
func (i image) build(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(here, "build"), i.dir, i.parts)
	cmd.Env = append(os.Environ(), "VM="+self)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	return dieWithUs(cmd)
}

// moveTo puts the files of a new image in place of an old one's: the key goes first and
// comes last. A machine that runs keeps the disk that it has opened.
func (i image) moveTo(to image) error {
	if err := os.Remove(to.file("key")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(i.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "key" {
			continue
		}
		if err := os.RemoveAll(to.file(e.Name())); err != nil {
			return err
		}
		if err := os.Rename(i.file(e.Name()), to.file(e.Name())); err != nil {
			return err
		}
	}
	return os.Rename(i.file("key"), to.file("key"))
}

// dieWithUs runs a command that the kernel kills if this program dies. The thread that
// starts it must stay: its death would count as ours.
func dieWithUs(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- cmd.Run()
	}()
	return <-done
}
