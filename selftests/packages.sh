#!/bin/bash
# SPDX-License-Identifier: MIT
# The Debian packages: lintian, their scripts where there is no systemd and no kernel, and DKMS for every kernel
# whose headers are there: install, upgrade, remove, purge; QUICK=1: for 6.12 alone. In a root like this machine's, which is
# thrown away. Leaves packages, and modules as DKMS built them, in build/packages for upgrade.sh,
# which looks at the rest. TAP on standard output; needs root.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
out=$PWD/build/packages
version=$(sed -n 's/.*TLSGATE_VERSION[[:space:]]*"\(.*\)".*/\1/p' kmod/uapi/tlsgate_version.h)
guest=$(readlink build/kernels/6.12)
kernels=("$guest")
[[ -n ${QUICK-} || ! -e build/kernels/6.1 ]] || kernels+=("$(readlink build/kernels/6.1)")

builds() {
	selftests/packages/build.sh >"$tmp/log/build" 2>&1 || fail "$(tail -n 3 "$tmp/log/build")"
}

# Its one remark is about an upload to Debian.
is_clean() {
	lintian --allow-root --suppress-tags initial-upload-closes-no-bugs --fail-on error,warning \
		"$out"/new/*.deb >"$tmp/log/lintian" 2>&1 || fail "$(head -n 3 "$tmp/log/lintian")"
}

documents_are_whole() {
	local deb file
	for deb in "$out"/new/*.deb; do
		dpkg-deb -x "$deb" "$tmp/docs" || return
	done
	[[ -s $tmp/docs/usr/share/doc/tlsgate/SECURITY.md ]] || fail "no SECURITY.md" || return
	while read -r file; do
		links_exist "$file" || return
	done < <(find "$tmp/docs" -name '*.md*')
}

# ---- a root of its own ------------------------------------------------------------------------

# The mounts go with the process.
make_root() {
	mkdir "$tmp/mnt" || return
	spawn root unshare --mount sh -ec '
		mount -t tmpfs tmpfs "$1" && mkdir "$1/upper" "$1/work" "$1/root"
		mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
		mount -t proc proc "$1/root/proc"
		mount --bind /dev "$1/root/dev"
		mount --rbind "$2" "$1/root$2"
		mount --rbind "$3" "$1/root$3"
		: >"$1/root/ready"
		exec sleep infinity' sh "$tmp/mnt" "$PWD" "$(realpath build/kernels)"
	wait_until 20 test -e "/proc/${pid_of[root]}/root$tmp/mnt/root/ready"
}

in_root() {
	nsenter -t "${pid_of[root]}" --mount chroot "$tmp/mnt/root" /usr/bin/env -i \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"
}

# dpkg itself checks what they depend on: the packages that build and tests need have all of it.
apply() {
	in_root dpkg "$@" >"$tmp/log/dpkg" 2>&1 || fail "dpkg $*: $(tail -n 3 "$tmp/log/dpkg")"
}

installs_anywhere() {
	apply -i "$out"/new/*.deb || return
	in_root id tlsgate >"$tmp/log/id" 2>&1 && in_root id tlsgate-keys >"$tmp/log/id" 2>&1 ||
		fail "no system user: $(<"$tmp/log/id")" || return
	[[ $(in_root tlsgated --version) = "tlsgated $version" ]] || fail "tlsgated does not run"
}

is_gone() {
	local left
	apply -P "$@" || return
	left=$(in_root find /etc/tlsgate /usr/src /var/lib/dkms /lib/modules /usr/lib/tmpfiles.d /usr/sbin -name '*tlsgate*' 2>/dev/null)
	[[ -z $left ]] || fail "left: $left"
}

add_kernel() {
	local folder
	folder=$(realpath "build/kernels/$1") &&
		in_root bash -c '. "$1/selftests/packages/kernel.sh" && place_headers "$2"' bash "$PWD" "$folder" &&
		in_root sh -ec 'mkdir -p "/lib/modules/$2" && cp "$1/lib/modules/$2"/modules.[bo]* "/lib/modules/$2/" &&
			ln -sfn "/usr/src/linux-headers-$2" "/lib/modules/$2/build"' sh "$folder" "$1" ||
		fail "no kernel $1 in build/kernels"
}

# VERSION KERNEL: what DKMS has installed.
has_module() {
	local file found
	file=$(in_root find "/lib/modules/$2/updates" -name 'tlsgate.ko*' 2>/dev/null)
	found=$(in_root modinfo -F version "$file" 2>/dev/null)
	[[ $found = "$1" ]] || fail "$2 has module '$found', wanted $1: $(tail -n 3 "$tmp/log/dpkg")"
}

# For the guest, in which a compiler takes ten minutes.
keep_module() {
	in_root dkms mktarball -m tlsgate -v "$1" -k "$guest" --archive "tlsgate-$1.dkms.tar.gz" >"$tmp/log/dkms" 2>&1 &&
		in_root cat "/var/lib/dkms/tlsgate/$1/tarball/tlsgate-$1.dkms.tar.gz" >"$out/tlsgate-$1.dkms.tar.gz" ||
		fail "dkms mktarball: $(tail -n 2 "$tmp/log/dkms")"
}

builds_a_module() {
	add_kernel "$guest" && apply -i "$out"/old/tlsgate-dkms_*.deb && has_module 0.1.0 "$guest" && keep_module 0.1.0
}

# By the key that DKMS made, for secure boot.
is_signed() {
	local file signer
	file=$(in_root find "/lib/modules/$guest/updates" -name 'tlsgate.ko*')
	signer=$(in_root modinfo -F signer "$file")
	[[ $signer = *'DKMS module signing key' ]] || fail "its signer: '$signer'"
}

upgrades_for_every_kernel() {
	local kernel
	for kernel in "${kernels[@]}"; do
		add_kernel "$kernel" || return
	done
	apply -i "$out"/new/tlsgate-dkms_*.deb || return
	for kernel in "${kernels[@]}"; do
		has_module "$version" "$kernel" || return
	done
	keep_module "$version"
}

diagnose_logs=(dpkg)
check "packages of this tree and of the last version build" builds
check "lintian finds nothing" is_clean
check "their documents, and each link in them" documents_are_whole
make_root || bail_out "no root of its own: $(tail -n 1 "$tmp/log/root")"
check "they install where there is no systemd and no kernel" installs_anywhere
check "purged, they leave nothing" is_gone tlsgate tlsgate-dkms libtlsgate-dev libtlsgate0
check "DKMS builds the last version" builds_a_module
check "and signs it" is_signed
check "an upgrade replaces it, for ${kernels[*]}" upgrades_for_every_kernel
check "purged, that leaves nothing, either" is_gone tlsgate-dkms
tap_end
