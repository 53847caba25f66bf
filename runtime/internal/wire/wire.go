// Package wire is what ocirt and a builder in another process say to each other: a few
// kinds of message over one SOCK_SEQPACKET socket. Nothing is decoded through reflection,
// whose first use costs more than the rest of the builder's start.
//
// The builder can only ask by the number of a step; ocirt does its own copy of that step.
package wire

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
)

// A Kind is a kind of message.
type Kind byte

// The conversation, in order. No kind is added for a feature: features add steps.
const (
	Hello  Kind = iota + 1 // builder: here I am
	Begin                  // ocirt: the input (Step 0), then the files of a step, then Step -1: go
	Ask                    // builder: do this step of the host
	Answer                 // ocirt: it is done, or the fault
	Failed                 // builder: this step failed
	Built                  // builder: what was found; files: see Found
	Log                    // builder: a warning
)

// maxMessage bounds a message: the largest is the input without config.json.
const maxMessage = 64 << 10

// A Message is one message.
type Message struct {
	Kind  Kind
	Step  int
	Errno unix.Errno
	Text  string
	Files []*os.File
}

// Send sends a message. Its files stay the caller's. A text that is too long is cut.
func Send(sock int, m Message) error {
	text := m.Text
	if len(text) > maxMessage-64 {
		text = text[:maxMessage-64]
	}
	var e Encoder
	e.Int(int64(m.Kind))
	e.Int(int64(m.Step))
	e.Int(int64(m.Errno))
	e.String(text)
	fds := make([]int, 0, len(m.Files))
	for _, f := range m.Files {
		fds = append(fds, int(f.Fd()))
	}
	return linux.Send(sock, e.Bytes(), fds)
}

// ErrGone is returned by Receive when the peer has gone.
var ErrGone = errors.New("the other process has gone")

// maxFiles is how many descriptors fit into one message (SCM_MAX_FD).
const maxFiles = 253

// Receive reads a message. Its files are the caller's.
func Receive(sock int) (Message, error) {
	b, files, err := linux.Receive(sock, maxMessage, maxFiles)
	if err != nil {
		return Message{}, err
	}
	if len(b) == 0 {
		return Message{}, ErrGone
	}
	d := Decoder{b: b}
	m := Message{Kind: Kind(d.Int()), Step: int(d.Int()), Errno: unix.Errno(d.Int()), Text: d.String(), Files: files}
	if err := d.End(); err != nil {
		for _, f := range files {
			f.Close()
		}
		return Message{}, fmt.Errorf("cannot read a message: %w", err)
	}
	return m, nil
}
