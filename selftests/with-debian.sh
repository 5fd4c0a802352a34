#!/bin/bash
# SPDX-License-Identifier: MIT
# with-debian.sh SUITE PROGRAM [ARGUMENT...]: runs a program of this build with the libraries of the
# Debian in build/SUITE, above all its libc and OpenSSL; what that folder lacks, such as the
# sanitizers, stays this machine's. One TAP line that skips everything where there is none: see
# selftests/fetch-debian.sh.
set -euo pipefail
suite=$1
shift
root=$(dirname "$0")/../build/$suite
libraries=("$root"/usr/lib/*-linux-gnu)
loader=("$root"/lib*/ld-linux-*.so.*)
if [ ! -e "$root/.complete" ] || [ ! -x "${loader[0]}" ]; then
	echo "1..0 # SKIP no Debian $suite in build/$suite: run selftests/fetch-debian.sh $suite"
	exit 0
fi
own=$(ldd "$1" | sed -nE 's|.* => (.*)/libasan\..*|\1|p')
export OPENSSL_CONF=/dev/null
exec "${loader[0]}" --library-path "${libraries[0]}${own:+:$own}" "$@"
