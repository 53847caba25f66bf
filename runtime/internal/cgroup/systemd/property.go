package systemd

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
)

// A NameError is why something cannot be the name of a property.
type NameError struct{ Name string }

func (e *NameError) Error() string {
	return fmt.Sprintf("%q: the name of a property has only letters, and at least 3", e.Name)
}

// ParseProperty reads a property whose value is text, see [ParseValue]. A name in "Sec", as
// unit files have it, becomes the one in "USec" that the bus knows, and its value, which may
// be a fraction, is converted. The error is a [NameError] if it is about the name.
func ParseProperty(name, text string) (Property, error) {
	if len(name) < 3 || !onlyOf(name, letters) {
		return Property{}, &NameError{name}
	}
	v, err := ParseValue(text)
	if err != nil {
		return Property{}, err
	}
	stem, inSeconds := strings.CutSuffix(name, "Sec")
	if inSeconds && stem != "" && stem[len(stem)-1] >= 'a' {
		us, err := microseconds(v)
		return Property{stem + "USec", us}, err
	}
	return Property{name, v}, nil
}

// microseconds converts a number of seconds.
func microseconds(v dbus.Value) (dbus.Value, error) {
	var seconds float64
	switch n := v.(type) {
	case dbus.Byte:
		seconds = float64(n)
	case dbus.Int16:
		seconds = float64(n)
	case dbus.Uint16:
		seconds = float64(n)
	case dbus.Int32:
		seconds = float64(n)
	case dbus.Uint32:
		seconds = float64(n)
	case dbus.Int64:
		seconds = float64(n)
	case dbus.Uint64:
		seconds = float64(n)
	case dbus.Double:
		seconds = float64(n)
	default:
		return nil, errors.New("not a number of seconds")
	}
	us := math.Round(seconds * 1e6)
	switch {
	case math.IsInf(us, 1):
		return dbus.Uint64(math.MaxUint64), nil // systemd's "infinity"
	case !(us >= 0 && us < math.MaxUint64):
		return nil, fmt.Errorf("%v is not a number of seconds", seconds)
	}
	return dbus.Uint64(us), nil
}
