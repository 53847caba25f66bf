package process

import (
	"bytes"
	"strconv"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// FindHome looks for the home directory of the process's user in the container's
// /etc/passwd. It decides about nothing but HOME: users are numbers here.
type FindHome struct{ UID uint32 }

// Home compiles the HOME of an environment that has none, or an empty one.
func Home(in *step.Input, emit step.Emit) error {
	if in.Process == nil {
		return nil
	}
	if _, ok := getenv(environment(in), "HOME"); !ok {
		emit("/process/user/uid", FindHome{in.Process.User.UID})
	}
	return nil
}

func (s FindHome) String() string {
	return "look up the home directory of user " + strconv.FormatUint(uint64(s.UID), 10)
}

// maxPasswd is how much of /etc/passwd is read.
const maxPasswd = 4 << 20

// Do sets Sandbox.Home. What cannot be read or does not know the user gives "/".
func (s FindHome) Do(b *step.Sandbox) error {
	home := "/"
	if data, err := readRegular(b.Root, "/etc/passwd", maxPasswd); err == nil {
		home = homeOf(data, s.UID)
	}
	b.Home = "HOME=" + home
	return nil
}

// homeOf finds the sixth field of the first line whose third is the number uid. Lines
// that have not seven fields are none (passwd(5)).
func homeOf(data []byte, uid uint32) string {
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if bytes.Count(line, []byte(":")) != 6 {
			continue
		}
		fields := bytes.Split(line, []byte(":"))
		n, err := strconv.ParseUint(string(fields[2]), 10, 32)
		if err != nil || uint32(n) != uid {
			continue
		}
		home := string(fields[5])
		if home == "" || len("HOME=")+len(home) >= step.HomeSize || bytes.IndexByte(fields[5], 0) >= 0 {
			return "/"
		}
		return home
	}
	return "/"
}
