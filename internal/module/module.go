// Package module finds the files of this module, for tests and their tools.
package module

import (
	"errors"
	"os"
	"path/filepath"
)

// Root is the folder of go.mod, which is above the working directory of every test.
func Root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == "/" {
			return "", errors.New("there is no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}
