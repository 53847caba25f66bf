// Package boot checks that the virtual machine for the tests is what it is for: that what
// the tests there are promised is so, and that the runtime runs a first container.
package boot
