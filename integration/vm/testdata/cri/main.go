// Command cri-lite is just enough of crictl, which Debian does not package, to drive the CRI
// service of containerd. It is compiled in the image, with the libraries of Debian.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	v1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const dir = "/run/cri-lite"

func die(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cri-lite:", err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) < 2 {
		die(fmt.Errorf("usage: cri-lite version|handlers|runp|podstatus|run|exec|state|reason|update|stats|stop|rm|stopp|rmp"))
	}
	fs := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	name := fs.String("name", "x", "pod or container name")
	uid := fs.String("uid", "u", "pod uid")
	mem := fs.Int64("mem", 0, "memory limit, bytes")
	quota := fs.Int64("cpuquota", 0, "cpu quota, microseconds in 100 ms")
	userns := fs.String("userns", "", "HOSTID:SIZE")
	rro := fs.String("rro", "", "SRC:DST mounted recursively read-only")
	tty := fs.Bool("tty", false, "terminal")
	priv := fs.Bool("privileged", false, "privileged")
	die(fs.Parse(os.Args[2:]))
	a := fs.Args()
	sock := os.Getenv("CRI_SOCKET")
	if sock == "" {
		sock = "unix:///run/containerd/containerd.sock"
	}
	conn, err := grpc.Dial(sock, grpc.WithTransportCredentials(insecure.NewCredentials()))
	die(err)
	c := v1.NewRuntimeServiceClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), 80*time.Second)
	defer cancel()

	nsopt := &v1.NamespaceOption{Pid: v1.NamespaceMode_CONTAINER}
	if *userns != "" {
		h, n, _ := strings.Cut(*userns, ":")
		hi, _ := strconv.Atoi(h)
		ni, _ := strconv.Atoi(n)
		m := []*v1.IDMapping{{HostId: uint32(hi), Length: uint32(ni)}}
		nsopt.UsernsOptions = &v1.UserNamespace{Mode: v1.NamespaceMode_POD, Uids: m, Gids: m}
	}
	def := &v1.SecurityProfile{ProfileType: v1.SecurityProfile_RuntimeDefault}
	res := &v1.LinuxContainerResources{MemoryLimitInBytes: *mem, CpuQuota: *quota}
	if *quota != 0 {
		res.CpuPeriod = 100000
	}
	status := func(id string) *v1.ContainerStatus {
		r, err := c.ContainerStatus(ctx, &v1.ContainerStatusRequest{ContainerId: id})
		die(err)
		return r.Status
	}

	switch os.Args[1] {
	case "version":
		r, err := c.Version(ctx, &v1.VersionRequest{})
		die(err)
		fmt.Println(r.RuntimeName, r.RuntimeVersion)
	case "handlers":
		r, err := c.Status(ctx, &v1.StatusRequest{})
		die(err)
		for _, h := range r.RuntimeHandlers {
			fmt.Printf("%s userns=%v rro=%v\n", h.Name, h.Features.GetUserNamespaces(), h.Features.GetRecursiveReadOnlyMounts())
		}
	case "runp":
		cfg := &v1.PodSandboxConfig{
			Metadata:     &v1.PodSandboxMetadata{Name: *name, Uid: *uid, Namespace: "lab"},
			Hostname:     *name,
			LogDirectory: "/var/log/lab-pods/" + *name,
			Linux: &v1.LinuxPodSandboxConfig{CgroupParent: "kubepods-pod" + *uid + ".slice",
				SecurityContext: &v1.LinuxSandboxSecurityContext{NamespaceOptions: nsopt, Seccomp: def, Apparmor: def}},
		}
		die(os.MkdirAll(cfg.LogDirectory, 0o755))
		die(os.MkdirAll(dir, 0o755))
		r, err := c.RunPodSandbox(ctx, &v1.RunPodSandboxRequest{Config: cfg})
		die(err)
		b, _ := json.Marshal(cfg)
		die(os.WriteFile(filepath.Join(dir, r.PodSandboxId), b, 0o644))
		fmt.Println(r.PodSandboxId)
	case "podstatus":
		r, err := c.PodSandboxStatus(ctx, &v1.PodSandboxStatusRequest{PodSandboxId: a[0]})
		die(err)
		fmt.Println(r.Status.State)
	case "run": // POD IMAGE CMD...
		b, err := os.ReadFile(filepath.Join(dir, a[0]))
		die(err)
		pod := &v1.PodSandboxConfig{}
		die(json.Unmarshal(b, pod))
		cfg := &v1.ContainerConfig{
			Metadata: &v1.ContainerMetadata{Name: *name}, Image: &v1.ImageSpec{Image: a[1]}, Command: a[2:], LogPath: *name + ".log", Tty: *tty,
			Linux: &v1.LinuxContainerConfig{Resources: res,
				SecurityContext: &v1.LinuxContainerSecurityContext{NamespaceOptions: nsopt, Seccomp: def, Apparmor: def, Privileged: *priv}},
		}
		if *rro != "" {
			s, d, _ := strings.Cut(*rro, ":")
			cfg.Mounts = []*v1.Mount{{HostPath: s, ContainerPath: d, Readonly: true, RecursiveReadOnly: true}}
		}
		r, err := c.CreateContainer(ctx, &v1.CreateContainerRequest{PodSandboxId: a[0], Config: cfg, SandboxConfig: pod})
		die(err)
		_, err = c.StartContainer(ctx, &v1.StartContainerRequest{ContainerId: r.ContainerId})
		die(err)
		fmt.Println(r.ContainerId)
	case "exec":
		r, err := c.ExecSync(ctx, &v1.ExecSyncRequest{ContainerId: a[0], Cmd: a[1:], Timeout: 60})
		die(err)
		os.Stdout.Write(r.Stdout)
		os.Stderr.Write(r.Stderr)
		os.Exit(int(r.ExitCode))
	case "state":
		s := status(a[0])
		fmt.Println(s.State, s.ExitCode)
	case "reason":
		fmt.Println(status(a[0]).Reason)
	case "update":
		_, err := c.UpdateContainerResources(ctx, &v1.UpdateContainerResourcesRequest{ContainerId: a[0], Linux: res})
		die(err)
	case "stats":
		r, err := c.ContainerStats(ctx, &v1.ContainerStatsRequest{ContainerId: a[0]})
		die(err)
		fmt.Println(r.Stats.GetMemory().GetWorkingSetBytes().GetValue(), r.Stats.GetCpu().GetUsageCoreNanoSeconds().GetValue())
	case "stop": // ID TIMEOUT
		t, _ := strconv.Atoi(a[1])
		_, err := c.StopContainer(ctx, &v1.StopContainerRequest{ContainerId: a[0], Timeout: int64(t)})
		die(err)
	case "rm":
		_, err := c.RemoveContainer(ctx, &v1.RemoveContainerRequest{ContainerId: a[0]})
		die(err)
	case "stopp":
		_, err := c.StopPodSandbox(ctx, &v1.StopPodSandboxRequest{PodSandboxId: a[0]})
		die(err)
	case "rmp":
		_, err := c.RemovePodSandbox(ctx, &v1.RemovePodSandboxRequest{PodSandboxId: a[0]})
		die(err)
	default:
		die(fmt.Errorf("unknown command %s", os.Args[1]))
	}
}
