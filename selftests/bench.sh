#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make bench: instructions per byte and per operation of tlsgate and its peers,
# all in one guest whose clock counts instructions.  Writes build/bench/report.md,
# results.csv and one SVG a row.
#
# Environment: KERNEL (6.12), BULK (bytes), TIMES (transactions), ROWS and
# SUBJECTS (regular expressions), LIMIT (seconds for the whole guest).

set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
kernel=${KERNEL:-6.12}
out=build/bench/out

selftests/deps.sh build guest bench || exit 1
headers=$(readlink -f "build/kernels/$kernel/headers") ||
	{ echo "bench: no kernel $kernel under build/kernels" >&2; exit 1; }
make -s userspace bench-programs && make -s module KDIR="$headers" >/dev/null || exit 1

rm -rf "$out"
mkdir -p "$out"
status=0
selftests/vm/run.sh --kernel "$kernel" --icount --timeout "${LIMIT:-5400}" --mem 3G --out "$out" -- \
	env ${BULK:+BULK="$BULK"} ${TIMES:+TIMES="$TIMES"} ROWS="${ROWS:-}" SUBJECTS="${SUBJECTS:-}" \
	selftests/bench/inside.sh || status=$?
# What was measured before something failed is worth a report too.
python3 selftests/bench/report.py "$out" build/bench "$kernel" || exit 1
sed -n '/^## Bars/,/^## AEADs/p' build/bench/report.md | grep '^|'
echo "build/bench/report.md"
exit "$status"
