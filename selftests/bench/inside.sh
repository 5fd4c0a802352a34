#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The measurement, in a guest whose clock counts instructions: every row for
# every subject, each printed while it runs, and one line each in $OUT/raw.csv:
#	row,subject,job,ends,suite,got,sent,count,instructions (job memory: bytes)
# ends: where its AEADs run (subjects.sh); got, sent: bytes per operation, as
# the client sees them; instructions: of the whole guest for count operations.
#
# Environment: BULK (bytes of a bulk transfer), TIMES (small transactions),
# ROWS, SUBJECTS (regular expressions: only these).

# The guest's clock leaps whenever all is idle: a deadline here ends only what run.sh should have.
slow=100000
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
tree=$here/../..
bench=$tree/build/bench
# shellcheck source-path=SCRIPTDIR
. "$here/../lib.sh"
bulk=${BULK:-$((16 << 20))}
times=${TIMES:-400}
# shellcheck source-path=SCRIPTDIR
. "$here/subjects.sh"
failed=0

# row | job | size | count | client's options | subjects
rows() {
	local others="tlsgate tlsgate-deliver tlsgate-user nginx-stream haproxy hitch stunnel"
	local relays="$others ktls-splice"
	local small=$times sockets="tlsgate-socket ktls-socket plain-socket"
	cat <<-ROWS
		download|get|$bulk|1||$relays nginx-deliver nginx-http nginx-http-ktls tlsgate-unix plain-relay none
		upload|put|$bulk|1||$relays tlsgate-unix plain-relay none
		transact-64|get|64|$small||$relays nginx-deliver nginx-http nginx-http-ktls tlsgate-unix plain-relay none
		transact-1k|get|1024|$small||$relays tlsgate-kernel nginx-deliver nginx-http nginx-http-ktls tlsgate-unix plain-relay none
		transact-16k|get|16384|$small||$relays nginx-deliver nginx-http nginx-http-ktls tlsgate-unix plain-relay none
		download-chacha20|get|$bulk|1|-c TLS_CHACHA20_POLY1305_SHA256|$others
		upload-chacha20|put|$bulk|1|-c TLS_CHACHA20_POLY1305_SHA256|$others
		download-aes256|get|$bulk|1|-c TLS_AES_256_GCM_SHA384|$others
		upload-aes256|put|$bulk|1|-c TLS_AES_256_GCM_SHA384|$others
		both-ways|both|$bulk|1||$relays plain-relay none
		churn|churn|1024|$((times / 4))||$relays tlsgate-kernel nginx-http nginx-http-ktls plain-relay none
		socket-send-256|send|256|$times||$sockets
		socket-send-16k|send|16384|$times||$sockets
		socket-sendfile-64k|sendfile|65536|$times||$sockets
		resume|resume|1024|$((times / 4))||$others tlsgate-kernel nginx-http
	ROWS
}

miss() {
	echo "bench: $1 $2: ${3:-failed}" | tee -a "$OUT/missing"
	failed=1
}

suite_of() {
	case $1 in
	*CHACHA20*) echo chacha20 ;;
	*AES_256*) echo aes256 ;;
	*) echo aes128 ;;
	esac
}

# instructions JOB SIZE COUNT OPTIONS SUBJECT: of the whole guest, for COUNT operations.
instructions() {
	local job=$1 size=$2 count=$3 options=$4 subject=$5
	[[ $(ends_of "$subject" "$job") != - ]] || options+=" -p"
	case $subject in
	*-socket) "$bench/sockets" "${subject%-socket}" "$job" "$size" "$count" ;;
	# shellcheck disable=SC2086 # a list of flags
	*) "$bench/client" $options "${port_of[$subject]}" "$job" "$size" "$count" ;;
	esac
}

measure() {
	local row=$1 job=$2 size=$3 count=$4 options=$5 subject=$6 got=$3 sent=0 used per
	used=$(instructions "$job" "$size" "$count" "$options" "$subject" 2> "$tmp/said") ||
		{ miss "$row" "$subject" "$(tail -n 1 "$tmp/said")"; return; }
	case $job in
	put) got=0 sent=$size ;;
	both) sent=$size ;;
	esac
	per=$((used / count))
	((count > 1)) || per=$(awk "BEGIN { printf \"%.3f\", $used / ($got + $sent) }")
	printf '%-20s %-16s %12s\n' "$row" "$subject" "$per"
	echo "$row,$subject,$job,$(ends_of "$subject" "$job"),$(suite_of "$options"),$got,$sent,$count,$used" \
		>> "$OUT/raw.csv"
}

run_rows() {
	local row job size count options subjects subject
	while IFS='|' read -r row job size count options subjects; do
		[[ $row =~ ^(${ROWS:-.*})$ ]] || continue
		for subject in $subjects; do
			[[ -n ${up[$subject]:-} || $subject = *-socket && $subject =~ ^(${SUBJECTS:-.*})$ ]] ||
				continue
			measure "$row" "$job" "$size" "$count" "$options" "$subject"
		done
	done < <(rows)
}

# growth_rows JOB: what growth or held.py has printed.
growth_rows() {
	local row subject count used
	while read -r row subject count used; do
		printf '%-20s %-16s %12s\n' "$row" "$subject" $((used / count))
		echo "$row,$subject,$1,-,aes128,0,0,$count,$used" >> "$OUT/raw.csv"
	done < "$tmp/growth"
}

# Sessions cost the others nothing: the same work with ever more of them.
measure_growth() {
	[[ growth =~ ^(${ROWS:-.*})$ && tlsgate =~ ^(${SUBJECTS:-.*})$ ]] || return 0
	"$bench/growth" 2 100 1000 10000 > "$tmp/growth" 2> "$tmp/said" ||
		miss growth tlsgate "$(tail -n 1 "$tmp/said")"
	growth_rows growth
}

# The daemon is out of the way of what it has handed over: bytes, not instructions.
measure_daemon() {
	[[ growth =~ ^(${ROWS:-.*})$ && -n ${up[tlsgate-kernel]:-} ]] || return 0
	"$here/held.py" "${pid_of[tlsgate-kernel]}" "${port_of[tlsgate-kernel]}" 100 300 1000 \
		> "$tmp/growth" 2> "$tmp/said" || miss growth tlsgate-kernel "$(tail -n 1 "$tmp/said")"
	growth_rows memory
}

# What the AEADs alone cost here: OpenSSL's in aead.txt, the kernel's in tcrypt.txt.  tcrypt
# measures while it is loaded, and refuses to stay.
measure_aeads() {
	local mode
	echo "measuring the AEADs alone"
	"$bench/aead" > "$OUT/aead.txt" || miss aead openssl
	for mode in 211 213; do
		modprobe -q tcrypt "mode=$mode" sec=0
	done
	dmesg | grep -E 'testing speed|operation in|byte blocks' > "$OUT/tcrypt.txt" || miss aead kernel
}

# All at once and first: what they do while they start must not be in anyone's figure.
start_all() {
	local subject
	for subject in "${!port_of[@]}"; do
		[[ $subject =~ ^(${SUBJECTS:-.*})$ ]] || continue
		echo "starting $subject"
		start "$subject" && up[$subject]=1 || miss start "$subject" "$why"
	done
}
declare -A up=()

prepare_bench || { echo "bench: $why: $(tail -n 3 "$tmp"/log/*)" >&2; exit 1; }
cp /proc/kallsyms "$OUT/kallsyms"
[[ -n ${NO_AEAD:-} ]] || measure_aeads
start_all
run_rows
measure_growth
measure_daemon
cp "$tmp"/log/* "$OUT/" 2>/dev/null
exit "$failed"
