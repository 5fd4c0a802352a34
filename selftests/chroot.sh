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

# in_tree ROOT COMMAND: in this tree as ROOT sees it, whose build/ is one of ROOT's own, and as far as
# tests need one on a machine of its own. Its processes end with the command.
in_tree() {
	as_root mkdir -p "$1/build"
	as_root unshare --mount --pid --fork --kill-child sh -c 'set -e
		mount --bind "$1" "$1"		# a mount that unshare(1) in there finds at /
		mount -t proc proc "$1/proc"
		mount -t sysfs sys "$1/sys"
		mount --rbind /dev "$1/dev"
		mount -t tmpfs run "$1/run"
		mount -t tmpfs tmp "$1/tmp"
		mkdir -p "$1$PWD"		# it may lie below one of those
		mount --bind "$PWD" "$1$PWD"
		mount --bind "$1/build" "$1$PWD/build"
		exec chroot "$1" env -C "$PWD" sh -c "$2"' sh "$1" "$2"
}

# copy_root FROM TO: with this machine's way to the mirror, for apt in there.
copy_root() {
	as_root rm -rf "$2"
	as_root cp -aH "$1" "$2"
	as_root rm -f "$2/.complete"
	apt-config dump Acquire | as_root tee "$2/etc/apt/apt.conf.d/99machine" > /dev/null
	as_root cp -L /etc/resolv.conf "$2/etc/"
}
