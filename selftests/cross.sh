#!/bin/bash
# SPDX-License-Identifier: MIT
# cross.sh arm64|s390x TARGET...: makes targets for another architecture under build/ARCH, with the
# libraries in build/root-ARCH; selftests/deps.sh ARCH installs the compiler and unpacks that folder.
# cross.sh ARCH module KERNEL: the module, at W=1, for one of build/kernels: a warning is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

arch=$1
case $arch in
arm64) triplet=aarch64-linux-gnu ;;
s390x) triplet=s390x-linux-gnu ;;
*) echo "cross.sh: unknown architecture '$arch': arm64 or s390x" >&2; exit 2 ;;
esac
root=$PWD/build/root-$arch
[ -e "$root/.complete" ] || { echo "cross.sh: no $root: run selftests/deps.sh $arch" >&2; exit 1; }

if [ "${2-}" = module ]; then
	log=build/module-$3.log
	rm -rf "build/kmod/$(readlink "build/kernels/$3")"
	make -j2 module KDIR="build/kernels/$3/headers" ARCH="${arch/s390x/s390}" CROSS_COMPILE=$triplet- KARGS=W=1 \
		> "$log" 2>&1 && ! grep -i 'warning:' "$log" | grep -v 'compiler differs' ||
		{ tail -n 20 "$log" >&2; exit 1; }
	exit
fi
# An emulator of one process has no sanitizer's memory.
plain=()
[ "$arch" != s390x ] || plain=(SANITIZE='-O1 -g')
mkdir -p "build/$arch" build/linux
# The kernel's own files are the same.
[ -e "build/$arch/linux" ] || ln -s ../linux "build/$arch/linux"
export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$root/usr/lib/$triplet/pkgconfig:$root/usr/share/pkgconfig
exec make -j2 BUILD="build/$arch" CROSS_COMPILE=$triplet- CC="$triplet-gcc --sysroot=$root" PKG_CONFIG=pkg-config \
	"${plain[@]}" "${@:2}"
