package netdev

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// A link is a network device of one namespace.
type link struct {
	index int32
	name  string
	up    bool
}

// linkHeader is struct ifinfomsg.
func linkHeader(index int32, flags, change uint32) []byte {
	ne := binary.NativeEndian
	b := ne.AppendUint32(nil, 0) // family, type
	b = ne.AppendUint32(b, uint32(index))
	b = ne.AppendUint32(b, flags)
	return ne.AppendUint32(b, change)
}

func parseLink(b []byte) (l link, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return l, errMalformed
	}
	ne := binary.NativeEndian
	l.index, l.up = int32(ne.Uint32(b[4:])), ne.Uint32(b[8:])&unix.IFF_UP != 0
	attrs, err := parseAttrs(b[unix.SizeofIfInfomsg:])
	for _, a := range attrs {
		if a.kind == unix.IFLA_IFNAME {
			l.name = string(bytes.TrimRight(a.value, "\x00"))
		}
	}
	return l, err
}

// find looks a device up by its name. ok is false if there is none.
func (c *conn) find(name string) (l link, ok bool, err error) {
	err = c.ask(unix.RTM_GETLINK, 0, appendAttrs(linkHeader(0, 0, 0), text(unix.IFLA_IFNAME, name)), func(b []byte) (err error) {
		l, err = parseLink(b)
		return err
	})
	if errors.Is(err, unix.ENODEV) {
		return link{}, false, nil
	}
	return l, err == nil, err
}

// links are all devices of the namespace.
func (c *conn) links() ([]link, error) {
	var list []link
	err := c.ask(unix.RTM_GETLINK, unix.NLM_F_DUMP, linkHeader(0, 0, 0), func(b []byte) error {
		l, err := parseLink(b)
		list = append(list, l)
		return err
	})
	return list, err
}

// move gives a device to another namespace under a new name, in one request, so that at no
// time it is there under the old one.
func (c *conn) move(l link, netns uintptr, name string) error {
	body := appendAttrs(linkHeader(l.index, 0, 0), number(unix.IFLA_NET_NS_FD, uint32(netns)), text(unix.IFLA_IFNAME, name))
	return c.ask(unix.RTM_NEWLINK, 0, body, nil)
}

// raise sets a device up.
func (c *conn) raise(l link) error {
	return c.ask(unix.RTM_NEWLINK, 0, linkHeader(l.index, unix.IFF_UP, unix.IFF_UP), nil)
}

// An address is one of a device, in the kernel's own words.
type address struct {
	family, prefix, flags, scope uint8
	attrs                        []attr
}

// ifaProto says who made an address (include/uapi/linux/if_addr.h, IFA_PROTO).
const ifaProto = 11

// kept are the attributes of an address that are its own. Not among them: its index, and
// the label, which must begin with the device's name.
func kept(kind uint16) bool {
	switch kind {
	case unix.IFA_ADDRESS, unix.IFA_LOCAL, unix.IFA_BROADCAST, unix.IFA_ANYCAST, unix.IFA_CACHEINFO,
		unix.IFA_FLAGS, unix.IFA_RT_PRIORITY, ifaProto:
		return true
	}
	return false
}

// permanent are the addresses of a device that its owner gave it for the outside world:
// neither learned nor leased, and of global scope (runtime-spec, config-linux, network
// devices).
func (c *conn) permanent(l link) ([]address, error) {
	var list []address
	header := make([]byte, unix.SizeofIfAddrmsg)
	err := c.ask(unix.RTM_GETADDR, unix.NLM_F_DUMP, header, func(b []byte) error {
		if len(b) < unix.SizeofIfAddrmsg {
			return errMalformed
		}
		if int32(binary.NativeEndian.Uint32(b[4:])) != l.index {
			return nil
		}
		a := address{family: b[0], prefix: b[1], flags: b[2], scope: b[3]}
		attrs, err := parseAttrs(b[unix.SizeofIfAddrmsg:])
		flags := uint32(a.flags)
		for _, at := range attrs {
			if at.kind == unix.IFA_FLAGS && len(at.value) == 4 {
				flags = binary.NativeEndian.Uint32(at.value)
			}
			if kept(at.kind) {
				a.attrs = append(a.attrs, attr{at.kind, bytes.Clone(at.value)})
			}
		}
		if flags&unix.IFA_F_PERMANENT != 0 && a.scope == unix.RT_SCOPE_UNIVERSE {
			list = append(list, a)
		}
		return err
	})
	return list, err
}

// add gives a device an address. What the kernel found out about it on the old place, and
// will find out again, is left out.
func (c *conn) add(l link, a address) error {
	const found = unix.IFA_F_PERMANENT | unix.IFA_F_SECONDARY | unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED |
		unix.IFA_F_DEPRECATED | unix.IFA_F_STABLE_PRIVACY
	b := []byte{a.family, a.prefix, a.flags &^ (found & 0xff), a.scope}
	b = binary.NativeEndian.AppendUint32(b, uint32(l.index))
	for _, at := range a.attrs {
		if at.kind == unix.IFA_FLAGS && len(at.value) == 4 {
			at = number(unix.IFA_FLAGS, binary.NativeEndian.Uint32(at.value)&^found)
		}
		b = appendAttrs(b, at)
	}
	return c.ask(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, b, nil)
}
