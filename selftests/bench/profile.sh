#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make bench-profile: instructions by kernel function, exact, for every row of
# ROWS and subject of SUBJECTS (defaults: both bulk rows and one transaction,
# tlsgate).  QEMU counts (count.c), hot.py adds up.
#
# Environment: KERNEL (6.12), BULK (bytes), TIMES, ROWS, SUBJECTS, LIMIT.

set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
kernel=${KERNEL:-6.12}
bulk=${BULK:-$((8 << 20))}
times=${TIMES:-100}
out=$PWD/build/bench/profile
guest=(selftests/vm/run.sh --kernel "$kernel" --icount --out "$out")

selftests/deps.sh build guest bench || exit 1
headers=$(readlink -f "build/kernels/$kernel/headers") ||
	{ echo "profile: no kernel $kernel under build/kernels" >&2; exit 1; }
make -s userspace bench-programs && make -s module KDIR="$headers" >/dev/null || exit 1
rm -rf "$out"
mkdir -p "$out"

# The kernel is not moved about with a plugin: this address holds for the next boot too.
"${guest[@]}" --plugin "$PWD/build/bench/count.so,mark=0x1,into=$out/none" -- \
	sh -c "grep ' __x64_sys_sched_get_priority_max\$' /proc/kallsyms > \$OUT/mark" || exit 1
read -r mark _ < "$out/mark" || { echo "profile: the kernel does not have the mark" >&2; exit 1; }

"${guest[@]}" --timeout "${LIMIT:-1800}" \
	--plugin "$PWD/build/bench/count.so,mark=0x$mark,into=$out/counts" -- \
	env BULK="$bulk" TIMES="$times" ROWS="${ROWS:-download|upload|transact-1k}" \
	SUBJECTS="${SUBJECTS:-tlsgate}" NO_AEAD=1 selftests/bench/inside.sh || exit 1

number=0
while IFS=, read -r row subject _ _ _ got sent count _; do
	number=$((number + 1))
	per=$count
	((count > 1)) || per=$((got + sent))
	echo "== $row $subject, instructions per $( ((count > 1)) && echo operation || echo byte)"
	python3 selftests/bench/hot.py "$out/kallsyms" "$out/counts.$number" "$per" 40
done < "$out/raw.csv"
