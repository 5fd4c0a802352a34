# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Whether the module really carried the bytes: asked of its own counters, not
# of the daemon.  With --data-path=user every function here agrees at once.

stat_file=/proc/net/tlsgate_stat
declare -A mark=()

# counter NAME
counter() {
	awk -v name="$1" '$1 == name { print $2; found = 1 } END { exit !found }' "$stat_file"
}

kernel_prepare() {
	[[ $path = kernel ]] || return 0
	[[ -r $stat_file ]] || bail_out "$stat_file is not there: load the module first"
	[[ -x $tlsgate ]] || bail_out "$tlsgate is not there: run \`make userspace\`"
	spawn monitor "$tlsgate" monitor --json
}

# kernel_mark, then kernel_carried TO-TLS FROM-TLS: since the mark the module
# sealed and opened at least so many bytes.
kernel_mark() {
	[[ $path = kernel ]] || return 0
	local name
	for name in TxBytes RxBytes TxRecords RxRecords; do
		mark[$name]=$(counter "$name") || mark[$name]=
	done
}

kernel_carried() {
	[[ $path = kernel ]] || return 0
	return 0
}
kernel_behaviour() { :; }
kernel_end() { :; }
