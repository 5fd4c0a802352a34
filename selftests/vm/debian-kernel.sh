#!/bin/bash
# SPDX-License-Identifier: MIT
# debian-kernel.sh sid|backports: unpacks the newest kernel of Debian sid, or of the backports to Debian 13,
# builds the module for it with that Debian's compiler, and prints the kernel's folder, which run.sh takes as
# --kernel. Exit status 1, with one line that says why: it cannot be had, or the module does not build.
# The compiler is used where it is, in a folder build/SUITE-kernel, as root or by sudo: nothing of it is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. selftests/chroot.sh
PATH=$PATH:/usr/sbin:/sbin

suite=${1-}
case $suite in
sid) base=sid target=sid ;;
backports) base=trixie target=trixie-backports ;;
*) echo "debian-kernel.sh: unknown suite '$suite': sid or backports" >&2; exit 2 ;;
esac
root=$PWD/build/$suite-kernel
log=$PWD/build/$suite-kernel.log

die() {
	echo "debian-kernel.sh: $*" >&2
	exit 1
}

# The root's own suite has the compiler.
fetch_compiler() {
	[ ! -e "$root/.complete" ] || return 0
	selftests/fetch-debian.sh $base >&2 || die "no Debian $base"
	echo "debian-kernel: installing headers and compiler of $target into $root" >&2
	copy_root build/$base "$root"
	[ $target = $base ] || in_root "$root" "sed 's/ $base / $target /' /etc/apt/sources.list > /etc/apt/sources.list.d/target.list"
	in_root "$root" "export DEBIAN_FRONTEND=noninteractive
		apt-get update && apt-get -y --no-install-recommends -t $target install linux-headers-cloud-amd64 make binutils" > "$log" 2>&1 ||
		die "installing the headers failed: $(tail -n 1 "$log") (all of it: $log)"
	as_root touch "$root/.complete"
}

# Sets release and folder.
fetch_kernel() {
	local part
	release=$(cd "$root/usr/src" && echo linux-headers-*-cloud-amd64)
	release=${release#linux-headers-}
	folder=$PWD/build/kernels/$release
	[ ! -e "$folder/.complete" ] || return 0
	echo "debian-kernel: unpacking $release" >&2
	rm -rf "$folder"
	mkdir -p "$folder/boot" "$folder/lib"
	in_root "$root" "cd /tmp && apt-get download linux-binary-$release linux-modules-$release linux-base-$release" \
		> "$log" 2>&1 || die "no kernel $release: $(tail -n 1 "$log") (all of it: $log)"
	for part in binary modules base; do
		dpkg-deb -x "$root/tmp/linux-$part-$release"_*.deb "$folder/unpacked"
	done
	mv "$folder/unpacked/usr/lib/modules" "$folder/lib/"
	rm -rf "$folder/unpacked"
	mv "$folder/lib/modules/$release/vmlinuz" "$folder/boot/vmlinuz-$release"
	depmod -b "$folder" "$release"
	touch "$folder/.complete"
}

build_module() {
	as_root rm -rf "$root/src"
	as_root mkdir "$root/src"
	as_root cp -r Makefile Kbuild kmod userspace selftests packaging "$root/src/"
	in_root "$root" "cd /src && make module KDIR=/usr/src/linux-headers-$release KARGS=W=1" > "$log" 2>&1 ||
		die "the module does not build for $release: $log"
	! grep -i 'warning:' "$log" >&2 || die "the module builds for $release with warnings"
	mkdir -p "build/kmod/$release"
	cp "$root/src/build/kmod/$release/tlsgate.ko" "build/kmod/$release/"
}

exec 9> "build/.$suite-kernel.lock"
flock 9
fetch_compiler
fetch_kernel
build_module
echo "$folder"
