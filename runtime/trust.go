package runtime

import (
	"errors"

	"github.com/ocirt/ocirt/runtime/internal/store"
)

// trust is asked before anything is done on the word of the record to a process or a
// cgroup: somebody may have changed what it says of them. A record that is being replaced
// by create just now is read again.
func (c *Container) trust() error {
	if c.rec.Token == "" {
		return nil // there is no record yet, and nothing in it
	}
	err := c.dir.Verify(c.rec)
	if !errors.Is(err, store.ErrDiffers) {
		return err
	}
	rec, loadErr := c.dir.Load()
	if loadErr != nil {
		return loadErr
	}
	if err = c.dir.Verify(rec); err == nil {
		c.rec = rec
	}
	return err
}

// distrusted reports whether an error of Delete is one that only delete --force gets past,
// by acting on the intent record instead.
func distrusted(err error) bool {
	var corrupt *store.CorruptError
	return errors.Is(err, store.ErrDiffers) || errors.Is(err, store.ErrNewer) || errors.As(err, &corrupt)
}

// salvage returns the record that delete --force acts upon: the intent, even that of a newer
// ocirt; if it is lost, the record; if that is lost too, what a container of this id has by
// default.
func salvage(dir *store.Dir, id string) (*store.Record, error) {
	for _, load := range []func() (*store.Record, error){dir.LoadIntent, dir.Load} {
		if rec, err := load(); rec != nil && (err == nil || errors.Is(err, store.ErrNewer)) {
			return rec, nil
		}
	}
	return lost(id)
}
