package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// goNames are the files of golang.org/x/sys/unix that a column is taken from.
var goNames = map[string]string{
	"x86_64": "amd64", "x86": "386", "aarch64": "arm64", "arm": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le",
	"s390x": "s390x", "loongarch64": "loong64",
}

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

// common is the first number from which all architectures count alike, and lastHeader the
// last call of the headers of s390, which are older than those of the others.
const (
	common     = 424
	lastHeader = 450
)

// updateFile writes the data file. Its sources are the files that golang.org/x/sys/unix
// generates from the headers of Linux; for s390, which Go does not know, those headers;
// and for x32 the numbers of x86_64 with the differences above.
func updateFile(path, sys, s390 string) error {
	tables := map[string]map[string]int{}
	for column, arch := range goNames {
		t, err := scan(filepath.Join(sys, "unix", "zsysnum_linux_"+arch+".go"), `(?m)^\tSYS_(\w+)\s+= (\d+)$`)
		if err != nil {
			return err
		}
		delete(t, "syscall_mask") // these two are no calls
		delete(t, "arch_specific_syscall")
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
	t, err := scan(filepath.Join(s390, "unistd_32.h"), `(?m)^#define __NR_(\w+) (\d+)$`)
	if err != nil {
		return err
	}
	for name, n := range tables["s390x"] {
		if n > lastHeader {
			t[name] = n
		}
	}
	tables["s390"] = t
	return os.WriteFile(path, write(tables, filepath.Base(sys)), 0o644)
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
		t[strings.ToLower(string(m[1]))] = n
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
	fmt.Fprintf(&b, "# s390 up to %d: asm/unistd_32.h of Linux 6.1 (Debian linux-libc-dev-s390x-cross 6.1.4);\n", lastHeader)
	b.WriteString("# x32 and the private calls of arm: see update.go. The numbers of x32 are without bit 30.\n")
	b.WriteString("# Written by: go run ./internal/gen -update -sys DIR -s390 DIR\n#\n")
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
