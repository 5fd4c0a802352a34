#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the debug kernel of debug.config from Debian's linux-source-6.12 and prints its folder,
# which run.sh takes as --kernel and whose headers/ is a KDIR. Takes some minutes the first time;
# kept under build/kernels/ by the hash of its configuration, its source and this script.
set -euo pipefail
cd "$(dirname "$0")/../.."

tarball=/usr/src/linux-source-6.12.tar.xz
config=selftests/vm/debug.config
[ -r $tarball ] || { echo "debug-kernel.sh: no $tarball: run selftests/deps.sh debug" >&2; exit 1; }
version=$(dpkg-query -W -f='${Version}' linux-source-6.12)
hash=$({ echo "$version"; cat $config selftests/vm/debug-kernel.sh; } | sha256sum | cut -c1-12)
top=$PWD/build/kernels/debug-$hash
if [ -e "$top/.complete" ]; then
	echo "$top"
	exit 0
fi

exec 9> build/.debug-kernel.lock
flock 9
[ ! -e "$top/.complete" ] || { echo "$top"; exit 0; }
rm -rf "$top"
mkdir -p "$top/source" "$top/build" "$top/boot"
echo "debug-kernel: unpacking $tarball" >&2
tar -C "$top/source" --strip-components=1 -xJf $tarball
# The stack is walked at each allocation and each reference to a namespace, which was a third of all
# instructions: the eight nearest callers tell enough.
shorten() {
	sed -i -E "s/^(#define $1[ \t]+)[0-9]+/\18/" "$top/source/$2"
	grep -qE "^#define $1\s+8\b" "$top/source/$2" ||
		{ echo "debug-kernel.sh: this source has no $1 in $2" >&2; exit 1; }
}
shorten KASAN_STACK_DEPTH mm/kasan/kasan.h
shorten MAX_TRACE mm/kmemleak.c
shorten REF_TRACKER_STACK_ENTRIES lib/ref_tracker.c
# As kmemleak is already: what looks for mistakes is not what they are looked for in, and lockdep
# and debugobjects are in the way of every lock and timer.
echo 'KASAN_SANITIZE_lockdep.o := n' >> "$top/source/kernel/locking/Makefile"
echo 'KASAN_SANITIZE_debugobjects.o := n' >> "$top/source/lib/Makefile"
# Nor in what reads the firmware's tables and checks BPF programs: this has to be booted, not tested.
for folder in drivers/acpi/acpica kernel/bpf; do
	printf '%s_SANITIZE := n\n' KASAN UBSAN >> "$top/source/$folder/Makefile"
done
make=(make -C "$top/source" O="$top/build" LOCALVERSION=-tlsgate-debug)
"${make[@]}" -s tinyconfig >&2
(cd "$top/build" && ../source/scripts/kconfig/merge_config.sh -m .config \
	"$OLDPWD/$config" > merge.log)
"${make[@]}" -s olddefconfig >&2
# An option whose condition does not hold vanishes in silence: refuse a kernel that is not as asked.
lost=$(grep -vxFf "$top/build/.config" $config | grep '^CONFIG' || true)
[ -z "$lost" ] || { echo "debug-kernel: the configuration lost:" $lost >&2; exit 1; }
echo "debug-kernel: compiling, some minutes; log in $top/build.log" >&2
"${make[@]}" -j"$(nproc)" bzImage modules > "$top/build.log" 2>&1 || {
	tail -n 20 "$top/build.log" >&2
	exit 1
}
release=$(cat "$top/build/include/config/kernel.release")
cp "$top/build/arch/x86/boot/bzImage" "$top/boot/vmlinuz-$release"
ln -s build "$top/headers"
touch "$top/.complete"
echo "$top"
