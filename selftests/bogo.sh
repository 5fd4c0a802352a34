#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs BoringSSL's test runner against the engine: TAP with one case per family of tests, and a
# last line: bogo: P passed, F failed, U unimplemented, D disabled (of T). Called by `make
# check-bogo`. With an argument, only tests that match it (semicolon-separated patterns).
# A runner that cannot be fetched or built is a failure. BOGO_RUNNER names the folder of another one,
# built there as runner.test; tests that only it has are run, too.
set -euo pipefail
cd "$(dirname "$0")/.."

config=$PWD/selftests/bogo/config.json
shim=$PWD/build/selftests/bogo-shim
cache=$PWD/build/bogo${BOGO_RUNNER:+-other}
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
runner=${BOGO_RUNNER:-$(selftests/bogo/fetch.sh)} || die "it cannot be fetched or built"
lists=$(grep -qs 'ErrorMap  *map\[string\]\[\]string' "$runner"/*.go && echo lists || true)
[ "$cache/names.txt" -nt "$runner/runner.test" ] || list_tests
selftests/bogo/disabled.py "$cache/names.txt" "$config" $lists > "$cache/config.json"
run "$cache/run.log" -shim-path "$shim" -shim-config "$cache/config.json" -test "${1-}"
[ -n "${1-}" ] || run "$cache/malloc.log" -shim-path "$shim" -shim-config "$cache/config.json" \
	-malloc-test 0 -test "$malloc_tests"
exec python3 selftests/bogo/report.py "$cache/names.txt" "$config" "$cache/run.log" "${1-}" \
	"$cache/malloc.log" "$malloc_tests"
