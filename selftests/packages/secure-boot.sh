#!/bin/bash
# SPDX-License-Identifier: MIT
# Secure boot as docs/secure-boot.md has it: firmware that enforces signatures has booted this kernel. TAP on standard
# output. The key that is enrolled is the one that OVMF's package brings for tests, in the firmware's own list (db):
#	selftests/vm/run.sh --kernel 6.12 --smp 1 --secure-boot --no-module -- selftests/packages/secure-boot.sh
slow=${slow-5}
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib.sh

module=build/kmod/$(uname -r)/tlsgate.ko
sign_file=$(realpath "build/kernels/$(uname -r)/headers")/scripts/sign-file
enrolled=/usr/share/ovmf/PkKek-1-snakeoil
export KBUILD_SIGN_PIN=snakeoil

# KEY CERTIFICATE: signs a copy of the module.
sign() {
	openssl x509 -in "$2" -outform DER -out "$tmp/key.der" && cp "$module" "$tmp/tlsgate.ko" &&
		"$sign_file" sha256 "$1" "$tmp/key.der" "$tmp/tlsgate.ko"
}

is_enforced() {
	mount -t efivarfs efivarfs /sys/firmware/efi/efivars && mount -t securityfs securityfs /sys/kernel/security ||
		fail "this machine was not booted by UEFI" || return
	[[ $(mokutil --sb-state 2>&1) = *'SecureBoot enabled'* ]] || fail "mokutil: $(mokutil --sb-state 2>&1)" || return
	grep -q '\[integrity\]' /sys/kernel/security/lockdown || fail "lockdown: $(</sys/kernel/security/lockdown)"
}

# FILE
is_refused() {
	local said
	! said=$(insmod "$1" 2>&1) || { rmmod tlsgate; fail "$1 was loaded"; return; }
	[[ $said = *'Key was rejected by service'* ]] || fail "insmod says: $said"
}

refuses_a_key_that_is_not_enrolled() {
	openssl req -new -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=throw-away key' -keyout "$tmp/other.key" \
		-out "$tmp/other.pem" 2>>"$tmp/log/openssl" && sign "$tmp/other.key" "$tmp/other.pem" || fail "it cannot be signed" || return
	is_refused "$tmp/tlsgate.ko"
}

takes_one_by_the_enrolled_key() {
	sign "$enrolled.key" "$enrolled.pem" || fail "it cannot be signed" || return
	insmod "$tmp/tlsgate.ko" 2>"$tmp/log/insmod" || fail "insmod: $(<"$tmp/log/insmod")" || return
	[[ -r /proc/net/tlsgate_stat ]] || fail "it is loaded, and does nothing" || return
	rmmod tlsgate
}

check 'the kernel was booted by secure boot' is_enforced
check 'it refuses the module unsigned' is_refused "$module"
check 'and signed by a key that is not enrolled' refuses_a_key_that_is_not_enrolled
check 'it takes the module signed by the enrolled key' takes_one_by_the_enrolled_key
tap_end
