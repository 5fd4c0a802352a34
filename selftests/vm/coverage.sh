#!/bin/bash
# SPDX-License-Identifier: MIT
# Line and branch coverage of tlsgate.ko under the kselftests, on the kernel that users run: QEMU
# tells which of the module's instructions ran (coverage.c), its debug information which lines and
# branches those are (coverage.py). Ends with the share of each file and the lines that never ran.
#
#	selftests/vm/coverage.sh [PROGRAM...]	default: every program of selftests/*.c
#
# Environment: KERNEL (6.12), LIMIT (seconds for the guest, 1800).
set -euo pipefail
cd "$(dirname "$0")/../.."

kernel=${KERNEL:-6.12}
limit=${LIMIT:-1800}
out=$PWD/build/coverage
programs=("$@")
if [ $# -eq 0 ]; then
	for source in selftests/*.c; do
		programs+=("build/${source%.c}")
	done
fi
headers=$(readlink -f "build/kernels/$kernel/headers")
make -s kselftests userspace > /dev/null
make -s module KDIR="$headers" > /dev/null
release=$(cut -s -d'"' -f2 "$headers/include/generated/utsrelease.h")

rm -rf "$out"
mkdir -p "$out"
cc -std=c11 -Wall -Wextra -Werror -O2 -fPIC -shared -o "$out/coverage.so" selftests/vm/coverage.c
selftests/vm/run.sh --kernel "$kernel" --timeout "$limit" --out "$out" --log "$out/output.log" \
	--plugin "$out/coverage.so,into=$out/addresses" -- sh -c '
	cp /sys/module/tlsgate/sections/.text $OUT/base.text
	cp /sys/module/tlsgate/sections/.text.unlikely $OUT/base.text.unlikely 2>/dev/null
	selftests/vm/kselftests.sh "$@"' coverage "${programs[@]}" > "$out/run.log" 2>&1 ||
	{ tail -n 20 "$out/run.log" >&2; exit 1; }
selftests/vm/coverage.py "build/kmod/$release/tlsgate.ko" "$out" | tee "$out/report.txt"
