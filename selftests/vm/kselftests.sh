#!/bin/bash
# SPDX-License-Identifier: MIT
# Inside a guest: runs each program named, one after another, leaving NAME.tap and NAME.status in
# $OUT. Exits 0 when all were run: what they found is in those files, for check.sh to count.
set -u
limit=${LIMIT:-300}

for program in "$@"; do
	name=${program##*/}
	echo "# $name"
	# So that a complaint of the kernel can be laid at somebody's door.
	echo "tlsgate-guest: run $name" > /dev/kmsg
	timeout -k 5 "$limit" "$program" 2>&1 | tee "$OUT/$name.tap"
	echo "${PIPESTATUS[0]}" > "$OUT/$name.status"
done
