#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs inside a guest, started by init: prepares it, runs the command, inspects the kernel, and
# writes the token that run.sh takes for the result. Configuration and results are in $OUT:
#   guest.conf    (in)   nonce, tree, cwd, modules, module, forward, command
#   dmesg.log     (out)  the whole kernel log
#   problems      (out)  one line per reason why the run fails whatever the command said
#   token         (out)  "NONCE STATUS", written last
set -u
# shellcheck source=/dev/null
. "$OUT/guest.conf"

problem() {
	echo "$*" | tee -a "$OUT/problems"
}

ip link set lo up
sysctl -qw kernel.printk_devkmsg=on
[ -z "$modules" ] || { mkdir -p "/lib/modules/${modules##*/}" &&
	mount --bind "$modules" "/lib/modules/${modules##*/}"; } || problem "cannot see modules in $modules"
[ "$forward" = no ] || { ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 &&
	ip route add default via 10.0.2.2; } || problem "the guest's network card cannot be set up"

# Each is built in, or there is nothing like it in this kernel: only the generic ones must work.
if [ -n "$modules" ]; then
	for name in aesni_intel ghash_clmulni_intel chacha_x86_64 poly1305_x86_64 sha256_ssse3 \
		    sha512_ssse3 aes-ce-blk aes-ce-ccm ghash-ce chacha-neon poly1305-neon sha2-ce sha512-ce; do
		modprobe -q $name
	done
	for name in gcm ccm ctr cmac chacha20poly1305 hmac tls; do
		modprobe -q $name || problem "module $name does not load"
	done
fi

# What the kernel said while it booted is not ours.
echo 'tlsgate-guest: begin' > /dev/kmsg
leaks=/sys/kernel/debug/kmemleak
# The kernel's own scans every ten minutes find nothing that the one at the end does not.
[ ! -w $leaks ] || echo scan=off > $leaks

if [ -n "$module" ]; then
	depends=$(modinfo -F depends "$module" | tr , ' ')
	# shellcheck disable=SC2086
	[ -z "$depends" ] || modprobe -a $depends || problem "modules that tlsgate.ko needs do not load"
	error=$(insmod "$module" 2>&1) || problem "tlsgate.ko does not load: ${error##*: }"
	# For a test that unloads it and loads it again.
	export TLSGATE_MODULE=$module
fi

cd "$cwd" || problem "no folder $cwd in the guest"
status=125
if [ ! -e "$OUT/problems" ]; then
	# A child: the command may end its shell, or change its folder.
	("${command[@]}")
	status=$?
fi
cd /

# Sockets of a command that just ended may take a moment to let the module go.
unload() {
	local deadline=$((SECONDS + 20)) error
	while ! error=$(rmmod tlsgate 2>&1); do
		[ $SECONDS -lt $deadline ] || { problem "tlsgate.ko does not unload: $error"; return; }
		sleep 0.2
	done
}
[ -z "$module" ] || [ ! -d /sys/module/tlsgate ] || unload

if [ -w $leaks ]; then
	# kmemleak calls a block leaked only after five seconds and a second scan.
	sleep 6
	echo scan > $leaks
	echo scan > $leaks
	cat $leaks > "$OUT/kmemleak.log"
	[ ! -s "$OUT/kmemleak.log" ] || problem "kmemleak: $(grep -c '^unreferenced' "$OUT/kmemleak.log") leaked"
fi
dmesg > "$OUT/dmesg.log"
echo "$nonce $status" > "$OUT/token"
sync
