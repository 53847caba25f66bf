package tty

import (
	"os"
	"testing"

	"github.com/ocirt/ocirt/internal/leaks"
)

func TestMain(m *testing.M) { os.Exit(leaks.Run(m)) }
