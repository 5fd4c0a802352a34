#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What valgrind can show about secrets, with the engine that ships: memcheck, that no branch and
# no address depends on one; callgrind, that an RSA-encrypted premaster secret is answered in the
# same bytes and the same number of instructions whatever it decrypts to.  TAP of both programs.
set -u
cd "$(dirname "$0")/.." || exit 1

command -v valgrind >/dev/null ||
	{ echo "1..0 # SKIP no valgrind on this machine: selftests/deps.sh check installs it"; exit 0; }
make -s -j2 secrets || exit 1
counts=$(mktemp -d "${TMPDIR:-/tmp}/tlsgate-test.XXXXXX") || exit 1
trap 'rm -rf "$counts"' EXIT

# The complaints of the controls are wanted: they stay in a file, for when they are not.
failed=0
log=$counts/memcheck
valgrind --error-limit=no --log-file="$log" build/secrets/poison ||
	{ failed=1; head -n 60 "$log" | sed 's/^/# /'; }
valgrind -q --tool=callgrind --instr-atstart=no --callgrind-out-file="$counts/%p" \
	build/secrets/rsa_count "$counts" || failed=1
exit $failed
