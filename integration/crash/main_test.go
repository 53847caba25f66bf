package crash

import (
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }
