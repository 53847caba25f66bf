package cgroup

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// The costs that every container pays.

func BenchmarkHierarchies(b *testing.B) {
	for b.Loop() {
		if _, err := Hierarchies(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateRemove(b *testing.B) {
	paths := pathsIn(b, "bench", hierarchies(b)...)
	for b.Loop() {
		g, err := Create(paths, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := g.Remove(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSteps reports the median cost of each step by itself, in microseconds, with a
// pause before each round as a single container has it.
func BenchmarkSteps(b *testing.B) {
	home := hierarchies(b)
	paths := pathsIn(b, "bench", home...)
	runtime.LockOSThread() // the thread that joins dies with the benchmark
	took := map[string][]time.Duration{}
	for b.Loop() {
		time.Sleep(5 * time.Millisecond)
		t0 := time.Now()
		Plan(paths, nil)
		t1 := time.Now()
		g, err := Create(paths, Options{})
		if err != nil {
			b.Fatal(err)
		}
		t2 := time.Now()
		files, err := g.JoinFiles()
		if err != nil {
			b.Fatal(err)
		}
		t3 := time.Now()
		for _, f := range files {
			if _, err := syscall.Write(int(f.Fd()), []byte("0")); err != nil {
				b.Fatal(err)
			}
		}
		t4 := time.Now()
		for _, f := range files {
			f.Close()
		}
		leaveGroups(b, home)
		t5 := time.Now()
		if err := g.Remove(context.Background()); err != nil {
			b.Fatal(err)
		}
		for name, d := range map[string]time.Duration{
			"plan": t1.Sub(t0), "create": t2.Sub(t1), "open": t3.Sub(t2), "join": t4.Sub(t3), "remove": time.Since(t5),
		} {
			took[name] = append(took[name], d)
		}
	}
	for name, d := range took {
		slices.Sort(d)
		b.ReportMetric(float64(d[len(d)/2].Microseconds()), name+"-µs")
	}
}

// BenchmarkStart compares ways of starting a process in the v2 group.
func BenchmarkStart(b *testing.B) {
	g := create(b, pathsIn(b, "bench", v2Tree(b)))
	for _, way := range []string{"outside", "born", "procs"} {
		b.Run(way, func(b *testing.B) {
			for b.Loop() {
				time.Sleep(5 * time.Millisecond)
				b.StopTimer()
				cmd := exec.Command("/bin/sleep", "1")
				cmd.SysProcAttr = &syscall.SysProcAttr{}
				if way == "born" {
					f, err := g.CgroupFD()
					if err != nil || f == nil {
						b.Skip("this host has no group of cgroup v2")
					}
					cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(f.Fd())
					defer f.Close()
				}
				b.StartTimer()
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				if way == "procs" {
					if err := writeIn(g.Paths[""], "cgroup.procs", itoa(cmd.Process.Pid)); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				b.StartTimer()
			}
		})
	}
}

func leaveGroups(tb testing.TB, home []Hierarchy) {
	for _, h := range home {
		if h.Name == "" {
			continue
		}
		if err := os.WriteFile(h.Mount+h.Own+"/tasks", []byte("0"), 0); err != nil {
			tb.Fatal(err)
		}
	}
}
