#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs a program of this build with the libraries of the Debian sid in build/sid, above all its newer
# OpenSSL; what sid's folder lacks, such as the sanitizers, stays this machine's. One TAP line
# that skips everything where there is no sid: see selftests/interop/fetch-sid.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

libraries=(build/sid/usr/lib/*-linux-gnu)
loader=(build/sid/lib*/ld-linux-*.so.*)
if [ ! -e build/sid/.complete ] || [ ! -x "${loader[0]}" ]; then
	echo "1..0 # SKIP no Debian sid in build/sid: run selftests/interop/fetch-sid.sh"
	exit 0
fi
own=$(ldd "$1" | sed -nE 's|.* => (.*)/libasan\..*|\1|p')
export OPENSSL_CONF=/dev/null
exec "${loader[0]}" --library-path "${libraries[0]}${own:+:$own}" "$@"
