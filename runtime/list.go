package runtime

import (
	"errors"
	"os/user"
	"strconv"
)

// List returns the states of all containers, by id. A container that cannot be read is a
// row with an empty status and a warning. A root that does not exist is an error that
// wraps ENOENT.
func (rt *Runtime) List() ([]State, error) {
	root, err := rt.open(false)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	ids, err := root.List()
	if err != nil {
		return nil, err
	}
	states := make([]State, 0, len(ids))
	for _, id := range ids {
		s, err := rt.row(id)
		if errors.Is(err, ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			rt.warnf("container %s: %v", id, err)
			s = &State{ID: id, Status: "unknown"}
		}
		states = append(states, *s)
	}
	return states, nil
}

func (rt *Runtime) row(id string) (*State, error) {
	c, err := rt.Container(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s, err := c.State()
	if err != nil {
		return nil, err
	}
	s.Owner = ownerName(c.rec.Owner)
	return s, nil
}

func ownerName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "#" + id
}
