package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

func networkCommands() []command {
	return []command{
		{"listen", "ADDRESS:PORT [COUNT]", 1, listen},
		{"dial", "ADDRESS:PORT TEXT [SECONDS]", 2, dial},
	}
}

// listen prints "listening" and echoes COUNT connections, one if not given.
func listen(args []string) error {
	count := 1
	if len(args) > 1 {
		var err error
		if count, err = strconv.Atoi(args[1]); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println("listening", l.Addr())
	for range count {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if _, err := io.Copy(c, c); err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

// dial sends a text, prints what comes back, and tries again until SECONDS are over
// while nobody listens.
func dial(args []string) error {
	patience := time.Second
	if len(args) > 2 {
		var err error
		if patience, err = seconds(args[2]); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(patience)
	var c net.Conn
	for {
		var err error
		if c, err = net.DialTimeout("tcp", args[0], patience); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	defer c.Close()
	if err := c.SetDeadline(deadline.Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, args[1]); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	back, err := io.ReadAll(c)
	fmt.Println(string(back))
	return err
}

// seconds reads a number of seconds with decimals.
func seconds(text string) (time.Duration, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot read a number of seconds: %w", err)
	}
	return time.Duration(f * float64(time.Second)), nil
}
