#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs every test and ends with one line: N passed, M failed, K skipped. Called by `make check`.
# A debug kernel (KASAN, lockdep, kmemleak, fault injection), built the first time, runs the faults
# and the races; --all runs every kselftest, the interop and long fuzzing on it, and every kselftest
# on the newest kernels of Debian sid and of the backports, on PREEMPT_RT and on arm64.
#
# A suite is a function that leaves TAP in build/check/NAME.log and returns the exit status of what
# it ran. Silence is no pass: a suite counts one failure more when it has no result, has no plan or
# another number of results than planned, or exits non-zero without a `not ok` that explains it.
set -uo pipefail
cd "$(dirname "$0")/.."

kernels=(6.1 6.12)
export WERROR=1
more_deps=()
case ${1-} in
'') all=no ;;
--all) all=yes more_deps=(rt secure-boot) ;;
*) echo "check.sh: unknown option '$1': only --all" >&2; exit 2 ;;
esac

logs=build/check
started=$SECONDS
debug_kernel=
declare -A debian_kernel=()
selftests/deps.sh build guest check packages peers debug arm64 s390x "${more_deps[@]}" || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }
rm -rf $logs
mkdir -p $logs

# ---- counting ----------------------------------------------------------------------------------

# tap_count LOG STATUS: prints "PASSED FAILED SKIPPED" and, from the second line on, what failed.
tap_count() {
	awk -v status="$2" '
		function bad(what) { failed++; why = why "\n\t" what }
		{ sub(/\r$/, "") }
		/^1\.\.0/ { planned = 1; none = 1; skipped++; if (status == 4) status = 0; next }
		/^1\.\.[0-9]+/ { planned = 1; plan += substr($1, 4); next }
		/^ok([ \t]|$)/ { results++; if (/# *[Ss][Kk][Ii][Pp]/) skipped++; else passed++; next }
		/^not ok([ \t]|$)/ { results++; bad($0); next }
		END {
			if (!results && !none)
				bad("no result at all (exit status " status ")")
			else if (!planned)
				bad("no plan (1..N): it may have ended early")
			else if (plan + 0 != results + 0)
				bad(plan + 0 " tests planned, " results + 0 " reported (exit status " status ")")
			else if (status != 0 && !failed)
				bad("exit status " status " though no test failed")
			printf "%d %d %d%s\n", passed, failed, skipped, why
		}' "$1"
}

# finish_suite NAME STATUS SECONDS [LOG]: counts, keeps the sums, prints one line and the failures.
finish_suite() {
	local name=$1 status=$2 seconds=$3 log=${4:-$logs/$1.log} counts line passed failed skipped
	counts=$(tap_count "$log" "$status")
	read -r passed failed skipped <<< "$counts"
	echo "$passed $failed $skipped" > "$logs/$name.count"
	printf -v line '%-30s %4d passed %4d failed %4d skipped %5d s' \
		"$name" "$passed" "$failed" "$skipped" "$seconds"
	[ "$failed" -eq 0 ] || line+="   see $log"$'\n'${counts#*$'\n'}
	echo "$line"
}

# run_suite NAME FUNCTION [ARGUMENT...]
run_suite() {
	local name=$1 began=$SECONDS status=0
	shift
	"$@" > "$logs/$name.log" 2>&1 || status=$?
	finish_suite "$name" $status $((SECONDS - began))
}

# Each suite is a process group of its own, so that an interrupted check leaves nothing behind.
set -m
stop_suites() {
	local group
	for group in $(jobs -pr); do
		kill -TERM -- "-$group" 2>/dev/null
	done
	wait
	echo "check: interrupted" >&2
	exit 130
}
trap stop_suites INT TERM HUP

# At most two at once: the machine this must be quick on has two cores.
suites=()
start_suite() {
	suites+=("$1")
	# Again and again: wait -n is also back for one that ended long ago.
	while [ "$(jobs -pr | wc -l)" -ge 2 ]; do
		wait -n
	done
	run_suite "$@" < /dev/null &
}

# ---- suites ------------------------------------------------------------------------------------

tap_case() {
	local number=$1 name=$2
	shift 2
	if "$@"; then echo "ok $number - $name"; else echo "not ok $number - $name"; fi
}

# have_kernel KERNEL: else what would have run on it is skipped.
have_kernel() {
	[[ $1 = */* ]] || [ -e "build/kernels/$1/.complete" ] ||
		{ echo "1..0 # SKIP no kernel $1 in build/kernels: run selftests/deps.sh guest"; return 1; }
}

# From nothing, since only a full build shows every warning; kbuild's remark that the compiler is
# a later build of the same version is about the kernel, not the module.
module_is_clean() {
	local kernel=$1 log=$logs/module-$1.log
	rm -rf "build/kmod/$(readlink "build/kernels/$kernel")"
	make -j2 module KDIR="build/kernels/$kernel/headers" KARGS=W=1 > "$log" 2>&1 &&
		! grep -i 'warning:' "$log" | grep -v 'compiler differs' ||
		{ tail -n 20 "$log" | sed 's/^/# /'; return 1; }
}

suite_build() {
	local number=5 kernel
	echo "1..$((5 + ${#kernels[@]}))"
	tap_case 1 'userspace builds' make -k -j2 userspace
	tap_case 2 'unit tests build' make -k -j2 unit-tests
	tap_case 3 'kselftests build' make -k -j2 kselftests
	tap_case 4 'peers for the interop tests build' make interop-peers
	mkdir $logs/certs
	tap_case 5 'certificates for the interop tests in guests' selftests/interop.sh certs $logs/certs
	for kernel in "${kernels[@]}"; do
		number=$((number + 1))
		have_kernel "$kernel" > /dev/null ||
			{ echo "ok $number # SKIP no kernel $kernel: deps.sh says why"; continue; }
		tap_case $number "module builds for $kernel at W=1 without a warning" \
			module_is_clean "$kernel"
	done
}

# Made again first: after a source that does not compile, an old program must not stand in.
suite_program() {
	make -s "$1" && UBSAN_OPTIONS=print_stacktrace=1 timeout --foreground -k 5 180 "$1"
}

# SMP: the guest's CPUs, two where the caller does not say. What needs no second one takes a fifth
# less of an emulator without it, a third less on the debug kernel.
suite_guest() {
	local kernel=$1 name=$2 limit=$3
	shift 3
	selftests/vm/run.sh --kernel "$kernel" --smp "${SMP-2}" --timeout "$limit" --mem 2G \
		--out "$logs/$name.out" --log "$logs/$name.guest.log" -- "$@"
}

# The same with the OpenSSL of Debian sid, which has ML-KEM.
suite_program_sid() {
	make -s "$1" && UBSAN_OPTIONS=print_stacktrace=1 \
		timeout --foreground -k 5 180 selftests/with-debian.sh sid "$1"
}

# The guest's own health is one test of its own; each program is a suite counted by itself.
suite_kselftests() {
	local kernel=$1 name=$2 limit=1500 status=0
	local -a fewer=()
	shift 2
	# Each program's share is a fifth; the debug kernel is several times slower.
	[[ $kernel != arm64-* ]] || limit=4500
	[ "$kernel" != "$debug_kernel" ] || { limit=4500; fewer=(ROUNDS=20); }
	suite_guest "$kernel" "$name" $limit env LIMIT=$((limit / 5)) "${fewer[@]}" \
		selftests/vm/kselftests.sh "$@" || status=$?
	echo 1..1
	tap_case 1 "guest $kernel ran to its end, the module unloaded, the kernel did not complain" \
		[ $status -eq 0 ]
}

kselftest_counts() {
	local name=$1 program log status
	shift
	for program in "$@"; do
		log=$logs/$name.out/${program##*/}
		status=$(cat "$log.status" 2>/dev/null || echo 'unknown: it did not end')
		[ -e "$log.tap" ] || { mkdir -p "${log%/*}"; : > "$log.tap"; }
		suites+=("$name.${program##*/}")
		finish_suite "$name.${program##*/}" "$status" 0 "$log.tap"
	done
}

# suite_in_guest KERNEL NAME LIMIT COMMAND...: a suite that prints its TAP inside a guest.
suite_in_guest() {
	local name=$2 status=0
	have_kernel "$1" || return 0
	suite_guest "$@" || status=$?
	cat "$logs/$name.guest.log"
	return $status
}

# Everything for arm64, and the module for each of its kernels.
suite_arm64_build() {
	local kernel number=3
	[ -e build/root-arm64/.complete ] || { echo "1..0 # SKIP no build/root-arm64: deps.sh says why"; return 0; }
	echo 1..6
	tap_case 1 'userspace builds for arm64' selftests/cross.sh arm64 -k userspace
	tap_case 2 'unit tests build for arm64' selftests/cross.sh arm64 -k unit-tests
	tap_case 3 'kselftests build for arm64' selftests/cross.sh arm64 -k kselftests
	for kernel in arm64-6.1 arm64-6.12 arm64-16k; do
		number=$((number + 1))
		have_kernel $kernel > /dev/null || { echo "ok $number # SKIP no kernel $kernel"; continue; }
		tap_case $number "module builds for $kernel at W=1 without a warning" \
			selftests/cross.sh arm64 module $kernel
	done
}

# One guest for all: it takes its time to boot.
suite_arm64() {
	local status=0 program out=$logs/arm64.out
	have_kernel arm64-6.12 || return 0
	suite_guest arm64-6.12 arm64 900 selftests/vm/kselftests.sh build/arm64/selftests/{datapath,relay_options} \
		selftests/arm64.sh || status=$?
	echo 1..1
	tap_case 1 'the arm64 guest ran to its end' [ $status -eq 0 ]
	for program in datapath relay_options arm64.sh; do
		cat "$out/$program.tap" || echo "not ok - $program did not run"
		[ "$(cat "$out/$program.status")" = 0 ] || echo "not ok - $program: exit status is not 0"
	done
}

# Big-endian, by an emulator of one process: hence without sanitizers, and without what asks for the
# kernel's filters, netlink and sealed memory, which it does not have. Pairs of settings take it minutes.
suite_s390x() {
	local source name number=0
	[ -e build/root-s390x/.complete ] || { echo "1..0 # SKIP no build/root-s390x: deps.sh says why"; return 0; }
	selftests/cross.sh s390x unit-tests > $logs/s390x.build.log 2>&1 || { tail -n 20 $logs/s390x.build.log; return 1; }
	for source in userspace/tests/test_*.c; do
		name=$(basename "$source" .c)
		case $name in
		test_lib_call|test_lib_wipe|test_lib_session|test_daemon_keyd|test_common_ipc) continue ;;
		test_daemon_shared|test_daemon_stats|test_daemon_census|test_daemon_pairs) continue ;;
		esac
		number=$((number + 1))
		if timeout --foreground -k 5 180 qemu-s390x -L build/root-s390x "build/s390x/tests/$name" > $logs/s390x.one 2>&1; then
			echo "ok $number - $name on s390x"
		else
			echo "not ok $number - $name on s390x"
			grep -a '^not ok' $logs/s390x.one | sed 's/^/# /'
		fi
	done
	echo "1..$number"
}

# The guest takes modules that DKMS compiled outside: that takes it ten minutes each.
suite_packages() {
	local status=0
	QUICK=${all/yes/} timeout --foreground -k 5 900 selftests/packages.sh || status=$?
	SMP=1 suite_in_guest 6.12 packages 1200 env QUICK=1 selftests/packages/upgrade.sh || status=$?
	return $status
}

suite_secure_boot() {
	have_kernel 6.12 || return 0
	selftests/vm/run.sh --kernel 6.12 --smp 1 --timeout 900 --secure-boot --no-module --log $logs/secure-boot.guest.log -- \
		selftests/packages/secure-boot.sh > $logs/secure-boot.run 2>&1
	local status=$?
	cat $logs/secure-boot.guest.log
	return $status
}

# Sets debug_kernel. Not a guest suite's job: it takes minutes and both CPUs.
suite_debug_kernel() {
	echo 1..2
	tap_case 1 'debug kernel builds' eval 'debug_kernel=$(selftests/vm/debug-kernel.sh)'
	tap_case 2 'module builds for it' make -j2 module KDIR="$debug_kernel/headers"
}

# suite_debian_kernel SUITE: sets debian_kernel[SUITE]; leaves it unset, and counts a skip, where it cannot be had.
suite_debian_kernel() {
	local folder
	echo 1..1
	if folder=$(selftests/vm/debian-kernel.sh "$1"); then
		debian_kernel[$1]=$folder
		echo "ok 1 - module builds for ${folder##*/} at W=1 without a warning"
	elif [ -e "build/$1-kernel/.complete" ]; then
		echo "not ok 1 - module builds for the kernel of Debian's $1 at W=1 without a warning"
	else
		echo "ok 1 # SKIP no kernel of Debian's $1: see the lines above"
	fi
}

suite_rt_kernel() {
	echo 1..1
	have_kernel rt > /dev/null || { echo "ok 1 # SKIP no kernel rt: deps.sh says why"; return 0; }
	tap_case 1 'module builds for PREEMPT_RT at W=1 without a warning' module_is_clean rt
}

# The image takes minutes, the first time.
suite_container() {
	selftests/container.sh image && timeout --foreground -k 5 300 selftests/container.sh
}

# Boots a guest of its own, and says itself what was wrong.
suite_demo() {
	echo 1..1
	tap_case 1 'make demo passes' make demo
}

# ---- run ---------------------------------------------------------------------------------------

echo "check: logs are in $logs/"
suites+=(build)
run_suite build suite_build
suites+=(other-build)
run_suite other-build selftests/other-debian.sh build
suites+=(arm64-build)
run_suite arm64-build suite_arm64_build

mapfile -t programs < <(for source in selftests/kmod/*.c; do
	[ ! -e "$source" ] || echo "build/selftests/$(basename "$source" .c)"; done)
# These race nothing, or what they race does so in `races`, `sockcalls` and `relay_move` too.
one_cpu='charge|close|close_table|control|datapath|events|fairness|faults|gather|held|hostile|install_busy'
one_cpu+='|limits|netlink|netns_end|nonces|options|padding|pending|readback|rekey|relay_end'
one_cpu="/($one_cpu|relay_net|relay_options|sockets|uring)\$"
mapfile -t one_programs < <(printf '%s\n' "${programs[@]}" | grep -E "$one_cpu")
mapfile -t two_programs < <(printf '%s\n' "${programs[@]}" | grep -vE "$one_cpu")

# start_kselftests KERNEL NAME PROGRAM...
guests=()
declare -A programs_in
start_kselftests() {
	have_kernel "$1" > /dev/null || return 0
	guests+=("$2")
	programs_in[$2]=${*:3}
	start_suite "$2" suite_kselftests "$@"
}

# All on two CPUs on one kernel; and never two guests of two beside each other for long, whose CPUs
# wait for each other's.
start_kselftests 6.12 kselftests-6.12 "${programs[@]}"
SMP=1 start_kselftests 6.1 kselftests-6.1-one "${one_programs[@]}"
SMP=1 start_suite interop-kernel suite_in_guest 6.12 interop-kernel 1800 \
	env CERTS=$logs/certs selftests/interop.sh kernel
start_kselftests 6.1 kselftests-6.1 "${two_programs[@]}"
SMP=1 start_suite daemon-kernel suite_in_guest 6.12 daemon-kernel 1500 selftests/daemon.py --kernel
SMP=1 start_suite starttls-kernel suite_in_guest 6.12 starttls-kernel 900 selftests/starttls.sh kernel
SMP=1 start_suite systemd suite_in_guest 6.12 systemd 900 selftests/systemd.sh
SMP=1 start_suite quickstart suite_in_guest 6.12 quickstart 900 selftests/quickstart.sh
start_suite packages suite_packages
SMP=1 start_suite servers suite_in_guest 6.12 servers 1200 selftests/servers.sh
SMP=1 start_suite fleet suite_in_guest 6.12 fleet 600 selftests/fleet.py
# Those whose listening sockets differ most.
few_servers=(nginx redis postgres go)
[ $all = no ] || few_servers=()
SMP=1 start_suite servers-6.1 suite_in_guest 6.1 servers-6.1 1200 selftests/servers.sh "${few_servers[@]}"
for source in userspace/tests/test_*.c; do
	name=$(basename "$source" .c)
	start_suite "unit-${name#test_}" suite_program "build/tests/$name"
done
for name in crypto handshake key_share resumption client_auth ocsp verify alerts_{hello,flight}; do
	start_suite "unit-$name-openssl-3.6" suite_program_sid "build/tests/test_$name"
done
for source in selftests/native/*.c; do
	name=$(basename "$source" .c)
	start_suite "native-$name" suite_program "build/selftests/native/$name"
done
start_suite sandbox timeout --foreground -k 5 900 selftests/sandbox.sh
start_suite sandbox-trixie timeout --foreground -k 5 900 selftests/sandbox.sh trixie
start_suite other-unit selftests/other-debian.sh unit
start_suite other-daemon timeout --foreground -k 5 1200 selftests/other-debian.sh daemon
start_suite other-bogo timeout --foreground -k 5 1200 selftests/other-debian.sh bogo
SMP=1 start_suite arm64 suite_arm64
start_suite s390x suite_s390x
start_suite spec selftests/spec.py
start_suite bogo timeout --foreground -k 5 1200 selftests/bogo.sh
start_suite bogo-sid timeout --foreground -k 5 1200 selftests/bogo.sh --sid
start_suite docs selftests/docs.sh
start_suite install timeout --foreground -k 5 600 selftests/install.sh
start_suite daemon timeout --foreground -k 5 1200 selftests/daemon.py
start_suite starttls-user timeout --foreground -k 5 600 selftests/starttls.sh user
start_suite interop-user timeout --foreground -k 5 1200 selftests/interop.sh user
start_suite fuzz-corpus timeout --foreground -k 5 600 selftests/fuzz.sh corpus
start_suite secrets timeout --foreground -k 5 600 selftests/secrets.sh
wait
suites+=(debug-kernel)
run_suite debug-kernel suite_debug_kernel
if [ $all = no ]; then
	start_kselftests "$debug_kernel" kselftests-debug build/selftests/{faults,races,install_races}
else
	# The fuzzers run there by themselves, and for longer.
	mapfile -t debug_programs < <(printf '%s\n' "${two_programs[@]}" | grep -v /fuzz_)
	start_kselftests "$debug_kernel" kselftests-debug "${debug_programs[@]}"
	for name in sid backports; do
		suites+=("$name-kernel")
		run_suite "$name-kernel" suite_debian_kernel "$name"
	done
	suites+=(rt-kernel)
	run_suite rt-kernel suite_rt_kernel
	mapfile -t quick_programs < <(printf '%s\n' "${programs[@]}" | grep -v /fuzz_)
	SMP=1 start_kselftests "$debug_kernel" kselftests-debug-one "${one_programs[@]}"
	# In the order in which two at once end together.
	[ -z "${debian_kernel[sid]-}" ] ||
		SMP=1 start_kselftests "${debian_kernel[sid]}" kselftests-sid-one "${one_programs[@]}"
	start_suite demo suite_demo
	start_suite container suite_container
	start_suite renewals env NAMES=1000 RELOADS=400 selftests/daemon.py certificates_are_renewed
	start_suite reproducible selftests/reproducible.sh
	# What peers do differently is for 6.12 to see, and each cipher suite and way to end for the
	# kselftests; here, what a daemon makes the module do.
	SMP=1 start_suite interop-debug suite_in_guest "$debug_kernel" interop-debug 3600 \
		env CERTS=$logs/certs SIDES=serve \
		ONLY='at once|resets|FIN without|KeyUpdate by openssl|administrator|outlives|lives|is left' \
		selftests/interop.sh kernel
	# Streams of records, in each of which the kernel comes to some 47 mutated ones.
	SMP=1 start_suite fuzz-debug suite_in_guest "$debug_kernel" fuzz-debug 4800 \
		sh -c 'COUNT=50000 build/selftests/fuzz_netlink && COUNT=1100 build/selftests/fuzz_records &&
			COUNT=1000000 DURATION=60 build/selftests/fuzz_calls'
	start_suite secure-boot suite_secure_boot
	for kernel in "${kernels[@]}"; do
		start_suite "packages-$kernel" suite_in_guest "$kernel" "packages-$kernel" 9000 \
			env DKMS=build selftests/packages/upgrade.sh
	done
	[ -z "${debian_kernel[sid]-}" ] || start_kselftests "${debian_kernel[sid]}" kselftests-sid "${two_programs[@]}"
	[ -z "${debian_kernel[backports]-}" ] ||
		start_kselftests "${debian_kernel[backports]}" kselftests-backports "${quick_programs[@]}"
	start_kselftests rt kselftests-rt "${quick_programs[@]}"
	arm64_programs=("${quick_programs[@]/build/build/arm64}")
	SMP=1 start_kselftests arm64-6.12 kselftests-arm64 "${arm64_programs[@]}"
	SMP=1 start_kselftests arm64-16k kselftests-arm64-16k "${arm64_programs[@]}"
	SMP=1 start_suite systemd-load suite_in_guest 6.12 systemd-load 3600 \
		env ROUNDS=5 LOAD=1000 selftests/systemd.sh load
	SMP=1 start_suite servers-debug suite_in_guest "$debug_kernel" servers-debug 3600 \
		env slow=40 selftests/servers.sh
	[ -z "${debian_kernel[sid]-}" ] ||
		SMP=1 start_suite servers-sid suite_in_guest "${debian_kernel[sid]}" servers-sid 1200 selftests/servers.sh
fi
wait
for name in "${guests[@]}"; do
	# shellcheck disable=SC2086
	kselftest_counts "$name" ${programs_in[$name]}
done

passed=0 failed=0 skipped=0
for name in "${suites[@]}"; do
	p=0 f=1 s=0
	[ ! -s "$logs/$name.count" ] || read -r p f s < "$logs/$name.count"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	# Why a guest failed, here, where it is read and kept when the machine is gone.
	[ "$f" -eq 0 ] || [ ! -e "$logs/$name.log" ] ||
		sed -nE "s/^\[[^]]*\] (FAILED in |the kernel's words |\| )/$name: &/p" "$logs/$name.log"
done
echo "check: took $((SECONDS - started)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
