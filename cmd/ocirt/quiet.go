package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// monitorSlack is how late the Go runtime's monitor may be, in nanoseconds. It wants to look
// every 20 microseconds whether a processor waits in a system call, which in a program of
// some milliseconds takes a tenth of the time from the threads that work.
const monitorSlack = "1000000"

// quietMonitor tells the kernel not to hurry for the monitor, the first thread that the Go
// runtime starts (proc_pid_timerslack_ns(5)). No other thread may be late: they sleep for
// microseconds when they take work from each other. Where it cannot be told, nothing is lost.
func quietMonitor() {
	tid := strconv.Itoa(os.Getpid() + 1)
	if unix.Access("/proc/self/task/"+tid, unix.F_OK) != nil {
		return // somebody else's process has that number
	}
	fd, err := unix.Open("/proc/"+tid+"/timerslack_ns", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = unix.Write(fd, []byte(monitorSlack))
	_ = unix.Close(fd)
}
