#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: interop.sh user|kernel
#        interop.sh certs DIR
#
# tlsgated against clients and servers that others wrote, both roles, over the
# named data path; TAP on standard output.  `kernel` wants the module loaded
# (run it in a guest) and has every transfer's bytes looked for in the module's
# own counters.  `certs` makes the certificates only, for CERTS=DIR: in a
# guest they take half a minute, and on a debug kernel two.
#
# Environment: TLSGATED (the daemon; default: the one built here), CERTS (a
# folder made by `certs`), SIDES (serve: without the side that connects), ONLY
# (a regular expression: only checks whose name matches), KEEP=1 (leave the
# working directory behind), SEED (for the random bytes and ports).

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
path=${1:-}
case $path in
user) slow=1 many=20 blob_size=$((4 << 20)) ;;
kernel) slow=6 many=5 blob_size=$((1 << 20)) ;;
certs) [[ -d ${2:-} ]] || { echo "usage: interop.sh certs DIR" >&2; exit 2; } ;;
*)
	echo "usage: interop.sh user|kernel|certs DIR" >&2
	exit 2
	;;
esac

# shellcheck source-path=SCRIPTDIR
. "$here/lib.sh"
. "$here/interop/kernel.sh"
. "$here/interop/clients.sh"
. "$here/interop/serve.sh"
. "$here/interop/behaviour.sh"
. "$here/interop/connect.sh"
. "$here/interop/peers.sh"
. "$here/interop/browser.sh"

: "${SEED:=$RANDOM}"
RANDOM=$SEED
tlsgated=${TLSGATED:-$here/../build/tlsgated}
tlsgate=${TLSGATE:-$here/../build/tlsgate}
# The distribution's own before any version manager's.
python=/usr/bin/python3
[[ -x $python ]] || python=python3
node=node
have node || node=nodejs

make_certs() {
	new_ca ca && new_ca otherca &&
		new_cert ecdsa ecdsa ca DNS:gate.test &&
		new_cert rsa rsa ca DNS:gate.test &&
		new_cert ed25519 ed25519 ca DNS:gate.test &&
		new_cert expired ecdsa ca DNS:gate.test -days -1 &&
		new_cert other ecdsa ca DNS:other.test &&
		new_cert client_ecdsa ecdsa ca email:client@gate.test &&
		new_cert client_rsa rsa ca email:client@gate.test &&
		new_cert client_ed25519 ed25519 ca email:client@gate.test &&
		new_cert stranger ecdsa otherca email:client@gate.test ||
		bail_out "no certificates: $(tail -n 1 "$tmp/log/openssl")"
	make_peer_stores
}

prepare() {
	[[ -x $tlsgated ]] || bail_out "$tlsgated is not there: run \`make userspace\`"
	have openssl && have curl && have "$python" || bail_out "needs openssl, curl and python3"
	# The gates' workers, who are nobody, have to reach a socket in there.
	chmod 711 "$tmp"
	kernel_prepare
	if [[ -n ${CERTS:-} ]]; then
		cp -r "$CERTS/." "$tmp" || bail_out "no certificates in $CERTS"
	else
		make_certs
	fi
	openssl enc -aes-128-ctr -pass "pass:$SEED" -nosalt -pbkdf2 </dev/zero 2>/dev/null |
		head -c "$blob_size" >"$tmp/blob"
	head -c $((blob_size / 8)) "$tmp/blob" >"$tmp/part"
	head -c 3000 "$tmp/blob" >"$tmp/small"
	blob_sum=$(sha256_of "$tmp/blob")
	[[ $(stat -c %s "$tmp/blob") = "$blob_size" ]] || bail_out "no random bytes"
}

start_backend() {
	local name
	for name in http sum talk dead; do
		free_port
		printf -v "${name}_port" '%s' "$port"
	done
	: >"$tmp/verdicts"
	spawn backend "$python" "$here/interop/backend.py" "$tmp/blob" "$http_port" "$sum_port" \
		"$talk_port" "$tmp/verdicts"
	ready backend "$http_port" && ready backend "$talk_port" || bail_out "$why"
}

if [[ $path = certs ]]; then
	make_certs
	rm -r "$tmp/log"
	cp -r "$tmp/." "$2"
	exit
fi

echo "# data path $path, SEED=$SEED, $(openssl version | cut -d' ' -f1,2)"
prepare
start_backend

start_gates || bail_out "$why"
serve_table
serve_peers
# What the handshake alone decides never reaches the kernel.
if [[ $path = user ]]; then
	serve_refusals
	serve_client_refusals
	serve_names
	serve_peer_features
	serve_browser
fi
serve_behaviour
kernel_serve
check "every gate of serve lives, and ends in order" stop_gates

if [[ ${SIDES:-serve connect} = *connect* ]]; then
	start_servers || bail_out "$why"
	connect_table
	connect_peers
	if [[ $path = user ]]; then
		connect_refusals
		connect_peer_features
	fi
	connect_behaviour
	stop_servers
fi
kernel_end

tap_end
