// Package profiles has the seccomp profiles that engines give their containers.
//
// What belongs here: profiles as they are, for tests and measurements. What does not:
// anything that reads them.
package profiles

import _ "embed" // for go:embed

// Docker is the default profile of Docker for a container without further capabilities, as
// linux.seccomp of a config.json has it on amd64: default.json of
// github.com/moby/profiles/seccomp v0.2.3 (Apache-2.0), with its conditions on architecture
// and capabilities resolved.
//
//go:embed docker.json
var Docker []byte
