// Package spec reads an OCI runtime configuration: it loads config.json, fills
// in what the runtime specification defines as default, and says everything
// that is wrong with it, each time with the place in the file.
//
// What belongs here: anything that can be decided from the file alone, and the
// few checks of the bundle's own directory tree (CheckFiles). What does not:
// kernels, processes, namespaces, cgroups. A config must be checkable on any
// machine, by anybody, without privileges, so this package imports neither
// syscall nor os/exec.
//
// The road is Load, Bundle.Default, Bundle.Validate, Bundle.CheckFiles,
// Bundle.Unsupported; Check walks all of it.
package spec

//go:generate go run ./internal/gen
