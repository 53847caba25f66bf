package tour

import (
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// userID is an ordinary user, and the id of their group.
const userID = 12345

// A stance is who makes the containers of a test.
type stance struct {
	name    string
	runtime *lab.Runtime
	edit    lab.Edit // what every configuration needs
	uid     int      // on the host, of the container's root
}
