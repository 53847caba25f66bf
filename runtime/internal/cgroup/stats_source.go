package cgroup

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A source is a group whose files are read. A file that is not there holds nothing, which
// is what a controller or a kernel without it counts; other errors are kept, the first one.
type source struct {
	dir string
	err error
}

// text returns the content of a file.
func (s *source) text(file string) string {
	text, err := readIn(s.dir, file)
	switch {
	case err == nil:
		return text
	case gone(err), errors.Is(err, unix.EOPNOTSUPP): // EOPNOTSUPP: pressure is not measured
	case s.err == nil:
		s.err = pathError("read", s.dir+"/"+file, err)
	}
	return ""
}

// number returns the number in a file; "max" is the largest.
func (s *source) number(file string) uint64 { return parseCount(strings.TrimSpace(s.text(file))) }

// parseCount reads a number; what v1 calls -1 and v2 max is the largest.
func parseCount(text string) uint64 {
	if text == "max" || text == "-1" {
		return math.MaxUint64
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// numbers returns the "key value" lines of a file.
func (s *source) numbers(file string) map[string]uint64 {
	m := map[string]uint64{}
	for line := range strings.Lines(s.text(file)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			if n, err := strconv.ParseUint(value, 10, 64); err == nil {
				m[key] = n
			}
		}
	}
	return m
}

// list returns the numbers of a list such as "0-2,7".
func (s *source) list(file string) []uint16 {
	spans, ok := parseList(s.text(file))
	if !ok {
		return nil
	}
	var all []uint16
	for _, p := range spans {
		for n := p.from; n <= p.to; n++ {
			all = append(all, uint16(n))
		}
	}
	return all
}

// pressure reads "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and a line with full. It is
// nil if the kernel does not measure.
func (s *source) pressure(file string) *PSI {
	text := s.text(file)
	if text == "" {
		return nil
	}
	p := new(PSI)
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(line, " ")
		d := &p.Some
		if kind == "full" {
			d = &p.Full
		}
		for item := range strings.FieldsSeq(rest) {
			key, value, _ := strings.Cut(item, "=")
			f, _ := strconv.ParseFloat(value, 64)
			switch key {
			case "avg10":
				d.Avg10 = f
			case "avg60":
				d.Avg60 = f
			case "avg300":
				d.Avg300 = f
			case "total":
				d.Total = parseCount(value)
			}
		}
	}
	return p
}

// cpuset fills in where a group may run: the files of v1 without its prefix, or of v2.
func (s *source) cpuset(c *CPUSetStats, cpus, mems string) {
	c.CPUs, c.Mems = s.list(cpus), s.list(mems)
}

// hugetlb fills in what is known about each size of huge pages.
func (s *source) hugetlb(to map[string]HugetlbStats, usage, peak, failures func(prefix string) uint64) {
	for _, size := range pageSizes() {
		prefix := "hugetlb." + size
		if exists(s.dir+"/"+prefix+".max") || exists(s.dir+"/"+prefix+".limit_in_bytes") {
			to[size] = HugetlbStats{Usage: usage(prefix), Max: peak(prefix), Failcnt: failures(prefix)}
		}
	}
}
