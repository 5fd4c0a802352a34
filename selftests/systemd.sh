#!/bin/bash
# SPDX-License-Identifier: MIT
# packaging/tlsgated.service as it is, under systemd as PID 1 of a PID namespace: start, reload, a reload
# that is refused, the journal, delivery, a crash, stop, under the limits that the unit sets. TAP on standard output.
# Writes into /usr/sbin and /etc: only for a guest, whose root is thrown away:
#	selftests/vm/run.sh --kernel 6.12 --smp 1 -- selftests/systemd.sh
#	... -- env ROUNDS=5 LOAD=1000 selftests/systemd.sh load	only restarts and upgrades under load, and more of them
slow=${slow-5}
cd "$(dirname "$0")/.." || exit 1
. selftests/lib.sh
. selftests/lib-systemd.sh

[[ -e /mnt/out ]] || bail_out "this is no guest of selftests/vm/run.sh"
[[ -x /lib/systemd/systemd ]] || { echo "1..0 # SKIP systemd is not installed"; exit 4; }
etc=/etc/tlsgate

install_files() {
	mkdir -p $etc &&
		install build/tlsgated build/tlsgate /usr/sbin/ &&
		cp packaging/tlsgated.service /etc/systemd/system/ && mask_units || return 1
	new_ca ca && new_cert one ecdsa ca DNS:localhost && cp "$tmp"/one.{pem,key} $etc/ &&
		new_cert two ecdsa ca DNS:localhost && cp "$tmp"/two.{pem,key} $etc/
}

# config [CERTIFICATE [FURTHER-LINE [LINE-OF-GATE]]]
config() {
	cat >$etc/tlsgated.conf <<-CONF
		workers = 1
		${2-}
		gate web {
			mode = serve
			listen = ":$port"
			backend = "127.0.0.1:$backend"
			cert = $etc/${1-one}.pem
			key = $etc/${1-one}.key
			${3-}
		}
	CONF
}

unit() {
	inside systemctl "$@" >"$tmp/log/systemctl" 2>&1
}

property() {
	inside systemctl show --value -p "$1" tlsgated
}

# The common name of the certificate that a client is shown.
served() {
	limit 10 openssl s_client -connect "127.0.0.1:$port" -CAfile "$tmp/ca.pem" -verify_return_error </dev/null 2>&1 |
		sed -n 's/^subject=CN *= *//p'
}

serves() {
	[[ $(served) = "$1" ]] || fail "a client is served: $(served)"
}

starts() {
	config
	unit start tlsgated || { why="systemctl start: $(inside systemctl status tlsgated 2>&1 | tail -n 5)"; return 1; }
	serves one
}

# NAME FIELD: of a process of tlsgated, as /proc/PID/status has it.
status_of() {
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$(pgrep -x "$1" | head -n 1)/status"
}

under_its_limits() {
	[[ $(status_of tlsgated NoNewPrivs) = 1 && $(status_of tlsgated Seccomp) = 2 ]] ||
		fail "the monitor has no filter" || return
	# CAP_SYS_ADMIN is number 21
	((0x$(status_of tlsgated CapBnd) >> 21 & 1)) && { fail "the monitor may have CAP_SYS_ADMIN"; return; }
	[[ $(status_of tlsgated-w0 CapEff) = 0000000000000000 ]] || fail "a worker has capabilities"
}

# The monitor's number outside of the PID namespace.
outer_pid() {
	pgrep -x tlsgated | head -n 1
}

control_socket() {
	local rights
	rights=$(inside stat -c '%a %G' /run/tlsgate/control) || fail "no /run/tlsgate/control" || return
	[[ $rights = '660 root' ]] || fail "rights of the socket: $rights" || return
	inside /usr/sbin/tlsgate gates | grep -q '^web ' || fail "tlsgate gates"
}

reloads() {
	config two
	unit reload tlsgated || fail "systemctl reload: $(<"$tmp/log/systemctl")" || return
	serves two
}

refuses_a_reload() {
	config absent
	! unit reload tlsgated || fail "a reload was refused, and systemctl says it was not" || return
	[[ $(property ActiveState) = active ]] || fail "state: $(property ActiveState)" || return
	serves two || return
	config two
	unit reload tlsgated || fail "the reload after that"
}

gives_the_socket_a_group() {
	config two 'control-group = adm'
	unit reload tlsgated || fail "systemctl reload: $(<"$tmp/log/systemctl")" || return
	[[ $(inside stat -c %G /run/tlsgate/control) = adm ]] || fail "its group: $(inside stat -c %G /run/tlsgate/control)"
}

has_metrics() {
	inside curl -sS --max-time 10 --unix-socket /run/tlsgate/metrics http://localhost/metrics >"$tmp/log/metrics" 2>&1 &&
		grep -q '^tlsgated_workers 1$' "$tmp/log/metrics"
}

answers_scrapers() {
	config two 'metrics = "unix:/run/tlsgate/metrics"'
	unit reload tlsgated || fail "systemctl reload: $(<"$tmp/log/systemctl")" || return
	wait_until 20 has_metrics || fail "curl: $(tail -n 3 "$tmp/log/metrics")" || return
	grep -q '^tlsgate_module_sessions_opened_total ' "$tmp/log/metrics" || fail "the module's counters are not there"
}

# FIELD...: of a connection's line in the journal.
has_line() {
	inside journalctl -q -o cat "$@" >"$tmp/log/journalctl" 2>&1 && grep -q '^connection gate=web ' "$tmp/log/journalctl"
}

logs_to_the_journal() {
	config two $'log = journal\n\t\tconnection-log = true'
	unit reload tlsgated || fail "systemctl reload: $(<"$tmp/log/systemctl")" || return
	serves two || return
	wait_until 20 has_line TLSGATE_GATE=web PRIORITY=6 SYSLOG_IDENTIFIER=tlsgated _SYSTEMD_UNIT=tlsgated.service ||
		fail "journalctl: $(tail -n 3 "$tmp/log/journalctl")" || return
	has_line TLSGATE_VERSION='TLS 1.3' TLSGATE_PATH=user || fail "the connection's fields"
}

# A server without TLS: each line back, behind the address of who sent it.
start_server() {
	spawn server python3 -c '
import socketserver, sys
class Who(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(self.client_address[0].encode() + b" " + line)
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Who).serve_forever()' "$plain"
	ready server "$plain"
}

# says TEXT: the client sends it, and has it back from the server.
says() {
	echo "$1" >&"$say"
	wait_until 20 grep -qx "127.0.0.2 $1" "$tmp/log/client" || fail "the server's answer: $(tail -n 2 "$tmp/log/client")"
}

delivers() {
	start_server || return
	config two "gate local { mode = serve  listen = \"127.0.0.1:$far\"  backend = \"127.0.0.1:$plain\"  deliver = always
		cert = $etc/two.pem  key = $etc/two.key }"
	unit reload tlsgated || fail "systemctl reload: $(<"$tmp/log/systemctl")" || return
	mkfifo "$tmp/say"
	exec {say}<>"$tmp/say"
	# shellcheck disable=SC2016
	spawn client sh -c 'exec openssl s_client -quiet -connect "127.0.0.1:$1" -bind 127.0.0.2:0 -CAfile "$2/ca.pem" \
		-verify_return_error <"$2/say"' sh "$far" "$tmp"
	says one
}

goes_on() {
	says two || return
	kill "${pid_of[client]}" "${pid_of[server]}"
}

comes_back() {
	local before
	before=$(outer_pid)
	kill -KILL "$before"
	wait_until 20 is_another "$before" || fail "it is not started again" || return
	wait_until 20 serves two
}

is_another() {
	[[ $(property ActiveState) = active && $(outer_pid) != "$1" ]]
}

stops() {
	unit stop tlsgated || fail "systemctl stop: $(<"$tmp/log/systemctl")" || return
	[[ $(property ActiveState) = inactive ]] || fail "state: $(property ActiveState)" || return
	! inside test -e /run/tlsgate/control || fail "its socket is still there"
}

is_told() {
	inside journalctl -q -o cat -u tlsgated >"$tmp/log/journalctl" 2>&1 && grep -q "$1" "$tmp/log/journalctl"
}

# A name that nobody knows keeps its own gate waiting, not the start.
starts_without_names() {
	config one "gate far { mode = connect  listen = \"127.0.0.1:$far\"  backend = \"db.invalid:5432\" }"
	unit start tlsgated || fail "systemctl start: $(<"$tmp/log/systemctl")" || return
	serves one || return
	wait_until 20 is_told "^far: backend 'db.invalid:5432' cannot be resolved" ||
		fail "journalctl: $(tail -n 3 "$tmp/log/journalctl")" || return
	[[ $(property ActiveState) = active && $(property NRestarts) = 0 ]] ||
		fail "state: $(property ActiveState), restarts: $(property NRestarts)"
}

main_pid() {
	property MainPID
}

is_another_main() {
	[[ $(main_pid) != "$1" && $(property ActiveState) = active ]]
}

restart() {
	unit restart tlsgated || fail "systemctl restart: $(<"$tmp/log/systemctl")"
}

# As a package does it.
upgrade() {
	local before
	before=$(main_pid)
	unit kill --kill-whom=main --signal=USR2 tlsgated || fail "systemctl kill: $(<"$tmp/log/systemctl")" || return
	wait_until 20 is_another_main "$before" || fail "no upgrade: $(inside journalctl -q -o cat -u tlsgated | tail -n 3)"
}

# Each ROUNDS times, while the kernel carries connections at half the rate that this guest carries.
changes_nothing_for_clients() {
	local i
	config one 'drain-time = 1m' 'data-path = kernel'
	restart || return
	spawn load selftests/daemonlib/load.py "$tmp/ca.pem" "$port" "$backend" "${LOAD-20}" "$tmp/enough"
	wait_until 60 logged load '^measured' || fail "load: $(tail -n 3 "$tmp/log/load")" || return
	for ((i = 0; i < ${ROUNDS-1}; i++)); do
		restart && upgrade || return
	done
	touch "$tmp/enough"
	wait_until $((60 + ${LOAD-20})) gone "${pid_of[load]}" || fail "the load does not end" || return
	sed 's/^/# /' "$tmp/log/load"
	stop load || fail "$(tail -n 4 "$tmp/log/load")" || return
	is_told 'the kernel, uncounted\|go on in the kernel' || fail "the daemon of before does not say what goes on"
}

# What is wrong in a new configuration is no harm for what runs.
refuses_an_upgrade() {
	local before
	before=$(main_pid)
	config absent
	unit kill --kill-whom=main --signal=USR2 tlsgated || fail "systemctl kill: $(<"$tmp/log/systemctl")" || return
	wait_until 20 is_told '^upgrade refused: ' || fail "journalctl: $(tail -n 3 "$tmp/log/journalctl")" || return
	[[ $(main_pid) = "$before" ]] || fail "another process is the service" || return
	serves one
}

# systemd has no question before a stop. It keeps the sockets, and tries again.
waits_for_a_correction() {
	config absent
	! unit restart tlsgated || fail "it started with a broken configuration" || return
	spawn waiting sh -c 'sleep infinity | openssl s_client -connect "$1" -CAfile "$2/ca.pem" -verify_return_error' sh \
		"127.0.0.1:$port" "$tmp"
	config one
	wait_until 30 grep -q '^subject=CN *= *one' "$tmp/log/waiting" ||
		fail "state: $(property ActiveState); a client: $(tail -n 2 "$tmp/log/waiting")" || return
	[[ $(property ActiveState) = active ]] || fail "state: $(property ActiveState)"
}

install_files || bail_out "files cannot be installed: $(tail -n 3 "$tmp/log/openssl")"
free_port
far=$port
free_port
plain=$port
free_port
backend=$port
free_port
config
diagnose_logs=(systemd systemctl client)
boot || bail_out "$why"
if [[ ${1-} = load ]]; then
	check 'restarts and upgrades break no connection' changes_nothing_for_clients
	tap_end
	exit
fi
check 'the unit starts, and a client is served' starts
check 'without more than it needs' under_its_limits
check 'tlsgate reaches it on its control socket' control_socket
check 'a reload takes the new certificate' reloads
check 'a reload that is refused fails, and what ran goes on' refuses_a_reload
check 'the control socket gets its group' gives_the_socket_a_group
check 'it answers scrapers' answers_scrapers
check 'its lines are in the journal, with their fields' logs_to_the_journal
check 'a gate delivers to a server' delivers
check 'it comes back when it was killed' comes_back
check 'it stops, and leaves no socket' stops
check 'what was delivered outlives both' goes_on
check 'it starts where no name is resolved' starts_without_names
check 'restarts and upgrades break no connection' changes_nothing_for_clients
check 'an upgrade that is refused changes nothing' refuses_an_upgrade
check 'after a restart with a broken configuration, clients wait for the correction' waits_for_a_correction
tap_end
