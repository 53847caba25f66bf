package store

import "errors"

// Foreign returns the living first process of a container that another runtime made in this
// directory: runc's record has the same name, and these fields. What it means by the others
// is not known here. There is none if the directory has an intent record, which is ours.
func (d *Dir) Foreign() (ProcessID, bool) {
	if _, err := d.read(intentName); !errors.Is(err, ErrNoRecord) {
		return ProcessID{}, false
	}
	data, err := d.read(recordName)
	if err != nil {
		return ProcessID{}, false
	}
	id, ours := ProcessID{}, false
	p := &parser{data: data}
	p.object(func(key string) {
		switch key {
		case "init_process_pid":
			id.Pid = int(p.uint(maxPid))
		case "init_process_start":
			id.Start = p.uint(1<<63 - 1)
		case "token":
			ours = true
			p.skip()
		default:
			p.skip()
		}
	})
	if p.err != nil || ours {
		return ProcessID{}, false
	}
	if id.Boot, err = BootID(); err != nil {
		return ProcessID{}, false
	}
	_, alive, err := id.Alive()
	return id, err == nil && alive
}
