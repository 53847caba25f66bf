package early

import "github.com/ocirt/ocirt/runtime/ahead"

// monitorSlack is how late the Go runtime's monitor may be, in nanoseconds. It wants to look
// every 20 microseconds whether a processor waits in a system call, which in a program of
// some milliseconds takes a tenth of the time from the threads that work.
const monitorSlack = "1000000"

// quietMonitor tells the kernel not to hurry for the monitor, the first thread that the Go
// runtime starts (proc_pid_timerslack_ns(5)). No other thread may be late: they sleep for
// microseconds when they take work from each other. Only root may (CAP_SYS_NICE); where it cannot
// be told, nothing is lost.
func quietMonitor() {
	if tid := ahead.Pid() + 1; ahead.HasThread(tid) { // or it is somebody else's process
		ahead.WriteFile("/proc/"+decimal(tid)+"/timerslack_ns", monitorSlack)
	}
}

// decimal is that of package strconv, which is not initialized yet.
func decimal(n int) string {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}
