package notify

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// What a container must not say does not arrive, and neither do descriptors.
func TestForbidden(t *testing.T) {
	s := asRoot(t)
	h := listen(t, s.runtime, "")
	c := s.runtime.Create(s.bundle(t, lab.Check(
		"notify-files", "FDSTORE=1", "FDNAME=mine", "--",
		"notify-files", "BARRIER=1", "--",
		"notify-files", "STATUS=with a file", "FDSTORE=1", "--",
		"notify", "MAINPID=1", "--",
		"notify", "MAINPID=1", "STATUS=spoof", "MAINPIDFDID=7", "--",
		"notify", "FDSTOREREMOVE=1", "WATCHDOG_USEC=1", "ERRNO=5", "BUSERROR=x", "EXIT_STATUS=1", "NOTIFYACCESS=all", "X_OWN=1", "--",
		"notify", "READY=0", "READY=", "READY=2", " READY=1", "READY", "--",
		"notify", "STATUS=a\x1b[31mb\rc\xffd", "--",
		"notify", "EXTEND_TIMEOUT_USEC=-1", "EXTEND_TIMEOUT_USEC=1e9", "--",
		"notify", "FDSTORE=1", "READY=1", "MAINPID=1", "--", "sleep", "forever")))
	s.runtime.Do("start", c.ID).OK()
	pid := "MAINPID=" + strconv.Itoa(c.Pid)
	h.is("STATUS=with a file", pid, "STATUS=spoof", pid, "STATUS=a?[31mb?c?d", "READY=1", pid, "BARRIER=1")
	if got := c.Stdout(); got != "closed\nclosed\nclosed\n" {
		t.Errorf("descriptors are not closed: %q", got)
	}
}

// Messages of any size: a page is the limit, and what is larger is dropped whole.
func TestSizes(t *testing.T) {
	s := asRoot(t)
	h := listen(t, s.runtime, "")
	c := s.runtime.Create(s.bundle(t, lab.Capabilities("CAP_NET_ADMIN"), lab.Check("try-notify-size", "1048576", "--",
		"try-notify-size", "100000", "--", "try-notify-size", "4097", "--", "try-notify-size", "4096", "--", "notify", "", "--", "notify", "READY=1", "--", "sleep", "forever")))
	s.runtime.Do("start", c.ID).OK()
	if got := c.Stdout(); got != "ok\nok\nok\nok\n" {
		t.Errorf("sending says %q", got)
	}
	h.is("STATUS="+strings.Repeat("x", 4089), "READY=1", "MAINPID="+strconv.Itoa(c.Pid), "BARRIER=1")
}

// A flood of nonsense reaches nobody, and what comes after it is heard.
func TestFlood(t *testing.T) {
	t.Run("detached", func(t *testing.T) {
		s := asRoot(t)
		h := listen(t, s.runtime, "")
		c := s.runtime.Create(s.bundle(t, lab.Check("notify-flood", "100000", "FDSTORE=1", "X_FLOOD=1", "--", "notify", "READY=1", "--", "sleep", "forever")))
		s.runtime.Do("start", c.ID).OK()
		h.is("READY=1", "MAINPID="+strconv.Itoa(c.Pid), "BARRIER=1")
	})
	t.Run("foreground", func(t *testing.T) {
		s := asRoot(t)
		h := listen(t, s.runtime, "")
		s.runtime.Run(s.bundle(t, lab.Check("notify-flood", "20000", "STATUS=again", "--", "notify", "STOPPING=1"))).OK()
		got := h.heard()
		if n := len(got); n != 20002 || got[n-2] != "STOPPING=1" || got[n-1] != "BARRIER=1" {
			t.Errorf("%d messages, the last %q", n, got[max(0, n-2):])
		}
	})
	// What shares its pid namespace outlives the first process, and goes on.
	t.Run("after the end", func(t *testing.T) {
		s := asRoot(t)
		h := listen(t, s.runtime, "")
		b := s.bundle(t, lab.Without("pid"), lab.Args("/bin/sh", "-c", "/inside notify-flood 100000000 STATUS=x & busybox sleep 0.3")).Busybox()
		s.runtime.Run(b).OK()
		if got := h.heard(); !slices.Contains(got, "STATUS=x") {
			t.Errorf("the service manager heard %q", got)
		}
		s.runtime.NothingLeft()
	})
}

// The container's own reloading is told with the host's time.
func TestReloading(t *testing.T) {
	s := asRoot(t)
	h := listen(t, s.runtime, "")
	s.runtime.Run(s.bundle(t, lab.Check("notify", "RELOADING=1", "MONOTONIC_USEC=1"))).OK()
	text, _, _ := strings.Cut(strings.Join(h.heard(), "|"), "|")
	usec, ok := strings.CutPrefix(text, "RELOADING=1\nMONOTONIC_USEC=")
	if n, err := strconv.Atoi(usec); !ok || err != nil || n < 1000000 {
		t.Errorf("the service manager heard %q", h.heard())
	}
}
