package cgroup

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// isPageSize tells whether a name can be part of a file's name: "2MB".
func isPageSize(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z')
	})
}

// pageSizeOf returns the page size in the name of a file: "hugetlb.2MB.max".
func pageSizeOf(file string) string {
	size, _, _ := strings.Cut(strings.TrimPrefix(file, "hugetlb."), ".")
	return size
}

// unsupportedPageSize is what is said about a page size that this host does not have.
func unsupportedPageSize(size string) string {
	text := "unsupported " + strconv.Quote(size)
	if have := pageSizes(); len(have) > 0 {
		return text + ", one of " + strings.Join(have, ", ")
	}
	return text + ", this host has no huge pages"
}

// pageSizes returns the sizes of this host's huge pages, smallest first, as the files of
// the controller call them.
//
// Source: /sys/kernel/mm/hugepages (Documentation/admin-guide/mm/hugetlbpage.rst).
func pageSizes() []string {
	entries, err := os.ReadDir("/sys/kernel/mm/hugepages")
	if err != nil {
		return nil
	}
	var kib []uint64
	for _, e := range entries {
		text := strings.TrimSuffix(strings.TrimPrefix(e.Name(), "hugepages-"), "kB")
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			kib = append(kib, n)
		}
	}
	slices.Sort(kib)
	sizes := make([]string, 0, len(kib))
	for _, n := range kib {
		switch {
		case n >= 1<<20:
			sizes = append(sizes, strconv.FormatUint(n>>20, 10)+"GB")
		case n >= 1<<10:
			sizes = append(sizes, strconv.FormatUint(n>>10, 10)+"MB")
		default:
			sizes = append(sizes, strconv.FormatUint(n, 10)+"KB")
		}
	}
	return sizes
}
