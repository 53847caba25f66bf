package runtime

import (
	"os"

	"golang.org/x/sys/unix"
)

// A prelude is what Start needs of a container that waits: a connection to init, and init's
// root, to look at if it cannot become the container's program.
type prelude struct {
	conn int
	root *os.File // nil if there is none
}

// close may be called twice, and of nil.
func (p *prelude) close() {
	if p != nil && p.conn >= 0 {
		unix.Close(p.conn)
		p.conn = -1
		p.root.Close()
	}
}

// built begins what Start will need, while init prepares itself and there is nothing else to
// do. What cannot be had yet Start tries to get, and says why if it cannot.
func (m *making) built(pid int) {
	if !m.options.Hold {
		return // Start is another process's
	}
	if conn, err := connect(m.dir); err == nil {
		m.prelude = &prelude{conn, openRoot(pid, m.rec.Rootfs)}
	}
}

// begin is the beginning of Start, unless it was made with the container.
func (c *Container) begin() (*prelude, error) {
	if c.self != nil && c.self.prelude != nil {
		p := c.self.prelude
		c.self.prelude = nil
		return p, nil
	}
	conn, err := connect(c.dir)
	if err != nil {
		return nil, err
	}
	return &prelude{conn: conn}, nil
}
