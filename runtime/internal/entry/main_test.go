package entry

import (
	"os"
	"testing"

	"github.com/ocirt/ocirt/internal/leaks"
)

func TestMain(m *testing.M) {
	if os.Getenv(emulator) != "" {
		os.Exit(m.Run()) // an emulator opens files of its own
	}
	os.Exit(leaks.Run(m))
}
