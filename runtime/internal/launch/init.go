package launch

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/thread"
)

// An Init is a container's first process, built and waiting for start.
type Init struct {
	Pid    int
	Master *os.File // of its terminal, if it has one
	Calls  int      // length of its program
	Reaped bool     // somebody has taken its status

	Processor int // that it ran on at last; -1 if that is not known

	sock   int
	loans  []step.Loan
	thread *thread.Thread // that it was born of, which has its namespaces
}

// Restored is the first process of a container that was not made here: it runs already.
func Restored(pid int, master *os.File) *Init {
	return &Init{Pid: pid, Master: master, Processor: -1, sock: -1}
}

// Keep lets the container have what it was lent.
func (i *Init) Keep() {
	for _, loan := range i.loans {
		loan.Keep()
	}
	i.loans = nil
}

// Release tells init that everything about it is recorded: from now on it waits for start
// whatever becomes of this process. It does nothing if that was told already.
func (i *Init) Release() error {
	if i.sock < 0 {
		return nil
	}
	defer i.Close()
	if err := unix.Send(i.sock, []byte{1}, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("cannot speak to init: %w", err)
	}
	return nil
}

// LetGo lets the thread end that init was born of, and with it the namespaces when init ends.
func (i *Init) LetGo() { i.thread.Close() }

// Abort kills and reaps init, after what it was lent has been taken back.
func (i *Init) Abort() error {
	defer i.Close()
	i.LetGo()
	err := giveBack(i.loans)
	i.loans = nil
	if i.Master != nil {
		i.Master.Close()
	}
	if i.Reaped {
		return err
	}
	_ = unix.Kill(i.Pid, unix.SIGKILL)
	reap(i.Pid)
	i.Reaped = true
	return err
}

// giveBack returns what the container was lent, last first.
func giveBack(loans []step.Loan) error {
	var errs []error
	for i := len(loans) - 1; i >= 0; i-- {
		errs = append(errs, loans[i].Return())
		loans[i].Keep()
	}
	return errors.Join(errs...)
}

// Close ends the conversation with init, which ends if it was not released.
func (i *Init) Close() {
	if i.sock >= 0 {
		unix.Close(i.sock)
		i.sock = -1
	}
}
