package cgroup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A setting is one value for one file of the container's group.
type setting struct {
	from       string // the property below linux.resources
	controller string // "" for a key of unified, which is its own
	file       string
	value      string
	orFile     string // to be used if there is no file
	orValue    string
	may        bool   // no file is no error
	fresh      bool   // a new group has this value anyway
	key        string // the line of file that this is about, in a file of many: "8:16", a name
	part       string // the part of that line, if it has many
}

// id tells what a setting is about: two of the same id cannot hold at the same time.
func (s setting) id() string { return s.file + " " + s.key + " " + s.part }

// A list collects settings. Its methods leave out what is not given.
type list struct {
	settings []setting
	err      error // the first thing that cannot be expressed
}

// settings translates limits for this group's kind of host.
func (g *Group) settings(r *specs.LinuxResources) list {
	translate := settingsV1
	if g.pureV2() {
		translate = settingsV2
	}
	l := translate(r)
	if g.Unit != nil {
		fitUnit(l.settings)
	}
	return l
}

func (g *Group) pureV2() bool {
	_, ok := g.Paths[""]
	return ok && len(g.Paths) == 1
}

// add adds a setting and returns it, to say more about it.
func (l *list) add(from, controller, file, value string) *setting {
	l.settings = append(l.settings, setting{from: from, controller: controller, file: file, value: value})
	return &l.settings[len(l.settings)-1]
}

// fail notes that a property cannot be expressed.
func (l *list) fail(from, text string) {
	if l.err == nil {
		l.err = &LimitError{from, errors.New(text)}
	}
}

func (l *list) number(from, controller, file string, v *int64) {
	if v != nil && *v != 0 { // 0 means "not given" to all callers
		l.add(from, controller, file, strconv.FormatInt(*v, 10))
	}
}

func (l *list) unsigned(from, controller, file string, v *uint64) {
	if v != nil && *v != 0 {
		l.add(from, controller, file, strconv.FormatUint(*v, 10))
	}
}

func (l *list) cpuset(from, file, value string) {
	if value != "" {
		l.add(from, "cpuset", file, value)
	}
}

// device adds a setting for the line of one device.
func (l *list) device(from, controller, file string, major, minor int64, value string) *setting {
	key := strconv.FormatInt(major, 10) + ":" + strconv.FormatInt(minor, 10)
	s := l.add(from, controller, file, key+" "+value)
	s.key = key
	return s
}

// A place is where a setting goes on this host.
type place struct {
	setting
	dir string
}

// place finds the file of a setting. There is none, and no error, for a setting that is
// fulfilled without one.
func (g *Group) place(s setting) (p place, there bool, err error) {
	p, there, err = g.controllerOf(s)
	if err != nil || !there {
		return p, there, err
	}
	if exists(p.dir + "/" + p.file) {
		return p, true, nil
	}
	if s.orFile != "" && exists(p.dir+"/"+s.orFile) {
		p.file, p.value = s.orFile, s.orValue
		return p, true, nil
	}
	if s.may {
		return p, false, nil
	}
	return p, false, g.missing(p)
}

// controllerOf finds the directory for a setting.
func (g *Group) controllerOf(s setting) (p place, there bool, err error) {
	if s.controller == "" {
		s.controller, _, _ = strings.Cut(s.file, ".")
	}
	dir, _, ok := g.Dir(s.controller)
	p = place{s, dir}
	if !ok && !s.may {
		err = g.missing(p)
	}
	return p, ok, err
}

// write carries out one setting of a new container: without looking first.
func (g *Group) write(s setting) error {
	p, there, err := g.controllerOf(s)
	if err != nil || !there {
		return err
	}
	err = g.force(p)
	if errors.Is(err, unix.ENOENT) && s.orFile != "" {
		p.file, p.value = s.orFile, s.orValue
		err = p.set(p.value)
	}
	switch {
	case err == nil, errors.Is(err, unix.ENOENT) && s.may:
		return nil
	case errors.Is(err, unix.ENOENT):
		return g.missing(p)
	}
	return g.refused(p, err)
}

// set writes a value. Nothing at all would be no command to the kernel, an empty line is.
func (p place) set(value string) error {
	if value == "" {
		value = "\n"
	}
	return writeIn(p.dir, p.file, value)
}

// writeInOrder writes settings such that each is allowed at its moment: some values must not
// contradict others, such as the limit for memory and that for memory with swap, or quota,
// period and burst, and which one has to go first depends on what they are now. So what is
// refused as a contradiction is tried again after the others, as long as that helps.
func writeInOrder[T any](todo []T, write func(T) error) error {
	for {
		var refused []T
		var first error
		for _, s := range todo {
			err := write(s)
			switch {
			case err == nil:
			case errors.Is(err, errContradiction):
				refused = append(refused, s)
				if first == nil {
					first = err
				}
			default:
				return err
			}
		}
		if len(refused) == 0 || len(refused) == len(todo) {
			return first
		}
		todo = refused
	}
}

// readNumber reads a file that holds one number.
func readNumber(dir, file string) (int64, error) {
	text, err := readIn(dir, file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s of cgroup %s holds %q, not a number", file, dir, text)
	}
	return n, nil
}

// errContradiction is how the kernel calls a value that does not go with another one.
const errContradiction = unix.EINVAL
