package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A report is everything the program sees. Sections that cannot be read are left out
// and named in Errors, with the cause.
type report struct {
	Process    *processInfo       `json:"process,omitempty"`
	Identity   *identity          `json:"identity,omitempty"`
	Namespaces map[string]string  `json:"namespaces,omitempty"`
	Maps       *idMaps            `json:"maps,omitempty"`
	System     *system            `json:"system,omitempty"`
	Mounts     []mountEntry       `json:"mounts,omitempty"`
	Interfaces []networkInterface `json:"interfaces,omitempty"`
	Cgroups    []string           `json:"cgroups,omitempty"`
	Limits     map[string]limit   `json:"limits,omitempty"`
	Scheduling *scheduling        `json:"scheduling,omitempty"`
	Clocks     *clocks            `json:"clocks,omitempty"`
	Files      map[string]string  `json:"files,omitempty"`
	Keyring    string             `json:"keyring,omitempty"`
	Labels     map[string]string  `json:"labels,omitempty"` // of security modules, by attribute
	Memory     string             `json:"memoryPolicy,omitempty"`
	Errors     map[string]string  `json:"errors,omitempty"`
}

// A section fills in one part of a report.
type section struct {
	name string
	fill func(*report) error
}

func sections() []section {
	return []section{
		// Descriptors first: reading anything else opens some.
		{"files", func(r *report) (err error) { r.Files, err = openFiles(); return }},
		{"process", func(r *report) (err error) { r.Process, err = readProcess(); return }},
		{"identity", func(r *report) (err error) { r.Identity, err = readIdentity(); return }},
		{"namespaces", func(r *report) (err error) { r.Namespaces, err = readNamespaces(); return }},
		{"maps", func(r *report) (err error) { r.Maps, err = readMaps(); return }},
		{"system", func(r *report) (err error) { r.System, err = readSystem(); return }},
		{"mounts", func(r *report) (err error) { r.Mounts, err = readMounts(); return }},
		{"interfaces", func(r *report) (err error) { r.Interfaces, err = readInterfaces(); return }},
		{"cgroups", func(r *report) (err error) { r.Cgroups, err = readLines("/proc/self/cgroup"); return }},
		{"limits", func(r *report) (err error) { r.Limits, err = readLimits(); return }},
		{"scheduling", func(r *report) (err error) { r.Scheduling, err = readScheduling(); return }},
		{"clocks", func(r *report) (err error) { r.Clocks, err = readClocks(); return }},
		{"labels", func(r *report) (err error) { r.Labels, err = readLabels(); return }},
		{"memory", func(r *report) (err error) { r.Memory, err = memoryPolicy(); return }},
		{"keyring", func(r *report) (err error) { r.Keyring, err = sessionKeyring(); return }},
	}
}

func reportCommands() []command {
	return []command{
		{"report", "[SECTION...]", 0, printReport},
		{"ns", "KIND", 1, func(args []string) error { return printLink("/proc/self/ns/" + args[0]) }},
		{"pid", "", 0, func([]string) error { fmt.Println(os.Getpid()); return nil }},
		{"hostname", "", 0, func([]string) error {
			name, err := os.Hostname()
			fmt.Println(name)
			return err
		}},
		{"sysctl", "NAME", 1, func(args []string) error {
			return printFile("/proc/sys/" + strings.ReplaceAll(args[0], ".", "/"))
		}},
		{"env", "NAME", 1, func(args []string) error { fmt.Println(os.Getenv(args[0])); return nil }},
	}
}

func printReport(wanted []string) error {
	var r report
	known := 0
	for _, s := range sections() {
		if len(wanted) > 0 && !slices.Contains(wanted, s.name) {
			continue
		}
		known++
		if err := s.fill(&r); err != nil {
			if r.Errors == nil {
				r.Errors = map[string]string{}
			}
			r.Errors[s.name] = err.Error()
		}
	}
	if known < len(wanted) {
		return fmt.Errorf("no such section in %q", wanted)
	}
	out, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%s\n", out)
	return err
}

func readLines(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimRight(string(data), "\n"), "\n"), nil
}

func readWord(path string) (string, error) {
	data, err := os.ReadFile(path)
	return strings.TrimSpace(string(data)), err
}

func printFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(data)
	return err
}

func printLink(path string) error {
	to, err := os.Readlink(path)
	if err == nil {
		fmt.Println(to)
	}
	return err
}
