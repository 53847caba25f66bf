package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// goNames are the files of golang.org/x/sys/unix that a column is taken from. Where there
// are two byte orders the numbers are the same.
var goNames = map[string]string{
	"x86_64": "amd64", "x86": "386", "aarch64": "arm64", "arm": "arm", "riscv64": "riscv64", "ppc64": "ppc64le",
	"ppc": "ppc", "s390x": "s390x", "loongarch64": "loong64", "mips": "mipsle", "mips64": "mips64le",
}

// headerNames are the headers that the columns of architectures which Go does not know are
// taken from: the Debian package and the file in it.
var headerNames = map[string][2]string{
	"s390":      {"linux-libc-dev-s390x-cross", "usr/s390x-linux-gnu/include/asm/unistd_32.h"},
	"mips64n32": {"linux-libc-dev-mips-cross", "usr/mips-linux-gnu/include/asm/unistd_n32.h"},
	"parisc":    {"linux-libc-dev-hppa-cross", "usr/hppa-linux-gnu/include/asm/unistd_32.h"},
	"parisc64":  {"linux-libc-dev-hppa-cross", "usr/hppa-linux-gnu/include/asm/unistd_64.h"},
	"m68k":      {"linux-libc-dev-m68k-cross", "usr/m68k-linux-gnu/include/asm/unistd_32.h"},
	"sh":        {"linux-libc-dev-sh4-cross", "usr/sh4-linux-gnu/include/asm/unistd_32.h"},
}

// bases are added by the kernel to the numbers of mips, so that each way of calling it has
// a range of its own; the columns hold them without.
var bases = map[string]int{"mips": 4000, "mips64": 5000}

// noCalls are names in the sources that are no system calls: gaps, and constants.
var noCalls = regexp.MustCompile(`^(unused\d*|reserved\d*|unused_\w+|syscall_mask|arch_specific_syscall|syscalls)$`)

// only64 exist on x86_64 but not on x32: arch/x86/entry/syscalls/syscall_64.tbl calls them
// "64". Those with a number have one of their own on x32.
var only64 = map[string]int{
	"rt_sigaction": 512, "rt_sigreturn": 513, "ioctl": 514, "readv": 515, "writev": 516, "recvfrom": 517,
	"sendmsg": 518, "recvmsg": 519, "execve": 520, "ptrace": 521, "rt_sigpending": 522, "rt_sigtimedwait": 523,
	"rt_sigqueueinfo": 524, "sigaltstack": 525, "timer_create": 526, "mq_notify": 527, "kexec_load": 528,
	"waitid": 529, "set_robust_list": 530, "get_robust_list": 531, "vmsplice": 532, "move_pages": 533,
	"preadv": 534, "pwritev": 535, "rt_tgsigqueueinfo": 536, "recvmmsg": 537, "sendmmsg": 538,
	"process_vm_readv": 539, "process_vm_writev": 540, "setsockopt": 541, "getsockopt": 542, "io_setup": 543,
	"io_submit": 544, "execveat": 545, "preadv2": 546, "pwritev2": 547,

	"uselib": -1, "_sysctl": -1, "create_module": -1, "get_kernel_syms": -1, "query_module": -1, "nfsservctl": -1,
	"set_thread_area": -1, "get_thread_area": -1, "epoll_ctl_old": -1, "epoll_wait_old": -1, "vserver": -1,
	"uretprobe": -1, "uprobe": -1, "map_shadow_stack": -1,
}

// armMore are the private calls of arm (arch/arm/include/uapi/asm/unistd.h), and the
// second name that one of its calls has there.
var armMore = map[string]int{
	"breakpoint": armPrivate + 1, "cacheflush": armPrivate + 2, "usr26": armPrivate + 3, "usr32": armPrivate + 4,
	"set_tls": armPrivate + 5, "get_tls": armPrivate + 6, "sync_file_range2": 341,
}

// pariscCacheflush is a call that libseccomp has, and the headers have not yet.
const pariscCacheflush = 356

// lastHeader is the last call of the headers, which are older than the other sources. Newer
// calls have the same number on every architecture.
const lastHeader = 450

// common is the first number from which all architectures count alike.
const common = 424

// updateFile writes the data file. Its sources are the files that golang.org/x/sys/unix
// generates from the headers of Linux; those headers themselves for architectures that Go
// does not know; and for x32 the numbers of x86_64 with the differences above. To get the
// headers: apt-get download the packages of headerNames, and dpkg -x each to a directory of
// its name.
func updateFile(path, sys, headers string) error {
	tables, err := goTables(sys)
	if err != nil {
		return err
	}
	for column, where := range headerNames {
		t, err := scan(filepath.Join(headers, where[0], where[1]), `(?m)^#define __NR_(\w+) \(?(?:__NR_Linux \+ )?(\d+)\)?$`)
		if err != nil {
			return err
		}
		for name, n := range tables["s390x"] {
			// The two ways of s390 have had one table for long.
			if n > lastHeader || column == "s390" && n >= common {
				t[name] = n
			}
		}
		if strings.HasPrefix(column, "parisc") {
			t["cacheflush"] = pariscCacheflush
		}
		tables[column] = t
	}
	return os.WriteFile(path, write(tables, filepath.Base(sys)), 0o644)
}

// goTables are the columns that come from the module, and x32.
func goTables(sys string) (map[string]map[string]int, error) {
	tables := map[string]map[string]int{}
	for column, arch := range goNames {
		t, err := scan(filepath.Join(sys, "unix", "zsysnum_linux_"+arch+".go"), `(?m)^\tSYS_(\w+)\s+= (\d+)$`)
		if err != nil {
			return nil, err
		}
		for name := range t {
			t[name] -= bases[column]
		}
		tables[column] = t
	}
	for name, n := range armMore {
		tables["arm"][name] = n
	}
	tables["x32"] = map[string]int{}
	for name, n := range tables["x86_64"] {
		if other, ok := only64[name]; !ok {
			tables["x32"][name] = n
		} else if other >= 0 {
			tables["x32"][name] = other
		}
	}
	return tables, nil
}

func scan(path, pattern string) (map[string]int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t := map[string]int{}
	for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
		n, err := strconv.Atoi(string(m[2]))
		if err != nil {
			return nil, err
		}
		if name := strings.ToLower(string(m[1])); !noCalls.MatchString(name) {
			t[name] = n
		}
	}
	if len(t) < 300 {
		return nil, fmt.Errorf("only %d calls in %s", len(t), path)
	}
	return t, nil
}

func write(tables map[string]map[string]int, version string) []byte {
	var names []string
	for _, t := range tables {
		for name := range t {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var b bytes.Buffer
	fmt.Fprintf(&b, "# System calls of Linux: names and numbers. Sources: golang.org/x/%s, unix/zsysnum_linux_*.go;\n", version)
	fmt.Fprintf(&b, "# %s up to %d: asm/unistd*.h of Linux 6.1 (Debian\n", strings.Join(slices.Sorted(maps.Keys(headerNames)), ", "), lastHeader)
	b.WriteString("# linux-libc-dev-*-cross 6.1.4-1cross1, mips: 6.1.8-1cross2); x32 and the private calls of arm: see update.go.\n")
	b.WriteString("# Numbers are without what is added to all of a column: bit 30 on x32; 4000, 5000 and 6000 on mips,\n")
	b.WriteString("# mips64 and mips64n32.\n")
	b.WriteString("# Written by: go run ./internal/gen -update -sys DIR -headers DIR\n#\n")
	fmt.Fprintf(&b, "# %-28s%s\n", "name", strings.Join(columns, " "))
	for _, name := range names {
		fmt.Fprintf(&b, "%-30s", name)
		for i, c := range columns {
			word := "-"
			if n, ok := tables[c][name]; ok {
				word = strconv.Itoa(n)
			}
			if i == len(columns)-1 {
				b.WriteString(word)
			} else {
				fmt.Fprintf(&b, "%-*s ", len(c), word)
			}
		}
		b.WriteString("\n")
	}
	return b.Bytes()
}
