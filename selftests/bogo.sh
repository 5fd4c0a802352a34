#!/bin/bash
# SPDX-License-Identifier: MIT
# bogo.sh [--sid] [PATTERNS]: runs BoringSSL's test runner against the engine: TAP with one case per
# family of tests, and a last line: bogo: P passed, F failed, U unimplemented, D disabled (of T).
# Called by `make check-bogo`. With PATTERNS (semicolons in between), only tests that match.
# A runner that cannot be fetched or built is a failure. --sid takes the newer runner and OpenSSL of
# Debian sid; all is skipped where there is none, and where sid has moved on to a runner that
# config.json does not know. BOGO_RUNNER names the folder of another runner, built there as
# runner.test; tests that only it has are run, too.
set -euo pipefail
cd "$(dirname "$0")/.."

suite=
[ "${1-}" != --sid ] || { suite=sid; shift; }
config=$PWD/selftests/bogo/config.json
shim=$PWD/build/selftests/bogo-shim
fetched=$PWD/build/bogo${suite:+-$suite}
cache=$fetched${BOGO_RUNNER:+-other}
workers=${BOGO_WORKERS:-$(nproc)}
# Run again and again, with each allocation of the engine failing in turn: both roles, both
# versions, resumption, a client certificate, a second ClientHello, what is stapled.
malloc_tests='Basic-Client-TLS-Sync;TicketCallback-Renew-TLS-TLS12;Client-Sign-Ed25519-TLS12'
malloc_tests+=';ClientAuth-ECDSA-Client-TLS13-TLS-Sync;TLS13-HelloRetryRequest-Server-TLS-Sync'
malloc_tests+=';Server-Verify-RSA_PSS_SHA256-TLS13;SignedCertificateTimestampList-Client-TLS-TLS13'

die() {
	echo "1..1"
	echo "not ok 1 - BoringSSL's test runner: $*"
	exit 1
}

skip() {
	echo "1..0 # SKIP $*"
	exit 0
}

# The runner starts one program, without arguments of ours.
use_debian() {
	[ -e "build/$suite/.complete" ] || skip "no Debian $suite in build/$suite: run selftests/fetch-debian.sh $suite"
	printf '#!/bin/sh\nexec "%s" %s "%s" "$@"\n' \
		"$PWD/selftests/with-debian.sh" "$suite" "$shim" > "$cache/shim"
	chmod +x "$cache/shim"
	shim=$cache/shim
}

# Sets android, the version whose tests config.json knows under "Only".
know_runner() {
	android=14
	[ -z "${BOGO_RUNNER-}" ] || return 0
	android=$(basename "$fetched"/source/*.dsc | sed -E 's/.*_([0-9]+)\..*/\1/')
	! grep -q "^		\"$android\": {" "$config" || return 0
	[ -z "$suite" ] || skip "selftests/bogo/config.json does not know the runner of Android $android"
	die "selftests/bogo/config.json does not know the runner of Android $android"
}

# run LOG ARGUMENT...: its exit status is no use, for it does not tell a failed test from a runner
# that broke off; report.py knows what must be in the log.
run() {
	local log=$1
	shift
	(cd "$runner" && ./runner.test -test.timeout 30m -pipe -allow-unimplemented \
		-num-workers "$workers" -handshaker-path "$shim" "$@") > "$log" 2>&1 || true
}

# Every test there is, in names.txt: a shim that can do nothing makes the runner list them.
list_tests() {
	cat > "$cache/nothing" <<-'end'
		#!/bin/sh
		[ "$1" != -is-handshaker-supported ] || { echo No; exit 0; }
		exit 89
	end
	chmod +x "$cache/nothing"
	run "$cache/names.log" -shim-path "$cache/nothing"
	grep -qx PASS "$cache/names.log" || die "it does not list its tests: see $cache/names.log"
	sed -n 's/^UNIMPLEMENTED (\(.*\))$/\1/p' "$cache/names.log" | sort > "$cache/names.tmp"
	mv "$cache/names.tmp" "$cache/names.txt"
}

selftests/deps.sh build bogo >&2 || die "a package is missing"
make -s bogo-shim >&2 || die "the shim does not build"
mkdir -p "$cache"
[ -z "$suite" ] || use_debian
# shellcheck disable=SC2086	# no argument where there is no suite
runner=${BOGO_RUNNER:-$(selftests/bogo/fetch.sh $suite)} || die "it cannot be fetched or built"
know_runner
lists=$(grep -qs 'ErrorMap  *map\[string\]\[\]string' "$runner"/*.go && echo lists || true)
[ "$cache/names.txt" -nt "$runner/runner.test" ] || list_tests
selftests/bogo/disabled.py "$cache/names.txt" "$config" $android $lists > "$cache/config.json"
run "$cache/run.log" -shim-path "$shim" -shim-config "$cache/config.json" -test "${1-}"
[ -n "${1-}" ] || run "$cache/malloc.log" -shim-path "$shim" -shim-config "$cache/config.json" \
	-malloc-test 0 -test "$malloc_tests"
exec python3 selftests/bogo/report.py "$cache/names.txt" "$config" $android "$cache/run.log" \
	"${1-}" "$cache/malloc.log" "$malloc_tests"
