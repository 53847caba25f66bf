//go:build !linux

package spec

const openNonblock = 0
