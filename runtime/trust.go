package runtime

import (
	"errors"
	"fmt"

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
	if err != nil && c.goingAway(err) {
		return fmt.Errorf("%w: %s", ErrNotFound, c.rec.ID)
	}
	if !errors.Is(err, store.ErrDiffers) {
		return err
	}
	rec, loadErr := c.dir.Load()
	if loadErr != nil && c.goingAway(loadErr) {
		return fmt.Errorf("%w: %s", ErrNotFound, c.rec.ID)
	}
	if loadErr != nil {
		return loadErr
	}
	if err = c.dir.Verify(rec); err == nil {
		c.rec = rec
	}
	return err
}

// goingAway reports whether a record cannot be read because the container is being deleted,
// or was, since it was opened: delete holds the lock while it takes the files away.
func (c *Container) goingAway(err error) bool {
	if !errors.Is(err, store.ErrNoRecord) {
		return c.dir.Gone()
	}
	if c.dir.Locked() {
		return false
	}
	free, lockErr := c.dir.TryLock()
	if errors.Is(lockErr, ErrNotFound) || lockErr == nil && !free {
		return true
	}
	if free {
		c.dir.Unlock()
	}
	return c.dir.Gone()
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
func (rt *Runtime) salvage(dir *store.Dir, id string) (*store.Record, error) {
	for _, load := range []func() (*store.Record, error){dir.LoadIntent, dir.Load} {
		if rec, err := load(); rec != nil && (err == nil || errors.Is(err, store.ErrNewer)) {
			return rec, nil
		}
	}
	return rt.lost(id)
}
