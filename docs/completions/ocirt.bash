# Generated from the description of the command line: do not edit.
_ocirt_ids() { COMPREPLY=($(compgen -W "$(ocirt "${root[@]}" list -q 2>/dev/null)" -- "$cur")); }
_ocirt_files() { compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); }
_ocirt_dirs() { compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur")); }
_ocirt_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }

_ocirt() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} cmd= root=() i=1 args=0 valued
	COMPREPLY=()
	[ "$cur" != "=" ] || cur=
	[ "$prev" != "=" ] || prev=${COMP_WORDS[COMP_CWORD - 2]}
	while [ $i -lt $COMP_CWORD ]; do
		if [ -z "$cmd" ]; then
			case ${COMP_WORDS[i]} in
			--root | -root)
				[ "${COMP_WORDS[i + 1]}" != "=" ] || i=$((i + 1))
				root=(--root "${COMP_WORDS[i + 1]}")
				i=$((i + 1)) ;;
			--log | --log-format | --log-level | --cgroup-manager | --rootless)
				[ "${COMP_WORDS[i + 1]}" != "=" ] || i=$((i + 1))
				i=$((i + 1)) ;;
			-*) ;;
			*) cmd=${COMP_WORDS[i]} ;;
			esac
		else
			_ocirt_valued "$cmd"
			case " $valued " in
			*" ${COMP_WORDS[i]} "*)
				[ "${COMP_WORDS[i + 1]}" != "=" ] || i=$((i + 1))
				i=$((i + 1)) ;;
			*) case ${COMP_WORDS[i]} in -*) ;; *) args=$((args + 1)) ;; esac ;;
			esac
		fi
		i=$((i + 1))
	done
	case "$cmd" in
	"")
		case "$prev" in
		--log) _ocirt_files ;;
		--log-format) _ocirt_words "text json" ;;
		--log-level) _ocirt_words "error warning info debug" ;;
		--root) _ocirt_dirs ;;
		--cgroup-manager) _ocirt_words "cgroupfs systemd disabled" ;;
		--rootless) _ocirt_words "true false auto" ;;
		*)
			case "$cur" in
			-*) _ocirt_words "--debug --log --log-format --log-level --root --systemd-cgroup --cgroup-manager --rootless --help --version" ;;
			*) _ocirt_words "checkpoint create delete events exec explain features kill list pause ps restore resume run seccomp spec start state update validate help" ;;
			esac ;;
		esac ;;
	checkpoint)
		case "$prev" in
		--image-path) _ocirt_dirs ;;
		--work-path) _ocirt_dirs ;;
		--manage-cgroups-mode) : ;;
		--empty-ns) : ;;
		--network-lock) _ocirt_words "iptables nftables skip" ;;
		--parent-path) _ocirt_dirs ;;
		--page-server) : ;;
		--status-fd) : ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks --lazy-pages --auto-dedup --link-remap --manage-cgroups-mode --empty-ns --network-lock --parent-path --leave-running --pre-dump --tcp-skip-in-flight --page-server --status-fd --help" ;;
			*:0) _ocirt_ids ;;
			esac ;;
		esac ;;
	create)
		case "$prev" in
		--bundle | -b) _ocirt_dirs ;;
		--config | -f) _ocirt_files ;;
		--console-socket) _ocirt_files ;;
		--pidfd-socket) _ocirt_files ;;
		--pid-file) _ocirt_files ;;
		--preserve-fds) : ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--bundle --config --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds --help" ;;
			esac ;;
		esac ;;
	delete)
		case "$prev" in
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--force --regex --help" ;;
			*:0) _ocirt_ids ;;
			esac ;;
		esac ;;
	events)
		case "$prev" in
		--interval) : ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--interval --stats --help" ;;
			*:0) _ocirt_ids ;;
			esac ;;
		esac ;;
	exec)
		case "$prev" in
		--console-socket) _ocirt_files ;;
		--pidfd-socket) _ocirt_files ;;
		--cwd) _ocirt_dirs ;;
		--env | -e) : ;;
		--user | -u) : ;;
		--additional-gids | -g) : ;;
		--process | -p) _ocirt_files ;;
		--pid-file) _ocirt_files ;;
		--process-label) : ;;
		--apparmor) : ;;
		--cap | -c) : ;;
		--preserve-fds) : ;;
		--cgroup) : ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--console-socket --pidfd-socket --cwd --env --tty --user --additional-gids --process --detach --pid-file --process-label --apparmor --no-new-privs --cap --preserve-fds --cgroup --ignore-paused --help" ;;
			*:0) _ocirt_ids ;;
			esac ;;
		esac ;;
	explain)
		case "$prev" in
		--bundle | -b) _ocirt_dirs ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--bundle --json --calls --help" ;;
			*:0) _ocirt_dirs ;;
			esac ;;
		esac ;;
	features)
		case "$prev" in
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--help" ;;
			esac ;;
		esac ;;
	kill)
		case "$prev" in
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--all --regex --help" ;;
			*:0) _ocirt_ids ;;
			*:1) _ocirt_words "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP TSTP WINCH" ;;
			esac ;;
		esac ;;
	list)
		case "$prev" in
		--format | -f) _ocirt_words "table json" ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--format --quiet --help" ;;
			esac ;;
		esac ;;
	pause)
		case "$prev" in
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--help" ;;
			*:0) _ocirt_ids ;;
			esac ;;
		esac ;;
	ps)
		case "$prev" in
		--format | -f) _ocirt_words "table json" ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--format --help" ;;
			*:0) _ocirt_ids ;;
			esac ;;
		esac ;;
	restore)
		case "$prev" in
		--image-path) _ocirt_dirs ;;
		--work-path) _ocirt_dirs ;;
		--manage-cgroups-mode) : ;;
		--empty-ns) : ;;
		--network-lock) _ocirt_words "iptables nftables skip" ;;
		--bundle | -b) _ocirt_dirs ;;
		--console-socket) _ocirt_files ;;
		--pid-file) _ocirt_files ;;
		--lsm-profile) : ;;
		--lsm-mount-context) : ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks --lazy-pages --auto-dedup --link-remap --manage-cgroups-mode --empty-ns --network-lock --bundle --console-socket --detach --pid-file --no-subreaper --no-pivot --no-new-keyring --keep --tcp-close --lsm-profile --lsm-mount-context --help" ;;
			esac ;;
		esac ;;
	resume)
		case "$prev" in
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--help" ;;
			*:0) _ocirt_ids ;;
			esac ;;
		esac ;;
	run)
		case "$prev" in
		--bundle | -b) _ocirt_dirs ;;
		--config | -f) _ocirt_files ;;
		--console-socket) _ocirt_files ;;
		--pidfd-socket) _ocirt_files ;;
		--pid-file) _ocirt_files ;;
		--preserve-fds) : ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--bundle --config --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds --no-subreaper --detach --keep --help" ;;
			*:0) _ocirt_dirs ;;
			esac ;;
		esac ;;
	seccomp)
		case "$prev" in
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--help" ;;
			*:0) _ocirt_words "explain disasm" ;;
			esac ;;
		esac ;;
	spec)
		case "$prev" in
		--bundle | -b) _ocirt_dirs ;;
		--file | -f) _ocirt_files ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--bundle --file --rootless --help" ;;
			esac ;;
		esac ;;
	start)
		case "$prev" in
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--help" ;;
			*:0) _ocirt_ids ;;
			esac ;;
		esac ;;
	state)
		case "$prev" in
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--help" ;;
			*:0) _ocirt_ids ;;
			esac ;;
		esac ;;
	update)
		case "$prev" in
		--resources | -r) _ocirt_files ;;
		--blkio-weight) : ;;
		--cpu-period) : ;;
		--cpu-quota) : ;;
		--cpu-burst) : ;;
		--cpu-share) : ;;
		--cpu-rt-period) : ;;
		--cpu-rt-runtime) : ;;
		--cpuset-cpus) : ;;
		--cpuset-mems) : ;;
		--cpu-idle) : ;;
		--memory) : ;;
		--memory-reservation) : ;;
		--memory-swap) : ;;
		--pids-limit) : ;;
		--l3-cache-schema) : ;;
		--mem-bw-schema) : ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--resources --blkio-weight --cpu-period --cpu-quota --cpu-burst --cpu-share --cpu-rt-period --cpu-rt-runtime --cpuset-cpus --cpuset-mems --cpu-idle --memory --memory-reservation --memory-swap --pids-limit --l3-cache-schema --mem-bw-schema --help" ;;
			*:0) _ocirt_ids ;;
			esac ;;
		esac ;;
	validate)
		case "$prev" in
		--bundle | -b) _ocirt_dirs ;;
		*)
			case "$cur:$args" in
			-*) _ocirt_words "--bundle --json --strict --help" ;;
			*:0) _ocirt_dirs ;;
			esac ;;
		esac ;;
	esac
}

_ocirt_valued() {
	case $1 in
	checkpoint) valued="--image-path --work-path --manage-cgroups-mode --empty-ns --network-lock --parent-path --page-server --status-fd" ;;
	create) valued="--bundle -b --config -f --console-socket --pidfd-socket --pid-file --preserve-fds" ;;
	events) valued="--interval" ;;
	exec) valued="--console-socket --pidfd-socket --cwd --env -e --user -u --additional-gids -g --process -p --pid-file --process-label --apparmor --cap -c --preserve-fds --cgroup" ;;
	explain) valued="--bundle -b" ;;
	list) valued="--format -f" ;;
	ps) valued="--format -f" ;;
	restore) valued="--image-path --work-path --manage-cgroups-mode --empty-ns --network-lock --bundle -b --console-socket --pid-file --lsm-profile --lsm-mount-context" ;;
	run) valued="--bundle -b --config -f --console-socket --pidfd-socket --pid-file --preserve-fds" ;;
	spec) valued="--bundle -b --file -f" ;;
	update) valued="--resources -r --blkio-weight --cpu-period --cpu-quota --cpu-burst --cpu-share --cpu-rt-period --cpu-rt-runtime --cpuset-cpus --cpuset-mems --cpu-idle --memory --memory-reservation --memory-swap --pids-limit --l3-cache-schema --mem-bw-schema" ;;
	validate) valued="--bundle -b" ;;
	*) valued= ;;
	esac
}

complete -F _ocirt ocirt
