# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Whether the module really carried the bytes: asked of its own counters, not
# of the daemon.  With --data-path=user there is nothing to ask.

stat_file=/proc/net/tlsgate_stat
declare -A mark=()

# counter NAME: its value; status 1 when the module has none of that name.
counter() {
	awk -v name="$1" '$1 == name { print $2; found = 1 } END { exit !found }' "$stat_file"
}

kernel_prepare() {
	[[ $path = kernel ]] || return 0
	[[ -r $stat_file ]] || bail_out "$stat_file is not there: load the module first"
	[[ -x $tlsgate ]] || bail_out "$tlsgate is not there: run \`make userspace\`"
	spawn monitor "$tlsgate" monitor --json
	wait_until 10 logged monitor 'following events' || bail_out "no events: $(<"$tmp/log/monitor")"
}

# kernel_mark, then kernel_carried SEALED OPENED: since the mark the module
# relayed, and sealed and opened at least so many bytes.
kernel_mark() {
	[[ $path = kernel ]] || return 0
	local name
	for name in relays_opened tx_bytes rx_bytes; do
		mark[$name]=$(counter "$name") || bail_out "$stat_file has no counter $name"
	done
}

grown() {
	echo $(($(counter "$1") - mark[$1]))
}

kernel_carried() {
	[[ $path = kernel ]] || return 0
	(($(grown relays_opened) > 0)) || { fail "the module counts no new relay"; return; }
	(($(grown tx_bytes) >= $1)) || { fail "the module sealed $(grown tx_bytes) of $1 bytes"; return; }
	(($(grown rx_bytes) >= $2)) || fail "the module opened $(grown rx_bytes) of $2 bytes"
}

# ---- what only the kernel's data path has --------------------------------------

# shown FILTER: `tlsgate show --json` has a session of which the Python expression is true.
shown() {
	"$tlsgate" show --json 2>/dev/null | "$python" -c '
import json, sys
found = [s for s in json.load(sys.stdin) if eval(sys.argv[1], {}, s)]
print(found[0]["id"] if found else "")
sys.exit(not found)' "$1"
}

# held_download GATE: in the background, as `held`; half of the blob has come
# when this returns, the other half waits for let_go.
held_download() {
	rm -f "$tmp/held" "$tmp/verdicts.go"
	spawn held curl -sSf --max-time $((60 * slow)) --cacert "$tmp/ca.pem" \
		--resolve "gate.test:${gate_port[$1]}:127.0.0.1" \
		-o "$tmp/held" "https://gate.test:${gate_port[$1]}/held"
	wait_until 20 test -s "$tmp/held" || fail "no byte came: $(<"$tmp/log/held")"
}

let_go() {
	local status=0
	: >"$tmp/verdicts.go"
	wait_until 60 gone "${pid_of[held]}"
	stop held || status=$?
	((status == 0)) || { fail "curl: status $status, $(<"$tmp/log/held")"; return; }
	cmp -s "$tmp/held" "$tmp/blob" || fail "downloaded bytes differ"
}

admin_rekeys() {
	local id
	held_download ecdsa || return 1
	id=$(shown 'state == "established" and role == "server" and version == "TLS 1.3"') ||
		{ fail "show does not list it: $("$tlsgate" show --json 2>&1)"; return; }
	"$tlsgate" rekey "$id" 2>"$tmp/said" || { fail "rekey: $(<"$tmp/said")"; return; }
	wait_until 10 shown "id == $id and tx_epoch == 1" >/dev/null || { fail "the epoch is not 1"; return; }
	let_go || return 1
	logged monitor '"rekeyed"' || fail "no event says so"
}

admin_closes() {
	local id
	held_download ecdsa || return 1
	id=$(shown 'state == "established"') || { fail "show does not list it"; return; }
	"$tlsgate" close "$id" --reset 2>"$tmp/said" || { fail "close: $(<"$tmp/said")"; return; }
	wait_until 20 gone "${pid_of[held]}" || { fail "the connection lives on"; return; }
	if stop held; then
		fail "curl took a cut transfer for a whole one"
	fi
}

# No session may need the daemon: not even one that is in full flow.
daemon_dies() {
	gate doomed "$http_port" ecdsa
	ready gate-doomed "${gate_port[doomed]}" && held_download doomed || return 1
	kill -KILL -- "${pid_of[gate-doomed]}" $(pgrep -P "${pid_of[gate-doomed]}")
	wait "${pid_of[gate-doomed]}" 2>/dev/null
	unset "pid_of[gate-doomed]" "gate_port[doomed]"
	let_go
}

no_sessions() {
	(($(counter sessions_current) == 0))
}

nothing_is_left() {
	local cut=2
	# Of fewer checks, only TLS 1.2's is sure to be cut once the kernel has it.
	[[ -z ${ONLY:-} ]] || cut=1
	wait_until 20 no_sessions || { fail "sessions left: $("$tlsgate" show)"; return; }
	(($(counter relays_opened) == $(counter relays_closed))) || { fail "relays left"; return; }
	(($(counter reason_bad_record_mac) == 0)) || { fail "records did not authenticate"; return; }
	(($(counter reason_truncated) >= cut)) || { fail "truncation was not counted"; return; }
	(($(counter tx_rekeys) > 0 && $(counter rx_rekeys) > 0)) || fail "rekeys were not counted"
}

kernel_serve() {
	[[ $path = kernel ]] || return 0
	diagnose_logs=(gate-ecdsa monitor)
	check "kernel: an administrator rekeys in mid-transfer" admin_rekeys
	check "kernel: an administrator resets a session" admin_closes
	check "kernel: a transfer outlives kill -9 of the daemon" daemon_dies
}

kernel_end() {
	[[ $path = kernel ]] || return 0
	diagnose_logs=(monitor)
	check "kernel: no session is left, and every end was counted" nothing_is_left
}
