#!/bin/bash
# SPDX-License-Identifier: MIT
# container.sh: the container image of docs/fleet.md, made of a debootstrapped root and run by
# systemd-nspawn: read-only, with the capabilities of packaging/kubernetes/daemonset.yaml and secrets as
# Kubernetes mounts them. `container.sh image` makes the image alone, in build/image. TAP.
# As root, in a network namespace of its own.
set -uo pipefail
cd "$(dirname "$0")/.."

image=build/image
make_image() {
	[ ! -e $image/.complete ] || return 0
	rm -rf $image
	packaging/kubernetes/image.sh $image && touch $image/.complete
}
[ "${1-}" != image ] || { make_image; exit; }
[ -e $image/.complete ] || { echo "1..0 # SKIP no $image: run selftests/container.sh image"; exit 0; }

[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP systemd-nspawn wants root"; exit 0; }
[ "${1-}" = inside ] || exec unshare --net "$0" inside
ip link set lo up

tmp=$(mktemp -d) number=0 failed=0 container=
trap '[ -z "$container" ] || kill "$container" 2>/dev/null; rm -rf "$tmp"' EXIT
chmod 755 "$tmp"

check() {
	local what=$1
	shift
	number=$((number + 1))
	if "$@" > "$tmp/said" 2>&1; then
		echo "ok $number - $what"
	else
		failed=1
		echo "not ok $number - $what"
		tail -n 8 "$tmp/said" "$tmp/log" | sed 's/^/# /'
	fi
}

# until_true COMMAND...: within a minute, while the container lives.
until_true() {
	local end=$((SECONDS + 60))
	until "$@"; do
		[ $SECONDS -lt $end ] && kill -0 "$container" 2> /dev/null || return 1
		sleep 0.1
	done
}

# secret FOLDER VERSION CN: as the kubelet writes it.
secret() {
	local folder=$tmp/certs/$1
	mkdir -p "$folder/..$2"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$folder/..$2/tls.key" \
		-out "$folder/..$2/tls.crt" -subj "/CN=$3" -days 30 2> /dev/null
	ln -sfn "..$2" "$folder/..data_tmp"
	mv -T "$folder/..data_tmp" "$folder/..data"
	ln -sfn ..data/tls.crt "$folder/tls.crt"
	ln -sfn ..data/tls.key "$folder/tls.key"
}

served_is() {
	openssl s_client -connect 127.0.0.1:443 < /dev/null 2> /dev/null | grep -q "^subject=.*$1\$"
}

resumes() {
	openssl s_client -connect 127.0.0.1:443 -tls1_2 "$@" < /dev/null 2> /dev/null | grep -q "^$kind, TLSv1.2"
}

config() {
	sed -n '/tlsgated.conf: |/,/^---/p' packaging/kubernetes/daemonset.yaml | sed '1d; $d; s/^    //' |
		sed "s/^\(\tbackend = \).*/\1\"127.0.0.1:8080\"/"
}

# capabilities PREFIX: of the manifest.
capabilities() {
	sed -n 's/^ *add: \[\(.*\)\]/\1/p' packaging/kubernetes/daemonset.yaml | tr -d ' ' | tr ',' '\n' | sed "s/^/$1/" | paste -sd,
}

start() {
	: > "$tmp/log"
	systemd-nspawn --quiet --register=no --keep-unit --read-only --directory=$image \
		--capability="$(capabilities CAP_)" --no-new-privileges=yes \
		--tmpfs=/run/tlsgate --bind-ro="$tmp/tlsgated.conf:/etc/tlsgate/tlsgated.conf" \
		--bind-ro="$tmp/certs:/etc/tlsgate/certs" --bind-ro="$tmp/tickets:/etc/tlsgate/tickets" \
		setpriv --bounding-set="-all,$(capabilities + | tr A-Z a-z)" \
		/usr/sbin/tlsgated -c /etc/tlsgate/tlsgated.conf < /dev/null > "$tmp/log" 2>&1 &
	container=$!
	until_true grep -q 'listening on' "$tmp/log"
}

stop() {
	local status
	pkill -QUIT -P "$container"
	wait "$container"
	status=$?
	container=
	return $status
}

mkdir "$tmp/tickets" "$tmp/certs"
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
python3 -m http.server --bind 127.0.0.1 --directory "$tmp/certs" 8080 > /dev/null 2>&1 &
backend=$!
trap 'kill "$backend"; [ -z "$container" ] || kill "$container" 2>/dev/null; rm -rf "$tmp"' EXIT
config > "$tmp/tlsgated.conf"
build/tlsgate ticket-key new "$tmp/tickets/tickets"
secret example-org 1 first
check 'the image serves, read-only and without the module' start
check 'a secret is the certificate' served_is first
kind=New
check 'a session' resumes -sess_out "$tmp/session"
secret example-org 2 second
check 'the next certificate, when ..data moves' until_true served_is second
check 'SIGQUIT ends it' stop
check 'another one is started' start
kind=Reused
check 'which resumes the session' resumes -sess_in "$tmp/session"
check 'it ends' stop
echo "1..$number"
exit $failed
