// Package checkpoint tests checkpoint and restore: that what comes back is the container
// that went, in the place that config.json says; and that what fails leaves things as they
// were.
//
// It needs a CRIU that works on this host (`criu check`), and is skipped without one.
package checkpoint
