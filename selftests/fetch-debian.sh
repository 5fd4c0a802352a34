#!/bin/bash
# SPDX-License-Identifier: MIT
# fetch-debian.sh SUITE: unpacks a minimal Debian SUITE under build/SUITE, for its libc and OpenSSL and
# the other libraries that our own programs need there. trixie is the next stable release; sid has
# OpenSSL 3.6, with ML-KEM. The mirror is that of the machine's own apt configuration. Exit
# status 1, with one line that says why: there is none. What is there from an earlier run is kept,
# if it has the same packages.
set -euo pipefail
cd "$(dirname "$0")/.."
. selftests/apt.sh
. selftests/chroot.sh

suite=$1
root=build/$suite
log=build/$suite.log
packages=openssl,libnl-3-200,libnl-genl-3-200,libev4t64,libconfuse2,libseccomp2,libcap-ng0
packages+=,libsystemd0,libjson-c5,libnss-myhostname,libcares2

die() {
	echo "fetch-debian.sh: $*" >&2
	exit 1
}

mkdir -p build
exec 9> "build/.$suite.lock"
flock 9
[ "$(cat "$root/.complete" 2> /dev/null)" != "$packages" ] || exit 0

from=$(mirror)
[ -n "$from" ] || die "apt knows no Debian mirror: is one configured, and did 'apt-get update' run?"
echo "deps: unpacking Debian $suite from $from into $root"
as_root rm -rf "$root"
export PATH=$PATH:/usr/sbin:/sbin
as_root debootstrap --variant=minbase --include=$packages "$suite" "$root" "$from" > "$log" 2>&1 ||
	die "debootstrap of $suite from $from failed: $(tail -n 1 "$log") (all of it: $log)"
# So that whoever builds can also delete it.
as_root chown -R "$(id -u):$(id -g)" "$root"
echo "$packages" > "$root/.complete"
