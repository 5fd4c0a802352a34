#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make bench-native: CPU microseconds of the server's processes for a full TLS
# 1.3 handshake (ECDSA P-256, X25519), on this machine, no guest: tlsgated with
# --data-path=user and its peers in turn, ROUNDS times, medians.  Prints while
# it runs; build/bench/native.csv: subject,round,handshakes,microseconds.
#
# Environment: ROUNDS (5), COUNT (handshakes a round, 2000).

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
tree=$here/../..
bench=$tree/build/bench
# shellcheck source-path=SCRIPTDIR
. "$here/../lib.sh"
# How far nginx's own files go (subjects.sh).
bulk=$((1 << 20))
# shellcheck source-path=SCRIPTDIR
. "$here/subjects.sh"
subjects=(tlsgate-user nginx-stream haproxy hitch)
csv=$bench/native.csv

"$here/../deps.sh" build bench && make -s -C "$tree" userspace bench-programs || exit 1

# Every process below PID, and PID.
family() {
	local child
	echo "$1"
	for child in $(pgrep -P "$1"); do
		family "$child"
	done
}

# cpu NAME: microseconds its processes have run, utime and stime, in steps of a clock tick: hence
# many handshakes a round.
cpu() {
	local pid stat sum=0
	local -a fields
	for pid in $(family "${pid_of[$1]}"); do
		stat=$(< "/proc/$pid/stat") || continue
		read -ra fields <<< "${stat##*) }"
		sum=$((sum + fields[11] + fields[12]))
	done
	echo $((sum * 1000000 / $(getconf CLK_TCK)))
}

process_of() {
	case $1 in
	nginx-*) echo nginx ;;
	*) echo "$1" ;;
	esac
}

round() {
	local subject=$1 name before used
	name=$(process_of "$subject")
	before=$(cpu "$name")
	"$bench/client" -n "${port_of[$subject]}" churn 64 "$count" > /dev/null ||
		bail_out "$subject does not answer"
	# The client connects once more to warm up.
	used=$((($(cpu "$name") - before) / (count + 1)))
	echo "$subject: $used us"
	echo "$subject,$2,$count,$used" >> "$csv"
}

medians() {
	local subject
	for subject in "${subjects[@]}"; do
		awk -F, -v s="$subject" '$1 == s { print $4 }' "$csv" | sort -n |
			awk -v s="$subject" '{ v[NR] = $1 } END { print s ": median", v[int((NR + 1) / 2)],
				"us, from", v[1], "to", v[NR] }'
	done
}

count=${COUNT:-2000}
prepare_bench || bail_out "$why"
for subject in "${subjects[@]}"; do
	start "$subject" || bail_out "$subject: $why"
done
echo "subject,round,handshakes,microseconds" > "$csv"
for ((n = 1; n <= ${ROUNDS:-5}; n++)); do
	for subject in "${subjects[@]}"; do
		round "$subject" "$n"
	done
done
medians
