// Package criu speaks to CRIU, the program that saves the processes of a container and
// makes them again: it starts `criu swrk`, which serves one client over a socket, and sends
// it requests as protocol buffers (https://criu.org/RPC).
//
// What belongs here: finding and starting the program, its messages, its log. What does
// not: containers, which mounts and descriptors are whose, cgroups.
//
// The messages are written and read by hand, because a library of protocol buffers costs
// every start of ocirt more than all of them are worth. Numbers and meanings of fields are
// those of images/rpc.proto of CRIU.
package criu
