package spec

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// LoadResources is ParseResources for a file. It never blocks, whatever kind of file stands
// there, and reads at most 16 MiB.
func LoadResources(name, path string) (*specs.LinuxResources, Problems) {
	raw, err := readRegular(path)
	if err == nil {
		return ParseResources(name, raw)
	}
	var ps Problems
	if !errors.As(err, &ps) {
		ps = unreadable(err)
	}
	for i := range ps {
		ps[i].File, ps[i].Contract = name, "" // the words are config.json's
	}
	return nil, ps
}
