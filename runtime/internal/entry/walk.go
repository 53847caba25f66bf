package entry

import "unsafe"

// The walker is the whole of a program's process: it has no stack, uses no memory but the
// image's data segment, and is copied out of this program's text, so it must not refer to
// any symbol. For each call it
//
//  1. loads six arguments, following those that are slots (32 bits, sign-extended);
//  2. makes the system call;
//  3. on an errno that the call does not allow writes call and errno into the record,
//     sends it to the report descriptor (MSG_NOSIGNAL), and exits with status 1;
//  4. keeps the low 32 bits of the result if asked to (errnos that are allowed are not
//     kept);
//  5. goes on with the next call, or elsewhere if the result is zero and a place is given.
//
// It is never called by Go.
func walk()     //nolint:unused // its address is taken in assembler
func walkStop() //nolint:unused // the same

// Addresses of the walker's first byte and of the byte after its last.
var walkStart, walkEnd unsafe.Pointer
