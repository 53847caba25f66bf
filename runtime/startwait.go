package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// startPatience is how long init may take for one byte that is there. It has nothing else to
// do; but whoever may open the start socket can be connected to it, and say nothing.
const startPatience = 30 * time.Second

// taken returns when init has taken the word to go on, or answers. If it does not in time,
// the word is withdrawn, so that init will not go on later when nobody is there to know.
// Withdrawn is true if init may, or may not, have taken it at that very moment.
func (c *Container) taken(conn int) (withdrawn bool, err error) {
	end := time.Now().Add(startPatience)
	for {
		left := time.Until(end)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(conn), Events: unix.POLLIN}}, int(max(left, 0).Milliseconds()))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return false, fmt.Errorf("cannot wait for init: %w", err)
		case n > 0 || !unread(conn):
			return false, nil
		}
		// Init takes no byte of a peer that has hung up.
		if err := unix.Shutdown(conn, unix.SHUT_WR); err != nil {
			return false, fmt.Errorf("cannot withdraw from init: %w", err)
		}
		if unread(conn) {
			return true, c.notTaken()
		}
		return true, nil
	}
}

// unread reports whether the peer has not read all that was sent (SIOCOUTQ, unix(7)).
func unread(conn int) bool {
	n, err := unix.IoctlGetInt(conn, unix.TIOCOUTQ)
	return err == nil && n > 0
}

// notTaken says why init may not have taken the word.
func (c *Container) notTaken() error {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(c.rec.Pid) + "/stat")
	if i := bytes.LastIndexByte(stat, ')'); err == nil && i >= 0 && i+2 < len(stat) && (stat[i+2] == 'T' || stat[i+2] == 't') {
		return fmt.Errorf("cannot start the container: init has been stopped by a signal or a debugger for %v", startPatience)
	}
	return errors.New("cannot start the container: init does not answer: another process is connected to its start socket " + c.dir.Path() + "/" + startSocket)
}
