package launch

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

var errHost = errors.New("the host cannot")

// A refusal is a step of the host section that fails.
type refusal struct{}

func (refusal) String() string        { return "refuse" }
func (refusal) Do(*step.Host) error   { return errHost }
func (refusal) Undo(*step.Host) error { return nil }

// What was begun for a container that the host cannot have is given up.
func TestHostFailsAfterTheBeginning(t *testing.T) {
	for _, create := range []bool{true, false} {
		before := descriptors(t)
		l, err := Begin(Request{
			Input: &step.Input{Bundle: &spec.Bundle{Spec: &specs.Spec{}}}, Host: new(step.Host), Thread: NewThread(0),
			Plan: &plan.Plan{Host: []step.Entry{{From: "/linux", Step: refusal{}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if !l.begun.yes {
			t.Error("nothing was begun")
		}
		ended := make(chan error, 1)
		go func() {
			var err error
			if create {
				_, err = l.Create("")
			}
			l.Close()
			ended <- err
		}()
		select {
		case err := <-ended:
			if create != errors.Is(err, errHost) {
				t.Errorf("Create: %v; %v", create, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it does not return")
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors, before %d", after, before)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
