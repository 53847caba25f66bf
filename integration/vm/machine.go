package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A machine is how to boot.
type machine struct {
	kernel       string
	memory, cpus int
	append       string
	commit       bool
	verbose      bool
}

const (
	// bootPatience is how long a machine may take to begin with its job: ten seconds if
	// nothing else runs.
	bootPatience = 3 * time.Minute
	// firstPatience is that of a first boot, which compiles AppArmor's profiles and is not
	// tried again: the disk may be half written.
	firstPatience = 10 * time.Minute
	// bootTries is how often it is tried: QEMU's software CPU has rare hiccups.
	bootTries = 2
	// upMark is what the agent writes to the console before anything else.
	upMark = "agent-is-up"
)

// A boot is one try.
type boot struct {
	dir string // its files
	up  bool   // the agent has begun with the job
	err error  // QEMU's
}

// run boots, runs the job, and returns the job's exit status. A machine that dies before
// the job begins is tried once more.
func (m machine) run(ctx context.Context, i image, j job, stdout, stderr io.Writer) (int, error) {
	dir, err := os.MkdirTemp("", "ocirt-vm-")
	if err != nil {
		return statusBrokenVM, err
	}
	defer os.RemoveAll(dir)
	if err := j.write(filepath.Join(dir, "job.tar")); err != nil {
		return statusBrokenVM, fmt.Errorf("cannot pack the job: %w", err)
	}
	var b boot
	for try := 1; ; try++ {
		b = m.boot(ctx, i, j, dir, stdout, stderr)
		if b.up || m.commit || ctx.Err() != nil || try == bootTries {
			break
		}
		fmt.Fprintf(stderr, "vm: boot %d came to nothing (%v, %s); again\n", try, b.err, b.oops())
	}
	if m.verbose {
		fmt.Fprintf(stderr, "%s", b.console())
	}
	status, err := j.collect(filepath.Join(dir, "back.tar"))
	switch {
	case err == nil:
		return status, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return statusTimeout, errors.New("out of time")
	case ctx.Err() != nil:
		return 128 + 2, errors.New("interrupted")
	case !b.up:
		return statusBrokenVM, fmt.Errorf("the machine does not boot: %w; its console says:\n%s", b.err, tail(b.console()))
	}
	return statusBrokenVM, fmt.Errorf("the machine died in the middle (%w, %w); its console says:\n%s", b.err, err, tail(b.console()))
}

// boot starts QEMU and waits for its end. The job's output is copied while it comes.
func (m machine) boot(ctx context.Context, i image, j job, dir string, stdout, stderr io.Writer) boot {
	b := boot{dir: dir}
	patience := bootPatience
	if m.commit {
		patience = firstPatience
	}
	ctx, cancel := context.WithTimeout(ctx, patience+j.limit+time.Minute)
	defer cancel()
	for _, name := range []string{"console", "back.tar"} {
		if b.err = os.WriteFile(filepath.Join(dir, name), nil, 0o644); b.err != nil {
			return b
		}
	}
	var copies sync.WaitGroup
	var ours []*os.File
	for _, w := range []io.Writer{stdout, stderr} {
		r, end, err := os.Pipe()
		if err != nil {
			b.err = err
			return b
		}
		defer r.Close()
		ours = append(ours, end)
		copies.Go(func() { _, _ = io.Copy(w, r) })
	}
	args := m.arguments(i, j, dir)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var said bytes.Buffer
	cmd.Stderr, cmd.ExtraFiles, cmd.WaitDelay = &said, ours, 5*time.Second
	cmd.Env = append(os.Environ(), "TMPDIR="+dir) // for what -snapshot keeps
	if j.terminal {
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if !b.comesUp(ctx, patience) {
			cancel()
		}
	}()
	b.err = dieWithUs(cmd)
	cancel()
	<-watched
	for _, f := range ours {
		f.Close()
	}
	copies.Wait()
	b.up = b.up || b.hasMark()
	if b.err != nil {
		b.err = fmt.Errorf("qemu: %w: %s", b.err, strings.TrimSpace(said.String()))
	} else if !b.up {
		b.err = errors.New("it ended by itself")
	}
	return b
}

// comesUp waits for the agent; false when patience is over.
func (b *boot) comesUp(ctx context.Context, patience time.Duration) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return true
		case <-time.After(200 * time.Millisecond):
		}
		if b.hasMark() {
			return true
		}
	}
	return false
}

func (b *boot) hasMark() bool { return bytes.Contains(b.console(), []byte(upMark)) }

func (b *boot) console() []byte {
	data, _ := os.ReadFile(filepath.Join(b.dir, "console"))
	return data
}

// oops is what a kernel said last, if it died.
func (b *boot) oops() string {
	if found := regexp.MustCompile(`Oops.*|Kernel panic.*`).Find(b.console()); found != nil {
		return string(found)
	}
	return "no word from the kernel"
}

func tail(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// arguments are QEMU's. Descriptors 3 and 4 take the job's output.
func (m machine) arguments(i image, j job, dir string) []string {
	in := func(name string) string { return filepath.Join(dir, name) }
	disk := func(id, file, more string) []string {
		return []string{"-drive", "file=" + file + ",format=raw,if=none,id=" + id + "," + more, "-device", "virtio-blk-pci,drive=" + id}
	}
	port := func(name, path string) []string {
		return []string{"-chardev", "file,id=" + name + ",path=" + path, "-device", "virtserialport,chardev=" + name + ",name=" + name}
	}
	snapshot := "on"
	if m.commit {
		snapshot = "off"
	}
	cpus := m.cpus
	if cpus == 0 {
		cpus = 2
	}
	args := append(i.qemu(), "-name", "ocirt-vm", "-machine", "q35,usb=off,vmport=off",
		"-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off,smap=off",
		"-smp", strconv.Itoa(cpus), "-m", strconv.Itoa(m.memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", i.file("kernels/"+m.kernel+".vmlinuz"), "-initrd", i.file("kernels/"+m.kernel+".initrd"),
		// Mitigations and address randomization cost time and protect nobody here.
		"-append", "console=ttyS0 root=/dev/vda rw quiet loglevel=4 mitigations=off nokaslr no_timer_check random.trust_cpu=on "+
			"cryptomgr.notests rcupdate.rcu_expedited=1 panic=-1 systemd.show_status=0 hugepages=16 "+m.append,
		"-serial", "file:"+in("console"),
		"-device", "virtio-rng-pci", "-device", "virtio-serial-pci")
	args = append(args, disk("root", i.file("disk.img"), "snapshot="+snapshot+",cache=unsafe")...)
	args = append(args, disk("job", in("job.tar"), "readonly=on")...)
	args = append(args, port("out", "/proc/self/fd/3")...)
	args = append(args, port("err", "/proc/self/fd/4")...)
	args = append(args, port("back", in("back.tar"))...)
	if j.terminal {
		args = append(args, "-chardev", "stdio,id=shell,signal=off", "-device", "virtconsole,chardev=shell")
	}
	return args
}

// qemu is the program: $OCIRT_QEMU, or the image's own, which has its own libraries.
func (i image) qemu() []string {
	if own := os.Getenv("OCIRT_QEMU"); own != "" {
		return strings.Fields(own)
	}
	dir := i.file("qemu")
	lib := filepath.Join(dir, "lib")
	return []string{filepath.Join(lib, "ld-linux-x86-64.so.2"), "--library-path", lib, filepath.Join(dir, "qemu"), "-L", filepath.Join(dir, "share")}
}
