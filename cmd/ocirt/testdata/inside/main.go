// Command inside is the program of the containers of these tests.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	switch what := arg(1); what {
	case "echo":
		fmt.Println(strings.Join(os.Args[2:], " "))
	case "exit":
		n, _ := strconv.Atoi(arg(2))
		os.Exit(n)
	case "cat":
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "env":
		fmt.Printf("%s=%s\n", arg(2), os.Getenv(arg(2)))
	case "files":
		files()
	case "read":
		n, _ := strconv.Atoi(arg(2))
		text, err := io.ReadAll(os.NewFile(uintptr(n), "file"))
		fmt.Println(string(text), err)
	case "sleep":
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "signal":
		ch := make(chan os.Signal, 1)
		signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGWINCH)
		fmt.Println("ready")
		fmt.Println("got", int((<-ch).(syscall.Signal)))
	case "signals": // as many as come, until SIGQUIT
		ch := make(chan os.Signal, 1000)
		signal.Notify(ch)
		fmt.Println("ready")
		for sig := range ch {
			if sig != syscall.SIGURG { // the Go runtime's own
				fmt.Println("got", int(sig.(syscall.Signal)))
			}
			if sig == syscall.SIGQUIT {
				os.Exit(23)
			}
		}
	case "size":
		size()
	case "lines":
		n, _ := strconv.Atoi(arg(2))
		for i := range n {
			fmt.Println(i)
		}
	case "orphan": // leaves a grandchild behind
		if err := exec.Command("/proc/self/exe", "half").Run(); err != nil {
			fmt.Println(err)
		}
		time.Sleep(300 * time.Millisecond)
	case "half":
		_ = exec.Command("/proc/self/exe", "exit", "0").Start()
	}
}

func arg(n int) string {
	if n < len(os.Args) {
		return os.Args[n]
	}
	return ""
}

// files prints which of the first descriptors are open and inherited.
func files() {
	for fd := range 20 {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			fmt.Print(fd, " ")
		}
	}
	fmt.Println()
}

// size prints the size of the terminal, now and after each line and each change.
func size() {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGWINCH)
	for range 2 {
		var ws [4]uint16
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&ws)))
		if errno != 0 {
			fmt.Println(errno)
			return
		}
		fmt.Printf("size %dx%d\n", ws[0], ws[1])
		<-ch
	}
}
