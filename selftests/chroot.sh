# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the scripts share that unpack a Debian under build/ and run its programs there, as root or by
# sudo. To be sourced.

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# in_root ROOT COMMAND: objtool and others read /proc, whose mount goes with the command.
in_root() {
	as_root unshare --mount sh -c 'mount -t proc proc "$1/proc" && exec chroot "$1" sh -c "$2"' \
		sh "$1" "$2"
}

# copy_root FROM TO: with this machine's way to the mirror, for apt in there.
copy_root() {
	as_root rm -rf "$2"
	as_root cp -a "$1" "$2"
	as_root rm -f "$2/.complete"
	apt-config dump Acquire | as_root tee "$2/etc/apt/apt.conf.d/99machine" > /dev/null
	as_root cp -L /etc/resolv.conf "$2/etc/"
}
