// Package dbus is the little of D-Bus that a caller of one service needs: a connection,
// method calls that can be sent before earlier ones are answered, and the signals that
// match. Everything is synchronous, bounded in time and in memory, and done with the
// socket itself.
//
// What belongs here: bytes and messages. What does not: what they mean to a service.
//
// The common library is not used, because its packages (net, crypto) cost every start of
// the program 0.1 ms of initialisers, also where no bus is ever spoken to.
//
// Source: the D-Bus Specification, version 0.43.
package dbus

import (
	"errors"
	"fmt"
)

// An Error is what a service answers instead of a result.
type Error struct {
	Name    string // "org.freedesktop.DBus.Error.AccessDenied"
	Message string // for humans; may be empty
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Name
	}
	return e.Message + " (" + e.Name + ")"
}

// Is reports whether err is an answer of this name.
func Is(err error, name string) bool {
	var e *Error
	return errors.As(err, &e) && e.Name == name
}

// ErrTimeout is why nothing more is waited for.
var ErrTimeout = errors.New("no answer in time")

// ErrClosed is the end of the connection by the other side.
var ErrClosed = errors.New("the connection was closed")

// errMalformed is for what no peer may send.
func errMalformed(what string) error { return fmt.Errorf("malformed message: %s", what) }
