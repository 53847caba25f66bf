package launch

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/thread"
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
		in := &step.Input{Bundle: &spec.Bundle{Spec: &specs.Spec{Root: &specs.Root{Path: "/"}, Linux: &specs.Linux{}}}}
		pl, err := plan.Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		pl.Host = []step.Entry{{From: "/linux", Step: refusal{}}}
		l, err := Begin(Request{Input: in, Host: new(step.Host), Thread: thread.New(0), Plan: pl})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // until it waits
		if !l.begun.yes || l.site.bornErr != nil {
			t.Errorf("begun: %v, %v", l.begun.yes, l.site.bornErr)
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
