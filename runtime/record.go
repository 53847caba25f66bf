package runtime

import (
	"fmt"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/store"
)

// record is the intent: what delete must know if this process is killed from now on.
func (m *making) record() *store.Record {
	b, in := m.input.Bundle, m.input
	boot, _ := store.BootID() // an empty one counts as another boot
	m.rec = &store.Record{
		Version: store.Version, ID: in.ID, BootID: boot, OCIVersion: b.Spec.Version,
		Created: time.Now().UTC(), Phase: store.PhaseCreating,
		Bundle: b.Dir, Rootfs: b.RootPath(),
		Cgroup:       m.cgroupRecord(),
		Resctrl:      m.resctrl,
		PidNamespace: in.NewNamespace(specs.PIDNamespace), Rootless: in.Options.Rootless,
		NoPivot: in.Options.NoPivot, NoNewKeyring: in.Options.NoNewKeyring, Owner: uint32(in.Facts.EUID), Config: b.Raw,
	}
	return m.rec
}

// A draft is the record of a container that is nearly made.
type draft struct {
	*making
	rec     store.Record
	written *store.Draft
	err     error

	attendant *attendant
}

// write writes what the record will be.
func (d *draft) write(pid, calls int) {
	who, err := store.Identify(pid)
	if err != nil {
		d.err = fmt.Errorf("cannot identify init: %w", err)
		return
	}
	d.rec = *d.making.rec
	d.rec.Pid, d.rec.StartTime, d.rec.Phase = who.Pid, who.Start, store.PhaseCreated
	d.rec.InitCalls = calls
	d.rec.Cgroup.Made = d.host.Made
	if d.written, d.err = d.dir.Draft(&d.rec); d.err == nil {
		d.attendant = attending{d.options.Attend, &d.rec, d.input.Bundle, d.root, d.dir}.attendant()
	}
}

// save makes it the record, which is what it was till then.
func (d *draft) save(init *launch.Init) error {
	if d.written == nil && d.err == nil {
		d.write(init.Pid, init.Calls)
	}
	if d.err != nil {
		return d.err
	}
	if err := d.written.Save(); err != nil {
		return err
	}
	d.making.rec = &d.rec
	return nil
}
