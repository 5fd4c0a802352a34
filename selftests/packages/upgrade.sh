#!/bin/bash
# SPDX-License-Identifier: MIT
# The Debian packages in the life of a machine: systemd as PID 1 of a PID namespace, the kernel's own modprobe. Install,
# start, upgrade with a transfer running and with a broken configuration, the new module's turn, remove,
# reinstall, purge. Takes what selftests/packages.sh left in build/packages; DKMS=build lets DKMS compile in the
# guest, for ten minutes each time, instead of taking its modules from there. QUICK=1 ends after the upgrades: an
# emulated machine takes half a minute for each time that DKMS installs a module. TAP on standard output.
# Only for a guest, whose root is thrown away:
#	selftests/vm/run.sh --kernel 6.12 --smp 1 -- selftests/packages/upgrade.sh
slow=${slow-5}
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib.sh
. selftests/lib-systemd.sh
. selftests/packages/kernel.sh

[[ -e /mnt/out ]] || bail_out "this is no guest of selftests/vm/run.sh"
packages=$PWD/build/packages conf=/etc/tlsgate/tlsgated.conf
version=$(sed -n 's/.*TLSGATE_VERSION[[:space:]]*"\(.*\)".*/\1/p' kmod/uapi/tlsgate_version.h)

# ---- the machine ------------------------------------------------------------------------------

# Machines that build packages have a policy-rc.d by which these start no service.
set_up() {
	[[ ! -e /sys/module/tlsgate ]] || rmmod tlsgate || return
	mask_units && rm -f /etc/systemd/system/modprobe@.service /usr/sbin/policy-rc.d || return
	place_headers "$(realpath "build/kernels/$(uname -r)")" || return
	new_ca ca && new_cert one ecdsa ca DNS:localhost || return
	[[ ${DKMS-} = build ]] && return
	mkdir -p /usr/share/tlsgate-dkms && cp "$packages"/*.dkms.tar.gz /usr/share/tlsgate-dkms/
}

# inside()'s limit is too short for dpkg and compilers.
apply() {
	nsenter -t "$(init_pid)" --mount --pid env DEBIAN_FRONTEND=noninteractive dpkg "$@" >"$tmp/log/dpkg" 2>&1 ||
		fail "dpkg $*: $(tail -n 3 "$tmp/log/dpkg")"
}

said() {
	grep -qF -- "$1" "$tmp/log/dpkg" || fail "dpkg did not say '$1': $(tail -n 3 "$tmp/log/dpkg")"
}

is_active() {
	[[ $(inside systemctl is-active tlsgated) = active ]]
}

unit() {
	inside systemctl "$@" >"$tmp/log/systemctl" 2>&1 || fail "systemctl $*: $(tail -n 2 "$tmp/log/systemctl")"
}

loaded() {
	[[ $(</sys/module/tlsgate/version) = "$1" ]] || fail "loaded: $(</sys/module/tlsgate/version), wanted $1"
}

# Purged, modprobe no longer knows it.
unloads() {
	[[ ! -e /sys/module/tlsgate ]] || rmmod tlsgate 2>>"$tmp/log/rmmod"
}

# Its number in there; 0: none.
monitor() {
	inside systemctl show --value -p MainPID tlsgated
}

# ---- what a client gets -----------------------------------------------------------------------

# How it ends is the backend's affair.
serves() {
	limit 20 openssl s_client -connect 127.0.0.1:443 -CAfile "$tmp/ca.pem" -verify_return_error </dev/null >"$tmp/log/client" 2>&1
	grep -q '^subject=CN *= *one' "$tmp/log/client" || fail "a client is not served: $(head -n 2 "$tmp/log/client")"
}

size() {
	stat -c %s "$tmp/log/transfer"
}

grows() {
	local before
	before=$(size)
	wait_until 20 larger_than "$((before + 40000))" || fail "the transfer stands still at $before bytes"
}

larger_than() {
	(($(size) > $1))
}

in_the_kernel() {
	inside tlsgate show >"$tmp/log/show" 2>&1 && grep -q established "$tmp/log/show"
}

# ---- tests ------------------------------------------------------------------------------------

installs() {
	apply -i "$packages"/old/tlsgate{_,-dkms_}*.deb || return
	said "name a certificate in $conf" || return
	! is_active || fail "it runs without a certificate" || return
	[[ ! -e /sys/module/tlsgate ]] || fail "the module is loaded before anybody wants it"
}

starts_with_a_certificate() {
	cp "$tmp"/one.{pem,key} /etc/tlsgate/ && sed -i 's,example\.org\.,one.,' $conf || return
	unit enable --now tlsgated || return
	serves && loaded 0.1.0
}

carries_a_transfer() {
	spawn backend selftests/packages/backend.py 8080 "$tmp"
	ready backend 8080 || return
	spawn transfer sh -c 'sleep infinity | openssl s_client -quiet -verify_quiet -connect 127.0.0.1:443 -CAfile "$1" 2>/dev/null' sh "$tmp/ca.pem"
	wait_until 30 in_the_kernel || fail "no connection in the kernel: $(tail -n 2 "$tmp/log/show")" || return
	grows
}

upgrades() {
	local before
	before=$(monitor)
	apply -i "$packages"/new/tlsgate{_,-dkms_}*.deb || return
	said "module 0.1.0 is loaded and goes on with its connections; $version takes effect" || return
	loaded 0.1.0 || return
	is_active || fail "tlsgated does not run" || return
	[[ $(monitor) != "$before" ]] || fail "the old daemon goes on" || return
	serves && grows
}

ends_the_transfer_whole() {
	: >"$tmp/enough"
	wait_until 20 ends_with_its_number || fail "the transfer has no end" || return
	[[ $(tail -n 1 "$tmp/log/transfer") -eq $(($(head -n -1 "$tmp/log/transfer" | wc -c) - 1)) ]] ||
		fail "the backend sent $(tail -n 1 "$tmp/log/transfer") bytes, $(size) came in all" || return
	stop transfer
	rm "$tmp/enough"
}

ends_with_its_number() {
	tail -c 20 "$tmp/log/transfer" | grep -qE '^[0-9]+$'
}

# As the package said.
takes_the_new_module() {
	unit stop tlsgated && wait_until 20 inside modprobe -r tlsgate || fail "modprobe -r fails" || return
	unit start tlsgated || return
	serves && loaded "$version"
}

keeps_the_old_daemon() {
	local before
	before=$(monitor)
	sed -i 's/^gate web/gait web/' $conf
	apply -i "$packages"/new/tlsgate_*.deb || return
	said "goes on, since this version refuses $conf: correct it" || return
	[[ $(monitor) = "$before" ]] || fail "the daemon is another" || return
	serves || return
	sed -i 's/^gait web/gate web/' $conf
}

removes() {
	apply -r tlsgate tlsgate-dkms || return
	! is_active && ! pgrep tlsgated >"$tmp/log/left" || fail "tlsgated still runs" || return
	[[ -e $conf ]] || fail "the configuration is gone" || return
	[[ -z $(find "/lib/modules/$(uname -r)/updates" -name 'tlsgate.ko*' 2>/dev/null) ]] || fail "the module is still installed"
}

comes_back() {
	apply -i "$packages"/new/tlsgate{_,-dkms_}*.deb || return
	unit start tlsgated || return
	serves
}

purges() {
	apply -P tlsgate tlsgate-dkms || return
	! is_active || fail "tlsgated still runs" || return
	rm -f /etc/tlsgate/one.{pem,key}
	[[ ! -e $conf ]] || fail "the configuration is still there"
}

# ---- secure boot: docs/secure-boot.md -----------------------------------------------------------

# What the kernel answers, to insmod.
answers() {
	local said
	! said=$(insmod "$1" 2>&1) || { rmmod tlsgate; fail "$1 was loaded"; return; }
	[[ $said = *"$2"* ]] || fail "insmod says: $said"
}

# This cannot be taken back: to be the last.
refuses_what_is_not_signed() {
	inside systemctl stop tlsgated 2>/dev/null
	wait_until 20 unloads || fail "modprobe -r fails" || return
	echo 1 >/sys/module/module/parameters/sig_enforce || return
	answers "build/kmod/$(uname -r)/tlsgate.ko" 'Key was rejected by service'
}

refuses_a_key_that_is_not_enrolled() {
	openssl req -new -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=throw-away key' -outform DER -keyout "$tmp/mok.priv" \
		-out "$tmp/mok.der" 2>>"$tmp/log/openssl" && cp "build/kmod/$(uname -r)/tlsgate.ko" "$tmp/" &&
		"/lib/modules/$(uname -r)/build/scripts/sign-file" sha256 "$tmp/mok.priv" "$tmp/mok.der" "$tmp/tlsgate.ko" ||
		fail "it cannot be signed" || return
	[[ $(modinfo -F signer "$tmp/tlsgate.ko") = 'throw-away key' ]] || fail "its signer: $(modinfo -F signer "$tmp/tlsgate.ko")" || return
	answers "$tmp/tlsgate.ko" 'Key was rejected by service'
}

diagnose_logs=(dpkg systemctl transfer show)
set_up || bail_out "the machine cannot be set up"
boot || { diagnose systemd; bail_out "$why"; }
check 'installed, nothing runs, and the package says what to do' installs
check 'the example starts as soon as a certificate is named' starts_with_a_certificate
check 'a transfer is in the kernel' carries_a_transfer
check 'an upgrade leaves the module alone, says when the new one comes, and starts the new daemon' upgrades
check 'the transfer ends whole' ends_the_transfer_whole
check 'the new module comes as the package said' takes_the_new_module
check 'an upgrade with a broken configuration leaves the daemon alone, and says so' keeps_the_old_daemon
if [[ -z ${QUICK-} ]]; then
	check 'removed, nothing runs, and the configuration stays' removes
	check 'installed again, it runs with it' comes_back
	check 'purged, nothing is left' purges
fi
check 'a kernel that enforces signatures refuses a module without one' refuses_what_is_not_signed
check 'and one signed by a key that is not enrolled' refuses_a_key_that_is_not_enrolled
tap_end
