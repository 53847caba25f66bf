package exec

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// A detached process outlives the command: it is its caller's sub-reaper's child, the only
// one, and its pid stands in the file without a newline.
func TestDetach(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.launch(t)
		before := lab.Children()
		file := pidFile(t, s)
		s.exec(c, []string{"-d", "--pid-file", file}, "/inside", "sleep", "forever").OK()
		pid := readPid(t, file)
		after := lab.Children()
		if want := slices.Sorted(slices.Values(append(slices.Clone(before), pid))); !slices.Equal(after, want) {
			t.Errorf("children are %v, want %v", after, want)
		}
		if its := readlink(t, fmt.Sprintf("/proc/%d/ns/pid", pid)); its != readlink(t, c.Namespace("pid")) {
			t.Errorf("the process is in %s", its)
		}
		if exe := readlink(t, fmt.Sprintf("/proc/%d/exe", pid)); exe != "/inside" {
			t.Errorf("the process is %s when the command returns", exe)
		}
		must(t, unix.Kill(pid, unix.SIGKILL))
		_, err := unix.Wait4(pid, nil, 0, nil)
		must(t, err)
	})
}

func pidFile(t *testing.T, s stance) string {
	t.Helper()
	dir := lab.Dir(t)
	if os.Geteuid() == 0 {
		must(t, os.Chown(dir, s.r.User, s.r.User))
	}
	return dir + "/pid"
}

func readPid(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	pid, err := strconv.Atoi(string(data))
	must(t, err)
	return pid
}

// A process that could not be executed leaves no pid file, no process, and no trace in the
// file's folder: conmon takes the file for success.
func TestNoPidFile(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, forever)
		b.File("text", "hello\n", 0o755)
		s.own(b)
		c := s.r.Launch(b)
		file := pidFile(t, s)
		for _, program := range []string{"nope", "/text"} {
			before := lab.Children()
			fails(t, s.exec(c, []string{"-d", "--pid-file", file}, program), "unable to start container process")
			if entries, err := os.ReadDir(file[:len(file)-len("/pid")]); err != nil || len(entries) > 0 {
				t.Errorf("left behind: %v (%v)", entries, err)
			}
			if after := lab.Children(); !slices.Equal(before, after) {
				t.Errorf("children were %v and are %v", before, after)
			}
		}
	})
}

// A receiver listens on a socket and takes one descriptor.
func receiver(t *testing.T, s stance) (path string, receive func() (string, int)) {
	t.Helper()
	path = pidFile(t, s) + ".sock"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	must(t, os.Chmod(path, 0o666))
	must(t, unix.Listen(fd, 1))
	return path, func() (string, int) {
		t.Helper()
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		must(t, err)
		defer unix.Close(conn)
		data, control := make([]byte, 64), make([]byte, unix.CmsgSpace(4))
		n, cn, _, _, err := unix.Recvmsg(conn, data, control, unix.MSG_CMSG_CLOEXEC)
		must(t, err)
		messages, err := unix.ParseSocketControlMessage(control[:cn])
		must(t, err)
		fds, err := unix.ParseUnixRights(&messages[0])
		must(t, err)
		t.Cleanup(func() { unix.Close(fds[0]) })
		return string(data[:n]), fds[0]
	}
}

func TestPidfdSocket(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.launch(t)
		path, receive := receiver(t, s)
		file := pidFile(t, s)
		s.exec(c, []string{"-d", "--pid-file", file, "--pidfd-socket", path}, "/inside", "sleep", "forever").OK()
		text, fd := receive()
		if text != "setns" {
			t.Errorf("it comes with %q", text)
		}
		pid := readPid(t, file)
		info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
		must(t, err)
		if !strings.Contains(string(info), fmt.Sprintf("\nPid:\t%d\n", pid)) {
			t.Errorf("it is not one of %d: %s", pid, info)
		}
		must(t, unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0))
		_, _ = unix.Wait4(pid, nil, 0, nil)
		fails(t, s.exec(c, []string{"-d", "--pidfd-socket", path + "-none"}, "/inside"), "--pidfd-socket", "no such file or directory")
	})
}

// The descriptors of --preserve-fds come after the standard streams, and no other; those of
// socket activation are the first process's.
func TestPreserve(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.launch(t)
		var files []*os.File
		for range 12 {
			f, err := os.Open("/")
			must(t, err)
			defer f.Close()
			files = append(files, f)
		}
		for _, n := range []int{0, 1, 3} {
			cmd := s.r.Command("exec", "--preserve-fds", strconv.Itoa(n), c.ID, "/inside", "report", "files", "process")
			cmd.ExtraFiles = files
			cmd.Env = append(slices.Clone(cmd.Env), "LISTEN_FDS=2")
			r := lab.ParseReport(t, s.r.Finish(cmd).OK().Stdout)
			if len(r.Files) != 3+n {
				t.Errorf("want %d files, got %v", 3+n, r.Files)
			}
			for _, e := range r.Process.Env {
				if strings.HasPrefix(e, "LISTEN") {
					t.Errorf("environment has %s", e)
				}
			}
		}
	})
}

// The command's end is the end of a process that has not executed yet: here one that cannot
// write its pid.
func TestReleaseFails(t *testing.T) {
	s := asRoot(t)
	c := s.launch(t)
	before := lab.Children()
	dir := lab.Dir(t)
	must(t, os.Mkdir(dir+"/pid", 0o755))
	fails(t, s.exec(c, []string{"-d", "--pid-file", dir + "/pid"}, "/inside", "touch", "/tmp/ran"), "--pid-file")
	if after := lab.Children(); !slices.Equal(before, after) {
		t.Errorf("children were %v and are %v", before, after)
	}
	if r := s.exec(c, nil, "/inside", "stat", "/tmp/ran"); r.Code == 0 {
		t.Error("the command was executed")
	}
}

// Signals reach the command, and its way of ending is the status.
func TestForward(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.launch(t)
		run := s.r.Begin(s.r.Command("exec", c.ID, "/inside", "on-signal", "3", "TERM", "USR1", "HUP", "--", "exit", "9"))
		run.Says("\n")
		for _, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGHUP, unix.SIGTERM} {
			must(t, unix.Kill(run.Cmd.Process.Pid, sig))
		}
		if r := run.End(); r.Code != 9 {
			t.Errorf("want status 9, got %v", r)
		}
		run = s.r.Begin(s.r.Command("exec", c.ID, "/inside", "echo", "up", "--", "sleep", "forever"))
		run.Says("up")
		must(t, unix.Kill(run.Cmd.Process.Pid, unix.SIGTERM))
		if r := run.End(); r.Code != 143 {
			t.Errorf("want status 143, got %v", r)
		}
	})
}

func procOf(pid int) string { return fmt.Sprintf("/proc/%d/", pid) }

// end kills a detached process, which has become our child.
func end(t *testing.T, pid int) {
	t.Helper()
	must(t, unix.Kill(pid, unix.SIGKILL))
	_, err := unix.Wait4(pid, nil, 0, nil)
	must(t, err)
}
