#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Unmodified servers, to which gates deliver, and each with its own client: 4 MiB down and up, the
# client's address in the server's log, and the module's own counters; TAP. Servers and clients are
# those of Debian 13 that selftests/servers/root.sh unpacks into build/servers. Clients have a network
# namespace of their own. Mounts and makes devices: only for a guest, whose root is thrown away:
#	selftests/vm/run.sh --kernel 6.12 --smp 1 -- selftests/servers.sh [SERVER...]
slow=${slow-10}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
# shellcheck source-path=SCRIPTDIR
. "$here/lib.sh"
path=kernel
. "$here/interop/kernel.sh"
. "$here/servers/http.sh"
. "$here/servers/data.sh"

tlsgated=$here/../build/tlsgated
root=$(realpath "$here/../build/servers")
blob_size=$((4 << 20))
gate4=192.0.2.1 gate6=2001:db8::1
client4=192.0.2.2 client6=2001:db8::2

# Of each server: where it listens, where its gate does, and what else that gate is told. For X there
# are X_start and X_use, and X_saw where one line in its log with the client's address is not enough.
table="
nginx		127.0.0.1:8001	$gate4:9001
apache		127.0.0.1:8002	$gate4:9002
haproxy		127.0.0.1:8003	$gate4:9003
python		127.0.0.1:8004	$gate4:9004
node		127.0.0.1:8005	$gate4:9005
java		[::1]:8006	[::]:9006
go		[::1]:8007	[::]:9007
redis		127.0.0.1:8008	$gate4:9008
postgres	127.0.0.1:8009	$gate4:9009	starttls = postgresql
memcached	127.0.0.1:8010	$gate4:9010
mosquitto	127.0.0.1:8011	$gate4:9011
"
declare -A listens=() gate_port=()
names=()

# ---- who runs where ------------------------------------------------------------------------------

# In the folder $tmp of that Debian.
in_root=(--root="$root" --wd="$root$tmp" env "PATH=/usr/sbin:/usr/bin:/usr/local/bin:/usr/lib/jvm/java-21-openjdk-amd64/bin")

from_client=(nsenter --net=/run/netns/client "${in_root[@]}")

# server NAME COMMAND...
server() {
	spawn "$1" nsenter "${in_root[@]}" "${@:2}"
}

# client COMMAND...: from the other network namespace.
client() {
	limit 20 "${from_client[@]}" "$@" 2>"$tmp/log/client"
}

last_words() {
	tail -n 2 "$tmp/log/client" | tr '\n' ' '
}

url() {
	echo "https://$gate4:${gate_port[$1]}"
}

url6() {
	echo "https://[$gate6]:${gate_port[$1]}"
}

# came_down FILE, came_up FILE, came_up_as SHA256: the bytes are the blob's; counted for what the
# module must have sealed and opened.
came_down() {
	[[ $(sha256_of "$1") = "$blob_sum" ]] || { fail "other bytes came: $(stat -c %s "$1") of them"; return; }
	sealed=$((sealed + blob_size))
}

came_up() {
	came_up_as "$(sha256_of "$1")"
}

came_up_as() {
	[[ $1 = "$blob_sum" ]] || { fail "the server has other bytes: $1"; return; }
	opened=$((opened + blob_size))
}

# ---- set-up --------------------------------------------------------------------------------------

make_network() {
	modprobe -q veth
	ip netns add client &&
		ip link add gate type veth peer name client netns client &&
		ip addr add $gate4/24 dev gate && ip addr add $gate6/64 dev gate nodad && ip link set gate up &&
		ip -n client addr add $client4/24 dev client &&
		ip -n client addr add $client6/64 dev client nodad && ip -n client link set client up
}

# The folder of this test is where it is, there, too.
make_root() {
	mount --bind /dev "$root/dev" && mount -t proc proc "$root/proc" &&
		mkdir -p "$root$tmp" && mount --bind "$tmp" "$root$tmp"
}

make_files() {
	mkdir "$tmp/www" && head -c $blob_size /dev/urandom >"$tmp/blob" && cp "$tmp/blob" "$tmp/www/" &&
		chmod 755 "$tmp" && chmod 777 "$tmp" "$tmp/www" "$tmp/log" &&
		cp "$here"/servers/*.{py,js} "$tmp/" || return 1
	blob_sum=$(sha256_of "$tmp/blob")
	head -c 3000 "$tmp/blob" >"$tmp/www/small"
	head -c 100000 "$tmp/blob" >"$tmp/www/part"
	new_ca ca && new_cert gate ecdsa ca "IP:$gate4,IP:$gate6"
}

# Of the servers named, or of all. HAProxy's backend is nginx.
read_table() {
	local name listen gate more
	: >"$tmp/gates.conf"
	while read -r name listen gate more; do
		[[ -n $name ]] || continue
		[[ $# = 0 || " $* " = *" $name "* ]] || continue
		names+=("$name")
		listens[$name]=$listen gate_port[$name]=${gate##*:}
		cat >>"$tmp/gates.conf" <<-CONF
			gate $name {
				mode = serve
				listen = "$gate"
				backend = "$listen"
				cert = $tmp/gate.pem
				key = $tmp/gate.key
				data-path = kernel
				deliver = always
				$more
			}
		CONF
	done <<<"$table"
}

start_gate() {
	local name
	spawn gate "$tlsgated" -c "$tmp/gates.conf"
	for name in "${names[@]}"; do
		ready gate "${gate_port[$name]}" || return
	done
}

start_all() {
	local name
	for name in "${names[@]}"; do
		"${name}_start" || bail_out "$name cannot be set up"
	done
	for name in "${names[@]}"; do
		ready "$name" "${listens[$name]##*:}" || bail_out "$why"
	done
	start_gate || bail_out "$why"
}

# ---- the checks ----------------------------------------------------------------------------------

# Those that prove a delivery.
mark_counters() {
	local name
	for name in sessions_opened deliveries_accepted tx_bytes rx_bytes; do
		mark[$name]=$(counter $name) || bail_out "$stat_file has no counter $name"
	done
	sealed=0 opened=0
}

saw_the_client() {
	if declare -F "$1_saw" >/dev/null; then
		"$1_saw"
	else
		logged "$1" "\\b$client4\\b"
	fi || fail "the server did not see $client4: $(tail -n 2 "$tmp/log/$1")"
}

was_delivered() {
	local sessions deliveries
	sessions=$(grown sessions_opened) deliveries=$(grown deliveries_accepted)
	((deliveries > 0 && sessions == deliveries)) || { fail "$sessions sessions, $deliveries delivered"; return; }
	(($(counter relays_opened) == 0)) || { fail "the module has relayed"; return; }
	(($(grown tx_bytes) >= sealed)) || { fail "the module sealed $(grown tx_bytes) of $sealed bytes"; return; }
	(($(grown rx_bytes) >= opened)) || fail "the module opened $(grown rx_bytes) of $opened bytes"
}

# serves NAME
serves() {
	mark_counters
	"$1_use" && saw_the_client "$1" && was_delivered
}

wanted() {
	[[ -n ${listens[$1]-} ]]
}

no_session() {
	(($(counter sessions_current) == 0))
}

nothing_is_left() {
	wait_until 20 no_session || { fail "sessions left: $("$here/../build/tlsgate" show)"; return; }
	(($(counter deliveries_queued) == $(counter deliveries_accepted) + $(counter reason_listener_closed))) ||
		fail "not every delivery was accepted, or ended by its server: $(grep -v ' 0$' "$stat_file")"
}

[[ -e /mnt/out ]] || bail_out "this is no guest of selftests/vm/run.sh"
[[ -r $stat_file ]] || bail_out "$stat_file is not there: the module is not loaded"
[[ -e $root/.complete ]] || { echo "1..0 # SKIP no servers in build/servers: run selftests/servers/root.sh"; exit 4; }
make_network && make_files && make_root || bail_out "no network, files or root: $(tail -n 1 "$tmp/log/openssl")"
[[ $# = 0 ]] || echo "# only some of the servers: $*"
read_table "$@"
start_all
for name in "${names[@]}"; do
	diagnose_logs=("$name" client gate)
	check "$name, 4 MiB down and up" serves "$name"
done
diagnose_logs=(nginx gate load1 load2)
! wanted nginx || check "nginx reloads under load, and no request fails" nginx_reloads
! wanted nginx || check "kill -9 of nginx, then of the gate, under 300 clients" nginx_and_gate_are_killed
! wanted postgres || check "PostgreSQL is shown no empty connection" no_empty_connection
! wanted go || ! mptcp_is_delivered_to || check "Go listens by MPTCP" go_listens_by_mptcp
check "no session is left" nothing_is_left
tap_end
