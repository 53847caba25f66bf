package rootfs

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// parseIDMap reads the ranges of option idmap=uids=FILE-MOUNT-SIZE#…;gids=…: files of the
// owner FILE on disk belong to MOUNT through the mount. MOUNT is an id of ocirt's user
// namespace or, with "@" before the range, of the container's.
func parseIDMap(in *step.Input, text string) (uids, gids []specs.LinuxIDMapping, err error) {
	l := in.Bundle.Spec.Linux
	if l == nil {
		l = &specs.Linux{}
	}
	for _, part := range strings.Split(text, ";") {
		key, ranges, _ := strings.Cut(part, "=")
		switch key {
		case "uids":
			uids, err = parseRanges(ranges, l.UIDMappings)
		case "gids":
			gids, err = parseRanges(ranges, l.GIDMappings)
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return uids, gids, nil
}

func parseRanges(text string, container []specs.LinuxIDMapping) ([]specs.LinuxIDMapping, error) {
	var list []specs.LinuxIDMapping
	for _, word := range strings.Split(text, "#") {
		bare, relative := strings.CutPrefix(word, "@")
		var n [3]uint32
		fields := strings.Split(bare, "-")
		if len(fields) != len(n) {
			return nil, fmt.Errorf("range %q is not FILE-MOUNT-SIZE", word)
		}
		for i, f := range fields {
			v, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("range %q: %q is not an id", word, f)
			}
			n[i] = uint32(v)
		}
		m := specs.LinuxIDMapping{ContainerID: n[0], HostID: n[1], Size: n[2]}
		if relative {
			host, ok := hostID(container, m.HostID, m.Size)
			if !ok {
				return nil, fmt.Errorf("range %q is not mapped in the container", word)
			}
			m.HostID = host
		}
		list = append(list, m)
	}
	return list, nil
}

// hostID is what a range of the container's ids begins with on the host.
func hostID(maps []specs.LinuxIDMapping, id, size uint32) (uint32, bool) {
	for _, m := range maps {
		if id >= m.ContainerID && uint64(id)+uint64(size) <= uint64(m.ContainerID)+uint64(m.Size) {
			return m.HostID + (id - m.ContainerID), true
		}
	}
	return 0, false
}
