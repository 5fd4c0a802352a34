#!/bin/bash
# SPDX-License-Identifier: MIT
# reproducible.sh: builds userspace and the module twice, of this tree's sources, in two folders whose
# files are of different times, and compares what comes out, byte by byte. TAP.
# KDIR names the kernel's headers, by default those of 6.12 under build/kernels.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1

kdir=$(realpath "${KDIR:-build/kernels/6.12/headers}")
tmp=$(mktemp -d "${TMPDIR:-/tmp}/tlsgate-test.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT

# build_in FOLDER DATE
build_in() {
	mkdir -p "$1" &&
		cp -r Makefile Kbuild kmod userspace selftests packaging "$1/" &&
		find "$1" -type f -exec touch -d "$2" {} + &&
		make -C "$1" -j2 userspace module KDIR="$kdir"
}

results() {
	(cd "$1/build" && find . -maxdepth 3 \( -name 'tlsgate' -o -name tlsgated -o -name '*.a' -o -name '*.so.*' \
		-o -name tlsgate.ko \) -type f | sort)
}

number=0 failed=0
result() {
	number=$((number + 1))
	if "${@:2}"; then echo "ok $number - $1"; else echo "not ok $number - $1"; failed=1; fi
}

for build in "one 2001-02-03" "another/folder 2024-05-06"; do
	read -r folder when <<< "$build"
	build_in "$tmp/$folder" "$when" > "$tmp/log" 2>&1 ||
		{ echo "1..1"; echo "not ok 1 - it builds"; tail -n 20 "$tmp/log" | sed 's/^/# /'; exit 1; }
done
result 'programs, libraries and the module are there' [ "$(results "$tmp/one" | wc -l)" -ge 5 ]
for file in $(results "$tmp/one"); do
	result "two builds of $(basename "$file") are the same bytes" \
		cmp "$tmp/one/build/$file" "$tmp/another/folder/build/$file"
done
echo "1..$number"
exit $failed
