package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

func keyCommands() []command {
	return []command{
		{"add-key", "NAME", 1, func(args []string) error {
			_, err := unix.AddKey("user", args[0], []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING)
			return err
		}},
		{"fill-keys", "", 0, func([]string) error { return fillKeys() }},
	}
}

// fillKeys uses up the user's quota of keys, says so, and keeps it used up until its standard
// input ends. Keys of processes that have ended are still counted for a moment.
func fillKeys() error {
	// A keyring of its own, which goes with this process, and is this thread's alone.
	runtime.LockOSThread()
	if _, err := unix.KeyctlJoinSessionKeyring("fill"); err != nil {
		return err
	}
	end := make(chan bool)
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		close(end)
	}()
	for n, refused := 0, 0; ; {
		_, err := unix.AddKey("user", fmt.Sprintf("fill-%d", n), []byte("x"), unix.KEY_SPEC_SESSION_KEYRING)
		if err == nil {
			n, refused = n+1, 0
			continue
		}
		if refused++; refused == 50 {
			fmt.Println("full")
		}
		select {
		case <-end:
			return nil
		case <-time.After(5 * time.Millisecond):
		}
	}
}
