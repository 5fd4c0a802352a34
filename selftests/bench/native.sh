#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make bench-native: what handshakes cost the server on this machine, no guest:
# TLS 1.3, ECDSA P-256, X25519, AES-128-GCM; tlsgated with --data-path=user and
# its peers in turn, ROUNDS times, medians.  Prints while it runs, and writes
# build/bench/native.csv (row,subject,round,count,microseconds; two workers:
# of the busiest process; memory: bytes; first-request: time that passed)
# and build/bench/native.md.
#
# ICOUNT=1: the same in a guest whose clock counts instructions, thousands of
# them instead of microseconds, exact to a percent in one short round however
# busy the machine is: build/bench/native-icount.csv and .md.
#
# Environment: ROUNDS (41), COUNT (handshakes a round, 150: short,
# so that what else the machine does falls on all), ROWS, SUBJECTS.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
tree=$here/../..
bench=$tree/build/bench
out=${OUT:-$bench}
report=native
if [[ -n ${ICOUNT:-} ]]; then
	report=native-icount
	# The guest's clock leaps whenever all is idle.
	slow=100000
	: "${ROUNDS:=1}" "${COUNT:=80}"
fi
# shellcheck source-path=SCRIPTDIR
. "$here/../lib.sh"
# How far nginx's own files go (subjects.sh).
bulk=$((1 << 20))
# shellcheck source-path=SCRIPTDIR
. "$here/subjects.sh"
port_of[tlsgate-two]=9013

# row | the client's job | clients at once | subjects
rows=(
	"handshake | full | 1 | relays"
	"resumption | again | 1 | relays"
	"churn | churn | 1 | relays"
	"churn-resumed | resume | 1 | relays"
	"handshake-8 | full | 8 | relays"
	"churn-8 | churn | 8 | relays"
	"workers | full | 8 | tlsgate-user tlsgate-two"
	"first-request | first | 1 | relays"
	"memory-handshake | full | - | tlsgate libssl"
	"memory-resumption | resume | - | tlsgate libssl"
	"memory-held | memory | - | tlsgate libssl"
)
relays="${SUBJECTS:-tlsgate-user nginx-stream haproxy hitch}"
csv=$out/$report.csv
count=${COUNT:-150}

build() {
	"$here/../deps.sh" build bench ${ICOUNT:+guest} &&
		make -s -C "$tree" userspace bench-programs
}

in_guest() {
	mkdir -p "$bench/out" && "$here/../vm/run.sh" --icount --no-module --timeout "${LIMIT:-1800}" \
		--out "$bench/out" -- env ICOUNT=1 ROUNDS="$ROUNDS" COUNT="$COUNT" ROWS="${ROWS:-}" \
		SUBJECTS="${SUBJECTS:-}" selftests/bench/native.sh &&
		cp "$bench/out/$report".* "$bench"
}

# A guest has everything built, and sees a folder for what it makes.
if [[ -z ${OUT:-} ]]; then
	build || exit 1
	[[ -z ${ICOUNT:-} ]] || { in_guest; exit; }
fi

# Every process below PID, and PID.
family() {
	local child
	echo "$1"
	for child in $(pgrep -P "$1"); do
		family "$child"
	done
}

process_of() {
	case $1 in
	nginx-*) echo nginx ;;
	*) echo "$1" ;;
	esac
}

# cpu SUBJECT: a line for each of its processes: id, nanoseconds that it has run.
cpu() {
	local pid stat sum
	for pid in $(family "${pid_of[$(process_of "$1")]}"); do
		sum=0
		for stat in /proc/"$pid"/task/*/schedstat; do
			read -r stat _ < "$stat" && sum=$((sum + stat))
		done
		echo "$pid $sum"
	done
}

# used WHAT BEFORE AFTER: nanoseconds of all processes (sum) or of the busiest (max).
used() {
	join <(sort <<< "$2") <(sort <<< "$3") |
		awk -v what="$1" '{ n = $3 - $2; sum += n; if (n > max) max = n }
			END { print what == "sum" ? sum : max }'
}

# relayed JOB CLIENTS SUBJECT WHAT: microseconds a connection, in $result.
relayed() {
	local before after i ns each=$((count / $2)) failed=0
	local -a clients=()
	before=$(cpu "$3")
	for ((i = 0; i < $2; i++)); do
		"$bench/client" -n "${port_of[$3]}" "$1" 64 "$each" & clients+=($!)
	done
	for i in "${clients[@]}"; do
		wait "$i" || failed=1
	done
	after=$(cpu "$3")
	((!failed)) || bail_out "$3 does not answer"
	ns=$(used "$4" "$before" "$after")
	# Each client connects once more to warm up.
	result=$(awk -v ns="$ns" -v n="$(((each + 1) * $2))" 'BEGIN { printf "%.1f", ns / n / 1000 }')
}

# first_request SUBJECT: microseconds that pass from a new connection's first request to its
# answer, for a client that leaves its sockets' options alone, in $result.
first_request() {
	result=$("$bench/client" "${port_of[$1]}" first 64 "$count") || bail_out "$1 does not answer"
	result=$(awk -v ns="$result" 'BEGIN { printf "%.1f", ns / 1000 }')
}

# in_memory JOB SUBJECT: microseconds, or bytes, in $result.
in_memory() {
	result=$("$bench/handshake" "$2" "$1" "$count" "$tmp/cert.pem" "$tmp/cert.key") ||
		bail_out "$2: $1 in memory does not work"
	[[ $1 == memory ]] || result=$(awk -v ns="$result" 'BEGIN { printf "%.1f", ns / 1000 }')
}

measure() {
	local row=$1 job=$2 clients=$3 subject=$4 what=sum count=$count
	# Enough for the kernel's choice of a listener to even out.
	[[ $row != workers ]] || what=max count=$((count * 5))
	if [[ $clients == - ]]; then
		in_memory "$job" "$subject"
	elif [[ $job == first ]]; then
		first_request "$subject"
	else
		relayed "$job" "$clients" "$subject" "$what"
	fi
	echo "$row $subject: $result"
	echo "$row,$subject,$5,$count,$result" >> "$csv"
}

# all DO: DO row job clients subject, for each of the rows wanted.
all() {
	local line row job clients subjects subject
	for line in "${rows[@]}"; do
		IFS='|' read -r row job clients subjects <<< "${line// | /|}"
		[[ -z ${ROWS:-} || " $ROWS " == *" $row "* ]] || continue
		# where the clock counts instructions, it leaps while all wait
		[[ -z ${ICOUNT:-} || $job != first ]] || continue
		[[ $subjects != relays ]] || subjects=$relays
		for subject in $subjects; do
			"$1" "$row" "$job" "$clients" "$subject" "${2:-}"
		done
	done
}

start_once() {
	[[ $3 != - && -z ${started[$4]:-} ]] || return 0
	start "$4" || bail_out "$4: $why"
	started[$4]=1
}
declare -A started=()

prepare_bench || bail_out "$why"
all start_once
echo "row,subject,round,count,value" > "$csv"
for ((n = 1; n <= ${ROUNDS:-41}; n++)); do
	all measure "$n"
done
python3 "$here/native.py" "$csv" "$out/$report.md" "${ICOUNT:+thousand instructions}"
