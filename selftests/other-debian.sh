#!/bin/bash
# SPDX-License-Identifier: MIT
# other-debian.sh build|unit|daemon|bogo: builds and tests with the compiler, the libraries and the
# tools of the other Debian: 13, and on Debian 13 itself 12. TAP. `build` also builds the module, at
# W=1; the others want what it built. That Debian is a folder, build/with-SUITE,
# and what is built there is in its build/: nothing is installed on this machine.
# other-debian.sh fetch: unpacks it, once. Exit status 1, with one line that says why: it cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
. selftests/apt.sh
. selftests/chroot.sh

case $own_suite in
trixie) suite=bookworm ;;
*) suite=trixie ;;
esac
root=$PWD/build/with-$suite
log=$root.log

die() {
	echo "other-debian.sh: $*" >&2
	exit 1
}

# What it misses of the packages is installed each time: there may be new ones.
fetch() {
	mkdir -p build
	exec 9> "build/.with-$suite.lock"
	flock 9
	if [ ! -e "$root/.complete" ]; then
		selftests/fetch-debian.sh "$suite" || die "no Debian $suite"
		echo "deps: making a Debian $suite to build and test in, $root"
		copy_root "build/$suite" "$root"
		suite_sources "$suite" | as_root tee "$root/etc/apt/sources.list" > /dev/null
		as_root touch "$root/.complete"
	fi
	in_tree "$root" 'selftests/deps.sh build daemon bogo kernels' > "$log" 2>&1 ||
		die "installing its packages failed: $(tail -n 1 "$log") (all of it: $log)"
}

number=0 failed=0
# check WHAT COMMAND: in that Debian.
check() {
	number=$((number + 1))
	if in_tree "$root" "$2" > "$log" 2>&1; then
		echo "ok $number - $1 with Debian $suite"
	else
		failed=1
		echo "not ok $number - $1 with Debian $suite"
		tail -n 20 "$log" | sed 's/^/# /'
	fi
}

# In there: no warning is let pass.
module_is_clean() {
	local kernel=$1
	check "the module builds for $kernel at W=1 without a warning," "rm -rf build/kmod/\$(readlink build/kernels/$kernel)
		make -j2 module KDIR=build/kernels/$kernel/headers KARGS=W=1 > build/module.log 2>&1 &&
			! grep -i warning: build/module.log | grep -v 'compiler differs' || { cat build/module.log; exit 1; }"
}

case ${1-} in
fetch)
	fetch
	exit
	;;
esac
[ -e "$root/.complete" ] ||
	{ echo "1..0 # SKIP no Debian $suite in $root: run selftests/other-debian.sh fetch"; exit 0; }
case ${1-} in
build)
	check 'userspace builds' 'make -k -j2 userspace'
	check 'unit tests build' 'make -k -j2 unit-tests'
	check 'the shim of BoGo builds' 'make -k -j2 bogo-shim'
	module_is_clean 6.1
	module_is_clean 6.12
	;;
unit)
	for source in userspace/tests/test_*.c; do
		program=build/tests/$(basename "$source" .c)
		check "${program##*/}" "timeout -k 5 180 $program"
	done
	;;
daemon)
	in_tree "$root" selftests/daemon.py
	exit
	;;
bogo)
	# The runner is a program of this machine: not every mirror has each Debian's sources.
	selftests/bogo/fetch.sh > "$log" 2>&1 || { echo "1..0 # SKIP $(tail -n 1 "$log")"; exit 0; }
	as_root rm -rf "$root/build/bogo"
	as_root cp -aH build/bogo "$root/build/"
	in_tree "$root" selftests/bogo.sh
	exit
	;;
*) die "no part '${1-}': one of fetch, build, unit, daemon, bogo" ;;
esac
echo "1..$number"
exit $failed
