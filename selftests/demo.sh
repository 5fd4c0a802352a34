#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `make demo`: builds all, boots Debian's 6.12 kernel in a guest and runs
# demo-inside.sh there.  HOST=1: on this machine's own kernel instead.
# INTERACTIVE=1: leaves it up, reachable from here, until Enter.
#
# Exit status 0 only when every byte matched, the module sealed and opened
# every record, and the kernel had nothing to complain about.

set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
out=build/demo
log=$out/log

say() {
	printf '\n==> %s  (%d s)\n' "$*" "$SECONDS"
}

die() {
	echo "demo: $*" >&2
	exit 1
}

build() {
	local kdir=$1
	say "building the programs"
	make -s -j"$(nproc)" userspace >"$log" 2>&1 || { tail -n 20 "$log"; die "the build failed: see $log"; }
	say "building tlsgate.ko"
	make -s -j"$(nproc)" module KDIR="$kdir" >"$log" 2>&1 || { tail -n 20 "$log"; die "the build failed: see $log"; }
	grep -a 'MODULE' "$log"
}

# A port of 127.0.0.1 that nothing listens on.
pick_port() {
	local port
	for port in 8443 9443 10443 11443 12443; do
		grep -qsE "$(printf ':%04X 0+:0000 0A ' $port)" /proc/net/tcp /proc/net/tcp6 ||
			{ echo $port; return 0; }
	done
	return 1
}

in_guest() {
	local options=(--kernel 6.12 --out "$out/guest" --log "$out/guest.log" --timeout 1200) port=
	if [[ -n ${INTERACTIVE:-} ]]; then
		port=$(pick_port) || die "no free port on 127.0.0.1 for the guest's 443"
		options=("${options[@]::6}" --timeout 86400 --interactive --forward "$port:443")
	fi
	say "booting Linux 6.12 in a guest"
	selftests/vm/run.sh "${options[@]}" -- env DEMO_PORT="$port" DEMO_SLOW=8 \
		selftests/demo-inside.sh
}

# Refuses in one line where the running kernel cannot take the module.
host_ready() {
	local release
	release=$(uname -r)
	[[ $(id -u) = 0 ]] || die "HOST=1 loads a module: run it as root"
	[[ -e /proc/modules ]] || die "HOST=1: this kernel ($release) takes no modules; run make demo without it"
	[[ -d /lib/modules/$release/build ]] ||
		die "HOST=1 needs this kernel's headers: install linux-headers-$release"
	[[ ! -d /sys/module/tlsgate ]] || die "HOST=1: tlsgate is loaded already; rmmod tlsgate first"
}

on_host() {
	local release status=0 module
	release=$(uname -r)
	module=build/kmod/$release/tlsgate.ko
	say "loading $module into this machine's kernel"
	echo 'tlsgate-demo: begin' >/dev/kmsg
	insmod "$module" || die "HOST=1: this kernel ($release) does not take the module: see dmesg; run make demo without HOST=1"
	DEMO_PORT=${INTERACTIVE:+443} DEMO_SLOW=1 OUT=$out/guest selftests/demo-inside.sh || status=1
	rmmod tlsgate || { echo "demo: the module does not unload" >&2; status=1; }
	if dmesg | sed '1,/tlsgate-demo: begin/d' | grep -E 'WARNING:|BUG:|Oops|Call Trace:|KASAN'; then
		echo "demo: the kernel complained: see dmesg" >&2
		status=1
	fi
	return $status
}

verdict() {
	if (($1)); then
		say "FAILED: see above and $out"
	else
		say "PASSED: every byte matched, the module sealed and opened every record, the kernel log is clean"
	fi
	exit "$1"
}

[[ -z ${HOST:-} ]] || host_ready
mkdir -p "$out/guest"
say "looking for the packages that are needed"
if [[ -n ${HOST:-} ]]; then
	selftests/deps.sh build demo || exit 1
	build "/lib/modules/$(uname -r)/build"
	on_host
else
	selftests/deps.sh build guest demo || exit 1
	build build/kernels/6.12/headers
	in_guest
fi
verdict $?
