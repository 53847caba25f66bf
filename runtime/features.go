package runtime

import "github.com/opencontainers/runtime-spec/specs-go/features"

// Features is what this runtime can do, as `ocirt features` prints it.
func Features() *features.Features { return &features.Features{Annotations: map[string]string{}} }
