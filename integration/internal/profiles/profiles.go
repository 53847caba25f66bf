// Package profiles has the seccomp profiles that engines give their containers.
//
// What belongs here: profiles as they are, for tests and measurements. What does not:
// anything that reads them.
package profiles

import _ "embed" // for go:embed

// Docker is the default profile of Docker for a container without further capabilities, as
// linux.seccomp of a config.json has it.
//
//go:embed docker.json
var Docker []byte
