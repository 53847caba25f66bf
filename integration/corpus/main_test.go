package corpus

import (
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// userID is an ordinary user.
const userID = 12345
