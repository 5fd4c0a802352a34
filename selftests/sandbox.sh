#!/bin/bash
# SPDX-License-Identifier: MIT
#
# sandbox.sh [SUITE]: what the daemon's processes parse, parsed under their own system call
# filters (selftests/sandbox/): odd certificates and CA files, engine unit tests, fuzz corpora. A
# program that a filter ends is a failure, and the log names the call. With SUITE, by the libc and
# libcrypto of the Debian in build/SUITE, and the daemon as a whole by them, too. TAP.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1

suite=${1-}
with=()
if [ -n "$suite" ]; then
	with=(selftests/with-debian.sh "$suite")
	[ -e "build/$suite/.complete" ] ||
		{ echo "1..0 # SKIP no Debian $suite in build/$suite: run selftests/fetch-debian.sh $suite"; exit 0; }
fi
make -s -j2 sandbox userspace || exit 1
tmp=$(mktemp -d "${TMPDIR:-/tmp}/tlsgate-test.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
log=$tmp/log

number=0 failed=0
# result WHAT COMMAND...: of a failure, what it did last and what it found wrong.
result() {
	local what=$1
	shift
	number=$((number + 1))
	if timeout 300 "$@" > "$log" 2>&1; then
		echo "ok $number - $what"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $number - $what"
	{ grep -a '^not ok' "$log"; tail -n 4 "$log"; } | sed 's/^/# /'
}

under() {
	local role=$1 name=${2##*/}
	shift
	result "$name under the filter of a $role" env SANDBOX_ROLE="$role" "${with[@]}" "$@"
}

# The daemon as a whole: by the machine's own libc and libcrypto, it is a suite of its own.
whole_daemon() {
	printf '#!/bin/sh\nexec "%s/selftests/with-debian.sh" "%s" "%s/build/tlsgated" "$@"\n' \
		"$PWD" "$suite" "$PWD" > "$tmp/tlsgated"
	chmod 755 "$tmp" "$tmp/tlsgated"
	result "the daemon serves, connects, reloads and replaces its children" \
		env TLSGATED="$tmp/tlsgated" NSS_MODULES="$(echo "$PWD/build/$suite"/usr/lib/*-linux-gnu)" \
		selftests/daemon.py powerless users_may client_certificates \
		resumes unix_backend reload_changes_the dead_ keylog lines_go under_the_filter
}

under worker build/sandbox/calls
under worker build/sandbox/zoo
under keyd build/sandbox/zoo
for program in $(make -s sandbox-names); do
	inputs=()
	[[ $program != */corpus_* ]] || inputs=("userspace/fuzz/corpus/${program#*/corpus_}"/*)
	under worker "$program" "${inputs[@]}"
done
[ -z "$suite" ] || whole_daemon
echo "1..$number"
exit $((failed > 0))
