package criu

// A RequestType is what CRIU is asked for (enum criu_req_type).
type RequestType int32

// The requests that are used here.
const (
	Dump         RequestType = 1
	Restore      RequestType = 2
	PreDump      RequestType = 4
	notify       RequestType = 6
	featureCheck RequestType = 9
	version      RequestType = 10
)

// A Request is one request (message criu_req).
type Request struct {
	Type     RequestType
	Options  *Options
	Success  bool // of a notification that is answered
	KeepOpen bool // another request follows
	Features *Features
}

// A Pair is a key and what it stands for.
type Pair struct{ Key, Value string }

// An InheritFD is a descriptor of CRIU's own that takes the place of one that was saved.
type InheritFD struct {
	Key string
	FD  int
}

// A CgroupMode is how CRIU treats cgroups (enum criu_cg_mode).
type CgroupMode int32

// The modes of `criu --manage-cgroups`.
const (
	CgroupIgnore CgroupMode = 0
	CgroupSoft   CgroupMode = 3
	CgroupFull   CgroupMode = 4
	CgroupStrict CgroupMode = 5
)

// A NetworkLock is how CRIU keeps packets away while it works (enum
// criu_network_lock_method). 0: as CRIU does by default.
type NetworkLock int32

// The methods of `criu --network-lock`.
const (
	LockIPTables NetworkLock = 1
	LockNFTables NetworkLock = 2
	LockSkip     NetworkLock = 3
)

// Options are those of a request (message criu_opts). Descriptors are numbers of the
// client's, except those of Inherit.
type Options struct {
	ImagesDirFD int
	WorkDirFD   int
	Pid         int
	LogLevel    int
	LogFile     string // a name in the work directory
	Root        string
	ParentImage string // relative to the directory of images
	ConfigFile  string

	NotifyScripts   bool
	LeaveRunning    bool
	ExternalUnix    bool
	TCPEstablished  bool
	TCPSkipInFlight bool
	TCPClose        bool
	ShellJob        bool
	FileLocks       bool
	TrackMemory     bool
	AutoDedup       bool
	LinkRemap       bool
	LazyPages       bool
	OrphanPTSMaster bool
	Sibling         bool // the restored tree is the client's child
	ExternalMasters bool // mounts may be slaves of mounts that are not saved

	PageServer *PageServer
	StatusFD   int // 0: none

	ExternalMounts []Pair
	External       []string
	Inherit        []InheritFD
	JoinNamespaces []Pair // kind, file
	EmptyNamespace uint32 // CLONE_NEW* flags

	ManageCgroups *CgroupMode
	CgroupRoots   []Pair // controllers, path
	FreezeCgroup  string

	LSMProfile      string
	LSMMountContext string
	NetworkLock     NetworkLock
}

// A PageServer is where pages of memory are sent to.
type PageServer struct {
	Address string
	Port    int
}

// Features are what is asked with FEATURE_CHECK, and what there is of it.
type Features struct {
	MemoryTracking bool
	LazyPages      bool
}

// marshal writes a request.
func (r *Request) marshal() []byte {
	var e encoder
	e.number(1, int64(r.Type))
	if r.Options != nil {
		e.message(2, r.Options.write)
	}
	e.flag(3, r.Success)
	e.flag(4, r.KeepOpen)
	if r.Features != nil {
		e.message(5, func(e *encoder) {
			e.flag(1, r.Features.MemoryTracking)
			e.flag(2, r.Features.LazyPages)
		})
	}
	return e.b
}

// write writes the options in the order of their numbers.
func (o *Options) write(e *encoder) {
	e.number(1, int64(o.ImagesDirFD))
	e.someNumber(2, int64(o.Pid))
	e.flag(3, o.LeaveRunning)
	e.flag(4, o.ExternalUnix)
	e.flag(5, o.TCPEstablished)
	e.flag(7, o.ShellJob)
	e.flag(8, o.FileLocks)
	e.someNumber(9, int64(o.LogLevel))
	e.someText(10, o.LogFile)
	if p := o.PageServer; p != nil {
		e.message(11, func(e *encoder) {
			e.someText(1, p.Address)
			e.number(2, int64(p.Port))
		})
	}
	e.flag(12, o.NotifyScripts)
	e.someText(13, o.Root)
	e.someText(14, o.ParentImage)
	e.flag(15, o.TrackMemory)
	e.flag(16, o.AutoDedup)
	e.someNumber(17, int64(o.WorkDirFD))
	e.flag(18, o.LinkRemap)
	for _, m := range o.ExternalMounts {
		e.pair(23, m)
	}
	o.writeNewer(e)
}

func (o *Options) writeNewer(e *encoder) {
	e.flag(24, o.ManageCgroups != nil)
	for _, c := range o.CgroupRoots {
		e.pair(25, c)
	}
	e.flag(26, o.Sibling)
	for _, i := range o.Inherit {
		e.message(27, func(e *encoder) {
			e.text(1, i.Key)
			e.number(2, int64(i.FD))
		})
	}
	e.flag(30, o.ExternalMasters)
	if o.ManageCgroups != nil {
		e.number(34, int64(*o.ManageCgroups))
	}
	for _, x := range o.External {
		e.text(37, x)
	}
	e.someNumber(38, int64(o.EmptyNamespace))
	for _, n := range o.JoinNamespaces {
		e.pair(39, n)
	}
	e.someText(44, o.FreezeCgroup)
	e.flag(46, o.TCPSkipInFlight)
	e.flag(48, o.LazyPages)
	e.someNumber(49, int64(o.StatusFD))
	e.flag(50, o.OrphanPTSMaster)
	e.someText(51, o.ConfigFile)
	e.flag(52, o.TCPClose)
	e.someText(53, o.LSMProfile)
	e.someText(63, o.LSMMountContext)
	e.someNumber(64, int64(o.NetworkLock))
}

func (e *encoder) pair(field int, p Pair) {
	e.message(field, func(e *encoder) {
		e.text(1, p.Key)
		e.text(2, p.Value)
	})
}

// A Response is an answer, or a notification (message criu_resp).
type Response struct {
	Type    RequestType
	Success bool
	Pid     int    // of the restored tree, or of a notification
	Script  string // of a notification: its name
	Errno   int    // cr_errno: why there was no success
	Message string // cr_errmsg: the same in words

	Features Features
	Version  Version
}

// A Version is that of CRIU.
type Version struct{ Major, Minor, Sublevel int }

// unmarshal reads an answer. Fields that are not known are of a newer CRIU.
func (r *Response) unmarshal(b []byte) error {
	typed := false
	err := fields(b, func(f field) error {
		switch f.number {
		case 1:
			r.Type, typed = RequestType(f.n), true
		case 2:
			r.Success = f.n != 0
		case 4:
			return fields(f.b, func(f field) error {
				if f.number == 1 {
					r.Pid = int(int32(f.n))
				}
				return nil
			})
		case 5:
			return fields(f.b, func(f field) error {
				switch f.number {
				case 1:
					r.Script = string(f.b)
				case 2:
					r.Pid = int(int32(f.n))
				}
				return nil
			})
		case 7:
			r.Errno = int(int32(f.n))
		case 8:
			return fields(f.b, r.Features.read)
		case 9:
			r.Message = string(f.b)
		case 10:
			return fields(f.b, r.Version.read)
		}
		return nil
	})
	if err == nil && !typed {
		err = errForm
	}
	return err
}

func (s *Features) read(f field) error {
	switch f.number {
	case 1:
		s.MemoryTracking = f.n != 0
	case 2:
		s.LazyPages = f.n != 0
	}
	return nil
}

func (v *Version) read(f field) error {
	switch f.number {
	case 1:
		v.Major = int(int32(f.n))
	case 2:
		v.Minor = int(int32(f.n))
	case 4:
		v.Sublevel = int(int32(f.n))
	}
	return nil
}
