// Package oracle compares the messages that package criu writes and reads by hand with
// those of go-criu, which are made by the compiler of protocol buffers. It is a module of
// its own, because nothing else here needs that library.
package oracle
