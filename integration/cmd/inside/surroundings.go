package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// readNamespaces returns the links in /proc/self/ns, such as "uts:[4026531838]".
func readNamespaces() (map[string]string, error) {
	entries, err := os.ReadDir("/proc/self/ns")
	if err != nil {
		return nil, err
	}
	m := map[string]string{}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/ns/" + e.Name()); err == nil {
			m[e.Name()] = to
		}
	}
	return m, nil
}

// idMaps holds lines of three numbers: inside, outside, how many.
type idMaps struct {
	UID       [][]int `json:"uid"`
	GID       [][]int `json:"gid"`
	Setgroups string  `json:"setgroups"`
}

func readMaps() (*idMaps, error) {
	var m idMaps
	for _, f := range []struct {
		path string
		to   *[][]int
	}{{"/proc/self/uid_map", &m.UID}, {"/proc/self/gid_map", &m.GID}} {
		lines, err := readLines(f.path)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			*f.to = append(*f.to, numbers(l))
		}
	}
	var err error
	m.Setgroups, err = readWord("/proc/self/setgroups")
	return &m, err
}

// system is what uname says.
type system struct {
	Hostname   string `json:"hostname"`
	Domainname string `json:"domainname"`
	Machine    string `json:"machine"` // changes with the personality
	Release    string `json:"release"`
}

func readSystem() (*system, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, err
	}
	return &system{
		Hostname: unix.ByteSliceToString(u.Nodename[:]), Domainname: unix.ByteSliceToString(u.Domainname[:]),
		Machine: unix.ByteSliceToString(u.Machine[:]), Release: unix.ByteSliceToString(u.Release[:]),
	}, nil
}

// A mountEntry is a line of /proc/self/mountinfo.
type mountEntry struct {
	Root        string   `json:"root"`
	Point       string   `json:"point"`
	Options     []string `json:"options"`
	Propagation []string `json:"propagation,omitempty"` // such as "shared:1", "master:2", "unbindable"
	Type        string   `json:"type"`
	Source      string   `json:"source"`
	Super       []string `json:"super"`
}

func readMounts() ([]mountEntry, error) {
	lines, err := readLines("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var list []mountEntry
	for _, l := range lines {
		left, right, ok := strings.Cut(l, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 6 || len(g) < 2 {
			return nil, fmt.Errorf("cannot read mountinfo line %q", l)
		}
		m := mountEntry{Root: f[3], Point: f[4], Options: strings.Split(f[5], ","), Propagation: f[6:], Type: g[0], Source: g[1]}
		if len(g) > 2 {
			m.Super = strings.Split(g[2], ",")
		}
		list = append(list, m)
	}
	return list, nil
}

type networkInterface struct {
	Name      string   `json:"name"`
	Index     int      `json:"index"`
	MTU       int      `json:"mtu"`
	Flags     []string `json:"flags"` // "up", "loopback", "broadcast", ...
	Hardware  string   `json:"hardware,omitempty"`
	Addresses []string `json:"addresses"`
}

func readInterfaces() ([]networkInterface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	list := []networkInterface{}
	for _, i := range all {
		n := networkInterface{
			Name: i.Name, Index: i.Index, MTU: i.MTU, Hardware: i.HardwareAddr.String(),
			Flags: strings.Split(i.Flags.String(), "|"), Addresses: []string{},
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			n.Addresses = append(n.Addresses, a.String())
		}
		list = append(list, n)
	}
	return list, nil
}
