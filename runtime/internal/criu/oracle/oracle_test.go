package oracle

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/checkpoint-restore/go-criu/v7/rpc"
	"google.golang.org/protobuf/proto"
)

var update = flag.Bool("update", false, "write the files")

// messages are the same as those of the tests of package criu, by their names.
func messages() map[string]proto.Message {
	yes := proto.Bool(true)
	return map[string]proto.Message{
		"version.req": &rpc.CriuReq{Type: rpc.CriuReqType_VERSION.Enum(), KeepOpen: yes},
		"features.req": &rpc.CriuReq{
			Type: rpc.CriuReqType_FEATURE_CHECK.Enum(), KeepOpen: yes,
			Features: &rpc.CriuFeatures{MemTrack: yes, LazyPages: yes},
		},
		"notified.req": &rpc.CriuReq{Type: rpc.CriuReqType_NOTIFY.Enum(), NotifySuccess: yes},
		"dump.req":     &rpc.CriuReq{Type: rpc.CriuReqType_DUMP.Enum(), Opts: dump()},
		"predump.req":  &rpc.CriuReq{Type: rpc.CriuReqType_PRE_DUMP.Enum(), Opts: &rpc.CriuOpts{ImagesDirFd: proto.Int32(0), TrackMem: yes}},
		"restore.req":  &rpc.CriuReq{Type: rpc.CriuReqType_RESTORE.Enum(), Opts: restore()},

		"version.resp": &rpc.CriuResp{
			Type: rpc.CriuReqType_VERSION.Enum(), Success: yes,
			Version: &rpc.CriuVersion{MajorNumber: proto.Int32(4), MinorNumber: proto.Int32(2), Sublevel: proto.Int32(1), Gitid: proto.String("v4.2.1"), Name: proto.String("CRIU")},
		},
		"features.resp": &rpc.CriuResp{
			Type: rpc.CriuReqType_FEATURE_CHECK.Enum(), Success: yes,
			Features: &rpc.CriuFeatures{MemTrack: proto.Bool(false), LazyPages: yes, PidfdStore: yes},
		},
		"notify.resp": &rpc.CriuResp{
			Type: rpc.CriuReqType_NOTIFY.Enum(), Success: yes,
			Notify: &rpc.CriuNotify{Script: proto.String("post-restore"), Pid: proto.Int32(4711)},
		},
		"restored.resp": &rpc.CriuResp{
			Type: rpc.CriuReqType_RESTORE.Enum(), Success: yes, Restore: &rpc.CriuRestoreResp{Pid: proto.Int32(4712)},
		},
		"failed.resp": &rpc.CriuResp{
			Type: rpc.CriuReqType_DUMP.Enum(), Success: proto.Bool(false),
			CrErrno: proto.Int32(3), CrErrmsg: proto.String("Error (criu/x.c:1): no such thing"),
		},
		"negative.resp": &rpc.CriuResp{Type: rpc.CriuReqType_DUMP.Enum(), Success: proto.Bool(false), CrErrno: proto.Int32(-1)},
	}
}

func dump() *rpc.CriuOpts {
	yes := proto.Bool(true)
	return &rpc.CriuOpts{
		ImagesDirFd: proto.Int32(7), WorkDirFd: proto.Int32(8), Pid: proto.Int32(1 << 21),
		LogLevel: proto.Int32(4), LogFile: proto.String("dump.log"), ParentImg: proto.String("../früher"),
		LeaveRunning: yes, ExtUnixSk: yes, TcpEstablished: yes, TcpSkipInFlight: yes, ShellJob: yes, FileLocks: yes,
		TrackMem: yes, AutoDedup: yes, LinkRemap: yes, LazyPages: yes, OrphanPtsMaster: yes,
		Ps:       &rpc.CriuPageServerInfo{Address: proto.String("::1"), Port: proto.Int32(65535)},
		StatusFd: proto.Int32(3),
		ExtMnt: []*rpc.ExtMountMap{
			{Key: proto.String("/etc/hosts"), Val: proto.String("ocirt-mount-1")},
			{Key: proto.String("/a b\n"), Val: proto.String("")},
		},
		External: []string{"net[4026531840]:ocirt-net", "file[1f:3]"},
		EmptyNs:  proto.Uint32(0x40000000), FreezeCgroup: proto.String("/sys/fs/cgroup/freezer/demo"),
		ManageCgroups: yes, ManageCgroupsMode: rpc.CriuCgMode_IGNORE.Enum(),
		NetworkLock: rpc.CriuNetworkLockMethod_SKIP.Enum(), ConfigFile: proto.String("/etc/criu/runc.conf"),
	}
}

func restore() *rpc.CriuOpts {
	yes := proto.Bool(true)
	return &rpc.CriuOpts{
		ImagesDirFd: proto.Int32(7), WorkDirFd: proto.Int32(8), LogFile: proto.String("restore.log"),
		Root: proto.String("/run/root"), NotifyScripts: yes, RstSibling: yes, ExtMasters: yes, TcpClose: yes,
		InheritFd: []*rpc.InheritFd{
			{Key: proto.String("pipe:[17]"), Fd: proto.Int32(4)}, {Key: proto.String("ocirt-net"), Fd: proto.Int32(0)},
		},
		JoinNs: []*rpc.JoinNamespace{{Ns: proto.String("ipc"), NsFile: proto.String("/proc/1/ns/ipc")}},
		CgRoot: []*rpc.CgroupRoot{
			{Ctrl: proto.String("memory"), Path: proto.String("/demo")}, {Ctrl: proto.String(""), Path: proto.String("/")},
		},
		ManageCgroups: yes, ManageCgroupsMode: rpc.CriuCgMode_STRICT.Enum(),
		LsmProfile: proto.String("apparmor:demo"), LsmMountContext: proto.String("system_u:object_r:x:s0"),
	}
}

func TestTestdata(t *testing.T) {
	for name, m := range messages() {
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("..", "testdata", name)
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is\n%q\nand should be\n%q", name, got, want)
		}
	}
}
