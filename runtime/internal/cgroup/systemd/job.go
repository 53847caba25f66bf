package systemd

import (
	"errors"
	"fmt"
	"time"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
)

// Start makes a transient unit and returns when systemd has started it. A unit of the same
// name that has failed or is about to end is none of ours any more: it is reset, or waited
// for, and the start tried once again.
func (m *Manager) Start(unit string, list []Property) error {
	err := m.start(unit, list)
	if !dbus.Is(err, errUnitExists) {
		return err
	}
	if !m.settle(unit) {
		return &ExistsError{unit, m.unitState(unit)}
	}
	if err = m.start(unit, list); dbus.Is(err, errUnitExists) {
		return &ExistsError{unit, m.unitState(unit)}
	}
	return err
}

// An ExistsError is why a unit cannot be started: there is one of this name, of somebody
// else.
type ExistsError struct{ Unit, State string }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("cannot start unit %s: it exists already and is %s", e.Unit, e.State)
}

func (m *Manager) start(unit string, list []Property) error {
	reply, err := m.call("StartTransientUnit", dbus.String(unit), dbus.String("replace"), properties(list),
		dbus.Array{Elem: "(sa(sv))"})
	if dbus.Is(err, errUnitExists) {
		return err
	}
	if err != nil {
		return fmt.Errorf("cannot start unit %s: %w", unit, err)
	}
	if err := m.wait(reply); err != nil {
		return fmt.Errorf("cannot start unit %s: %w", unit, err)
	}
	return nil
}

// settle gets a unit of the past out of the way, and reports whether it did.
func (m *Manager) settle(unit string) bool {
	end := time.Now().Add(m.jobTime / 6)
	for {
		switch m.unitState(unit) {
		case "failed", "inactive", "":
			_, _ = m.call("ResetFailedUnit", dbus.String(unit))
			return true
		case "deactivating":
			if time.Now().After(end) {
				return false
			}
			time.Sleep(10 * time.Millisecond)
		default:
			return false
		}
	}
}

// Stop stops a unit, if it exists, waits for its end, and lets systemd forget it. What is
// left in a scope is killed by systemd, but after a long grace: kill it first.
func (m *Manager) Stop(unit string) error {
	reply, err := m.call("StopUnit", dbus.String(unit), dbus.String("replace"))
	if dbus.Is(err, errNoSuchUnit) {
		return nil
	}
	if err == nil {
		err = m.wait(reply)
	}
	// A failed unit, such as one in which a process was killed for want of memory, has
	// nothing to stop and stays known.
	_, _ = m.call("ResetFailedUnit", dbus.String(unit))
	if err != nil {
		return fmt.Errorf("cannot stop unit %s: %w", unit, err)
	}
	return nil
}

// errJobTime is why a job is not waited for any longer.
var errJobTime = errors.New("systemd does not finish the job in time")

// wait waits for the end of the job that an answer names.
func (m *Manager) wait(reply *dbus.Message) error {
	d, err := reply.Body("o")
	if err != nil {
		return err
	}
	job := d.Text()
	if err := d.End(); err != nil {
		return err
	}
	result := ""
	_, err = m.conn.Signal(time.Now().Add(m.jobTime), func(s *dbus.Message) bool {
		if s.Member != "JobRemoved" || s.Interface != managerIf {
			return false
		}
		d, err := s.Body("uoss")
		if err != nil {
			return false
		}
		d.Uint32()
		if d.Text() != job {
			return false
		}
		d.Text()
		result = d.Text()
		return d.End() == nil
	})
	switch {
	case errors.Is(err, dbus.ErrTimeout):
		return errJobTime
	case err != nil:
		return err
	case result == "done" || result == "skipped":
		return nil
	}
	return fmt.Errorf("the job ended with %q", result)
}
