# Generated from the description of the command line: do not edit.
function __ocirt_words
	# the words after the global flags: the command and its arguments
	set -l value 0
	set -l found 0
	for word in (commandline -opc)[2..-1]
		if test $found = 1
			echo $word
		else if test $value = 1
			set value 0
		else
			switch $word
				case --log --log-format --log-level --root --cgroup-manager --rootless
					set value 1
				case '-*'
				case '*'
					set found 1
					echo $word
			end
		end
	end
end

function __ocirt_command
	set -l words (__ocirt_words)
	test (count $words) -gt 0; and test "$words[1]" = "$argv[1]"
end

function __ocirt_none
	test (count (__ocirt_words)) = 0
end

function __ocirt_ids
	set -l root
	set -l next 0
	for word in (commandline -opc)
		if test $next = 1
			set root --root $word
			set next 0
		else if test $word = --root
			set next 1
		else if string match -q -- '--root=*' $word
			set root $word
		end
	end
	ocirt $root list -q 2>/dev/null
end

complete -c ocirt -f
complete -c ocirt -n __ocirt_none -s v -l version -d 'print the version'
complete -c ocirt -s h -l help -d 'show help'
complete -c ocirt -n __ocirt_none -l debug -d 'log what is done'
complete -c ocirt -n __ocirt_none -l log -r -F -d 'append log records to FILE instead of writing them to standard error'
complete -c ocirt -n __ocirt_none -l log-format -x -a 'text json' -d 'format of log records: text or json'
complete -c ocirt -n __ocirt_none -l log-level -x -a 'error warning info debug' -d 'least important records to log: error, warning, info or debug'
complete -c ocirt -n __ocirt_none -l root -x -a '(__fish_complete_directories)' -d 'keep the state of containers in DIR, which should be on a tmpfs (default: /run/ocirt, or $XDG_RUNTIME_DIR/ocirt)'
complete -c ocirt -n __ocirt_none -l systemd-cgroup -d 'let systemd make the cgroups'
complete -c ocirt -n __ocirt_none -l cgroup-manager -x -a 'cgroupfs systemd disabled' -d 'who makes the cgroups: cgroupfs, systemd or disabled'
complete -c ocirt -n __ocirt_none -l rootless -x -a 'true false auto' -d 'true, false or auto; accepted for callers of runc, found out in any case'
complete -c ocirt -n __ocirt_none -a checkpoint -d 'save the processes of a container'
complete -c ocirt -n __ocirt_none -a create -d 'create a container'
complete -c ocirt -n __ocirt_none -a delete -d 'remove a container that has stopped'
complete -c ocirt -n __ocirt_none -a events -d 'print what happens to a container, and what it uses'
complete -c ocirt -n __ocirt_none -a exec -d 'execute a further process in a container'
complete -c ocirt -n __ocirt_none -a explain -d 'say what would be done to make a container, and why'
complete -c ocirt -n __ocirt_none -a features -d 'print what this runtime can do, as JSON'
complete -c ocirt -n __ocirt_none -a kill -d 'send a signal to a container'
complete -c ocirt -n __ocirt_none -a list -d 'list containers'
complete -c ocirt -n __ocirt_none -a pause -d 'stop all processes of a container'
complete -c ocirt -n __ocirt_none -a ps -d 'list the processes of a container'
complete -c ocirt -n __ocirt_none -a restore -d 'make a container of a checkpoint'
complete -c ocirt -n __ocirt_none -a resume -d 'let the processes of a paused container go on'
complete -c ocirt -n __ocirt_none -a run -d 'create and start a container, and wait for its end'
complete -c ocirt -n __ocirt_none -a seccomp -d 'look at the seccomp profile of a bundle'
complete -c ocirt -n __ocirt_none -a spec -d 'write a config.json to start from'
complete -c ocirt -n __ocirt_none -a start -d 'let a created container run'
complete -c ocirt -n __ocirt_none -a state -d 'print the state of a container as JSON'
complete -c ocirt -n __ocirt_none -a update -d 'change the limits of a container'
complete -c ocirt -n __ocirt_none -a validate -d 'say everything that is wrong with a bundle'
complete -c ocirt -n '__ocirt_command checkpoint' -l image-path -x -a '(__fish_complete_directories)' -d 'folder DIR of the checkpoint'
complete -c ocirt -n '__ocirt_command checkpoint' -l work-path -x -a '(__fish_complete_directories)' -d 'folder DIR for CRIU\'s log (default: that of --image-path)'
complete -c ocirt -n '__ocirt_command checkpoint' -l tcp-established -d 'allow open TCP connections'
complete -c ocirt -n '__ocirt_command checkpoint' -l ext-unix-sk -d 'allow Unix sockets that are connected to the outside'
complete -c ocirt -n '__ocirt_command checkpoint' -l shell-job -d 'allow a terminal of the outside'
complete -c ocirt -n '__ocirt_command checkpoint' -l file-locks -d 'allow file locks'
complete -c ocirt -n '__ocirt_command checkpoint' -l lazy-pages -d 'leave memory behind until it is asked for: see criu lazy-pages'
complete -c ocirt -n '__ocirt_command checkpoint' -l auto-dedup -d 'free what an earlier checkpoint holds and this one replaces'
complete -c ocirt -n '__ocirt_command checkpoint' -l link-remap -d 'allow open files that have been removed'
complete -c ocirt -n '__ocirt_command checkpoint' -l manage-cgroups-mode -x -d 'MODE in which CRIU treats cgroups: soft, full, strict or ignore (default: soft)'
complete -c ocirt -n '__ocirt_command checkpoint' -l empty-ns -x -d 'restore this NAMESPACE without what was in it: network'
complete -c ocirt -n '__ocirt_command checkpoint' -l network-lock -x -a 'iptables nftables skip' -d 'METHOD to keep packets away: iptables, nftables or skip'
complete -c ocirt -n '__ocirt_command checkpoint' -l parent-path -x -a '(__fish_complete_directories)' -d 'save only what has changed since the checkpoint in DIR, relative to --image-path'
complete -c ocirt -n '__ocirt_command checkpoint' -l leave-running -d 'let the container run on'
complete -c ocirt -n '__ocirt_command checkpoint' -l pre-dump -d 'save only memory, and let the container run on'
complete -c ocirt -n '__ocirt_command checkpoint' -l tcp-skip-in-flight -d 'leave out TCP connections that are being made'
complete -c ocirt -n '__ocirt_command checkpoint' -l page-server -x -d 'send memory to the page server at ADDRESS:PORT'
complete -c ocirt -n '__ocirt_command checkpoint' -l status-fd -x -d 'descriptor FD to which a NUL is written when --lazy-pages can be served'
complete -c ocirt -n '__ocirt_command checkpoint' -a '(__ocirt_ids)'
complete -c ocirt -n '__ocirt_command create' -l bundle -s b -x -a '(__fish_complete_directories)' -d 'directory DIR of the bundle (default: the current one)'
complete -c ocirt -n '__ocirt_command create' -l config -s f -r -F -d 'another FILE in the bundle instead of config.json'
complete -c ocirt -n '__ocirt_command create' -l console-socket -r -F -d 'PATH of a listening socket that receives the terminal\'s master'
complete -c ocirt -n '__ocirt_command create' -l pidfd-socket -r -F -d 'PATH of a listening socket that receives a pidfd of the container\'s first process'
complete -c ocirt -n '__ocirt_command create' -l pid-file -r -F -d 'write the pid of the container\'s first process to FILE'
complete -c ocirt -n '__ocirt_command create' -l no-pivot -d 'do not use pivot_root: for root file systems on a ramdisk'
complete -c ocirt -n '__ocirt_command create' -l no-new-keyring -d 'keep the caller\'s session keyring'
complete -c ocirt -n '__ocirt_command create' -l preserve-fds -x -d 'pass N more descriptors on, after standard error and $LISTEN_FDS'
complete -c ocirt -n '__ocirt_command delete' -l force -s f -d 'kill it first if it runs; that there is none is no error'
complete -c ocirt -n '__ocirt_command delete' -l regex -s r -d 'the id is a regular expression: remove all containers that match'
complete -c ocirt -n '__ocirt_command delete' -a '(__ocirt_ids)'
complete -c ocirt -n '__ocirt_command events' -l interval -x -d 'time between two samples, such as 500ms'
complete -c ocirt -n '__ocirt_command events' -l stats -d 'print one sample and end'
complete -c ocirt -n '__ocirt_command events' -a '(__ocirt_ids)'
complete -c ocirt -n '__ocirt_command exec' -l console-socket -r -F -d 'PATH of a listening socket that receives the terminal\'s master'
complete -c ocirt -n '__ocirt_command exec' -l pidfd-socket -r -F -d 'PATH of a listening socket that receives a pidfd of the process'
complete -c ocirt -n '__ocirt_command exec' -l cwd -x -a '(__fish_complete_directories)' -d 'working directory DIR in the container'
complete -c ocirt -n '__ocirt_command exec' -l env -s e -x -d 'set an environment variable, as NAME=VALUE; repeatable'
complete -c ocirt -n '__ocirt_command exec' -l tty -s t -d 'give the process a terminal'
complete -c ocirt -n '__ocirt_command exec' -l user -s u -x -d 'UID[:GID] of the process, in digits'
complete -c ocirt -n '__ocirt_command exec' -l additional-gids -s g -x -d 'one more group GID; repeatable'
complete -c ocirt -n '__ocirt_command exec' -l process -s p -r -F -d 'read the whole process object from FILE (- is standard input); the flags about it are not used then'
complete -c ocirt -n '__ocirt_command exec' -l detach -s d -d 'return when the command runs'
complete -c ocirt -n '__ocirt_command exec' -l pid-file -r -F -d 'write the pid of the process to FILE'
complete -c ocirt -n '__ocirt_command exec' -l process-label -x -d 'SELinux LABEL of the process'
complete -c ocirt -n '__ocirt_command exec' -l apparmor -x -d 'AppArmor PROFILE of the process'
complete -c ocirt -n '__ocirt_command exec' -l no-new-privs -d 'let the process gain no privileges'
complete -c ocirt -n '__ocirt_command exec' -l cap -s c -x -d 'give the process one more capability CAP; repeatable'
complete -c ocirt -n '__ocirt_command exec' -l preserve-fds -x -d 'pass N more descriptors on, after standard error'
complete -c ocirt -n '__ocirt_command exec' -l cgroup -x -d 'run in an existing cgroup [CONTROLLER[,CONTROLLER]:]PATH below the container\'s; repeatable'
complete -c ocirt -n '__ocirt_command exec' -l ignore-paused -d 'do not refuse a paused container: the command runs when it is resumed'
complete -c ocirt -n '__ocirt_command exec' -a '(__ocirt_ids)'
complete -c ocirt -n '__ocirt_command explain' -l bundle -s b -x -a '(__fish_complete_directories)' -d 'directory DIR of the bundle (default: the current one)'
complete -c ocirt -n '__ocirt_command explain' -l json -d 'print JSON'
complete -c ocirt -n '__ocirt_command explain' -l calls -d 'print the system calls of the container\'s first process'
complete -c ocirt -n '__ocirt_command explain' -a '(__fish_complete_directories)'
complete -c ocirt -n '__ocirt_command kill' -l all -s a -d 'signal every process of the container'
complete -c ocirt -n '__ocirt_command kill' -l regex -s r -d 'the id is a regular expression: signal all running containers that match'
complete -c ocirt -n '__ocirt_command kill' -a '(__ocirt_ids)'
complete -c ocirt -n '__ocirt_command kill' -a 'HUP INT QUIT KILL USR1 USR2 TERM CONT STOP TSTP WINCH'
complete -c ocirt -n '__ocirt_command list' -l format -s f -x -a 'table json' -d 'table or json'
complete -c ocirt -n '__ocirt_command list' -l quiet -s q -d 'print ids only'
complete -c ocirt -n '__ocirt_command pause' -a '(__ocirt_ids)'
complete -c ocirt -n '__ocirt_command ps' -l format -s f -x -a 'table json' -d 'table or json'
complete -c ocirt -n '__ocirt_command ps' -a '(__ocirt_ids)'
complete -c ocirt -n '__ocirt_command restore' -l image-path -x -a '(__fish_complete_directories)' -d 'folder DIR of the checkpoint'
complete -c ocirt -n '__ocirt_command restore' -l work-path -x -a '(__fish_complete_directories)' -d 'folder DIR for CRIU\'s log (default: that of --image-path)'
complete -c ocirt -n '__ocirt_command restore' -l tcp-established -d 'allow open TCP connections'
complete -c ocirt -n '__ocirt_command restore' -l ext-unix-sk -d 'allow Unix sockets that are connected to the outside'
complete -c ocirt -n '__ocirt_command restore' -l shell-job -d 'allow a terminal of the outside'
complete -c ocirt -n '__ocirt_command restore' -l file-locks -d 'allow file locks'
complete -c ocirt -n '__ocirt_command restore' -l lazy-pages -d 'leave memory behind until it is asked for: see criu lazy-pages'
complete -c ocirt -n '__ocirt_command restore' -l auto-dedup -d 'free what an earlier checkpoint holds and this one replaces'
complete -c ocirt -n '__ocirt_command restore' -l link-remap -d 'allow open files that have been removed'
complete -c ocirt -n '__ocirt_command restore' -l manage-cgroups-mode -x -d 'MODE in which CRIU treats cgroups: soft, full, strict or ignore (default: soft)'
complete -c ocirt -n '__ocirt_command restore' -l empty-ns -x -d 'restore this NAMESPACE without what was in it: network'
complete -c ocirt -n '__ocirt_command restore' -l network-lock -x -a 'iptables nftables skip' -d 'METHOD to keep packets away: iptables, nftables or skip'
complete -c ocirt -n '__ocirt_command restore' -l bundle -s b -x -a '(__fish_complete_directories)' -d 'directory DIR of the bundle (default: the current one)'
complete -c ocirt -n '__ocirt_command restore' -l console-socket -r -F -d 'PATH of a listening socket that receives the terminal\'s master'
complete -c ocirt -n '__ocirt_command restore' -l detach -s d -d 'return when the container runs'
complete -c ocirt -n '__ocirt_command restore' -l pid-file -r -F -d 'write the pid of the container\'s first process to FILE'
complete -c ocirt -n '__ocirt_command restore' -l no-subreaper -d 'do not adopt the container\'s orphans'
complete -c ocirt -n '__ocirt_command restore' -l no-pivot -d 'accepted for callers of create: CRIU knows how to change the root'
complete -c ocirt -n '__ocirt_command restore' -l no-new-keyring -d 'keep the caller\'s session keyring'
complete -c ocirt -n '__ocirt_command restore' -l keep -d 'do not delete the container after its end'
complete -c ocirt -n '__ocirt_command restore' -l tcp-close -d 'restore open TCP connections as closed'
complete -c ocirt -n '__ocirt_command restore' -l lsm-profile -x -d 'another PROFILE than the saved one: apparmor:NAME or selinux:LABEL'
complete -c ocirt -n '__ocirt_command restore' -l lsm-mount-context -x -d 'another SELinux CONTEXT of mounts than the saved one'
complete -c ocirt -n '__ocirt_command resume' -a '(__ocirt_ids)'
complete -c ocirt -n '__ocirt_command run' -l bundle -s b -x -a '(__fish_complete_directories)' -d 'directory DIR of the bundle (default: the current one)'
complete -c ocirt -n '__ocirt_command run' -l config -s f -r -F -d 'another FILE in the bundle instead of config.json'
complete -c ocirt -n '__ocirt_command run' -l console-socket -r -F -d 'PATH of a listening socket that receives the terminal\'s master'
complete -c ocirt -n '__ocirt_command run' -l pidfd-socket -r -F -d 'PATH of a listening socket that receives a pidfd of the container\'s first process'
complete -c ocirt -n '__ocirt_command run' -l pid-file -r -F -d 'write the pid of the container\'s first process to FILE'
complete -c ocirt -n '__ocirt_command run' -l no-pivot -d 'do not use pivot_root: for root file systems on a ramdisk'
complete -c ocirt -n '__ocirt_command run' -l no-new-keyring -d 'keep the caller\'s session keyring'
complete -c ocirt -n '__ocirt_command run' -l preserve-fds -x -d 'pass N more descriptors on, after standard error and $LISTEN_FDS'
complete -c ocirt -n '__ocirt_command run' -l no-subreaper -d 'do not adopt the container\'s orphans'
complete -c ocirt -n '__ocirt_command run' -l detach -s d -d 'return when the container runs'
complete -c ocirt -n '__ocirt_command run' -l keep -d 'do not delete the container after its end'
complete -c ocirt -n '__ocirt_command run' -a '(__fish_complete_directories)'
complete -c ocirt -n '__ocirt_command seccomp' -a 'explain disasm'
complete -c ocirt -n '__ocirt_command spec' -l bundle -s b -x -a '(__fish_complete_directories)' -d 'write it to DIR (default: the current directory)'
complete -c ocirt -n '__ocirt_command spec' -l file -s f -r -F -d 'write it to FILE in the bundle instead of config.json'
complete -c ocirt -n '__ocirt_command spec' -l rootless -d 'one that a user without privileges can start'
complete -c ocirt -n '__ocirt_command start' -a '(__ocirt_ids)'
complete -c ocirt -n '__ocirt_command state' -a '(__ocirt_ids)'
complete -c ocirt -n '__ocirt_command update' -l resources -s r -r -F -d 'read the limits from FILE; - is standard input'
complete -c ocirt -n '__ocirt_command update' -l blkio-weight -x -d 'relative weight of block I/O, 10 to 1000'
complete -c ocirt -n '__ocirt_command update' -l cpu-period -x -d 'CFS period in microseconds'
complete -c ocirt -n '__ocirt_command update' -l cpu-quota -x -d 'CFS quota in microseconds in each period; -1 is no limit'
complete -c ocirt -n '__ocirt_command update' -l cpu-burst -x -d 'CFS burst in microseconds: unused quota that may be used later'
complete -c ocirt -n '__ocirt_command update' -l cpu-share -x -d 'relative weight of processor time, from 2'
complete -c ocirt -n '__ocirt_command update' -l cpu-rt-period -x -d 'realtime period in microseconds (cgroup v1)'
complete -c ocirt -n '__ocirt_command update' -l cpu-rt-runtime -x -d 'realtime runtime in microseconds in each period (cgroup v1)'
complete -c ocirt -n '__ocirt_command update' -l cpuset-cpus -x -d 'processors to run on, such as 0-2,4'
complete -c ocirt -n '__ocirt_command update' -l cpuset-mems -x -d 'memory nodes to use, such as 0'
complete -c ocirt -n '__ocirt_command update' -l cpu-idle -x -d '1: run only when nobody else wants to; 0: not so'
complete -c ocirt -n '__ocirt_command update' -l memory -x -d 'limit of memory'
complete -c ocirt -n '__ocirt_command update' -l memory-reservation -x -d 'memory that is left to it when memory is short'
complete -c ocirt -n '__ocirt_command update' -l memory-swap -x -d 'limit of memory and swap together'
complete -c ocirt -n '__ocirt_command update' -l pids-limit -x -d 'how many processes and threads there may be; -1 is no limit'
complete -c ocirt -n '__ocirt_command update' -l l3-cache-schema -x -d 'Intel RDT/CAT schema of the L3 cache'
complete -c ocirt -n '__ocirt_command update' -l mem-bw-schema -x -d 'Intel RDT/MBA schema of the memory bandwidth'
complete -c ocirt -n '__ocirt_command update' -a '(__ocirt_ids)'
complete -c ocirt -n '__ocirt_command validate' -l bundle -s b -x -a '(__fish_complete_directories)' -d 'directory DIR of the bundle (default: the current one)'
complete -c ocirt -n '__ocirt_command validate' -l json -d 'print JSON'
complete -c ocirt -n '__ocirt_command validate' -l strict -d 'warnings are errors, and so are properties that nobody knows'
complete -c ocirt -n '__ocirt_command validate' -a '(__fish_complete_directories)'
