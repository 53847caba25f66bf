package ns

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

type (
	// SetHostname names the host of the UTS namespace (sethostname(2)).
	SetHostname struct{ Name string }
	// SetDomainname sets its NIS domain (setdomainname(2)).
	SetDomainname struct{ Name string }
)

// Hostname compiles hostname.
func Hostname(in *step.Input, emit step.Emit) error {
	if name := in.Bundle.Spec.Hostname; name != "" {
		emit("/hostname", SetHostname{name})
	}
	return nil
}

// Domainname compiles domainname.
func Domainname(in *step.Input, emit step.Emit) error {
	if name := in.Bundle.Spec.Domainname; name != "" {
		emit("/domainname", SetDomainname{name})
	}
	return nil
}

func (s SetHostname) String() string   { return fmt.Sprintf("set hostname to %q", s.Name) }
func (s SetDomainname) String() string { return fmt.Sprintf("set domainname to %q", s.Name) }

// Do runs in the builder's thread, which is in the container's UTS namespace.
func (s SetHostname) Do(*step.Sandbox) error { return unix.Sethostname([]byte(s.Name)) }

// Do runs in the builder's thread, which is in the container's UTS namespace.
func (s SetDomainname) Do(*step.Sandbox) error { return unix.Setdomainname([]byte(s.Name)) }
