#!/bin/bash
# SPDX-License-Identifier: MIT
#
# sandbox.sh [SUITE]: what the daemon's processes parse, parsed under their own system call
# filters (selftests/sandbox/): odd certificates and CA files, engine unit tests, fuzz corpora. A
# program that a filter ends is a failure, and the log names the call. With SUITE, by the libc and
# libcrypto of the Debian in build/SUITE. TAP.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1

suite=${1-}
with=()
if [ -n "$suite" ]; then
	with=(selftests/with-debian.sh "$suite")
	[ -e "build/$suite/.complete" ] ||
		{ echo "1..0 # SKIP no Debian $suite in build/$suite: run selftests/fetch-debian.sh $suite"; exit 0; }
fi
make -s -j2 sandbox || exit 1
log=$(mktemp "${TMPDIR:-/tmp}/tlsgate-test.XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT

number=0 failed=0
# under ROLE PROGRAM [ARGUMENT...]; of a failure, what it did last and what it found wrong.
under() {
	local role=$1 name=${2##*/}
	shift
	number=$((number + 1))
	if SANDBOX_ROLE=$role timeout 300 "${with[@]}" "$@" > "$log" 2>&1; then
		echo "ok $number - $name under the filter of a $role"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $number - $name under the filter of a $role"
	{ grep -a '^not ok' "$log"; tail -n 4 "$log"; } | sed 's/^/# /'
}

under worker build/sandbox/calls
under worker build/sandbox/zoo
under keyd build/sandbox/zoo
for program in $(make -s sandbox-names); do
	inputs=()
	[[ $program != */corpus_* ]] || inputs=("userspace/fuzz/corpus/${program#*/corpus_}"/*)
	under worker "$program" "${inputs[@]}"
done
echo "1..$number"
exit $((failed > 0))
