#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Fuzz targets of userspace/fuzz/:
#	fuzz.sh corpus		every file of the corpora through its target, with gcc alone; TAP
#	fuzz.sh run SECONDS [TARGET...]	libFuzzer, so long for each; ends with a table
# New inputs of a run are kept in build/fuzz/new/TARGET, what it found in build/fuzz/found/.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
corpus=userspace/fuzz/corpus

targets() {
	local source
	for source in userspace/fuzz/fuzz_*.c; do
		source=${source##*/fuzz_}
		echo "${source%.c}"
	done
}

# ---- corpora as tests --------------------------------------------------------

run_corpus() {
	local program=build/fuzz/corpus/$1 count
	count=$(UBSAN_OPTIONS=print_stacktrace=1 limit 120 "$program" "$corpus/$1" 2>"$tmp/said") || {
		fail "$(grep '^#' "$tmp/said" | tail -n 1): $(grep -m1 -E 'ERROR|runtime error|fuzz:' \
			"$tmp/said")"
		return
	}
	[[ $count = $(find "$corpus/$1" -type f ! -name '.*' | wc -l) ]] ||
		fail "$count inputs run, more are there"
}

# What makes cryptography transparent must be in no file that ships; the fuzz target shows that
# the names are those to look for.
ships_nothing() {
	local file pattern='__wrap_|LLVMFuzzer|fuzz_'
	nm -A build/fuzz/corpus/record >"$tmp/symbols" 2>/dev/null
	grep -qE "$pattern" "$tmp/symbols" ||
		{ fail "the symbols are not seen even where they are"; return; }
	for file in build/libtlsengine.a build/libtlsgate.a build/tlsgated build/tlsgate; do
		[[ -e $file ]] || { fail "$file is not built: make userspace"; return; }
		nm -A "$file" >"$tmp/symbols" 2>/dev/null || { fail "nm $file"; return; }
		! grep -E "$pattern" "$tmp/symbols" >"$tmp/said" ||
			{ fail "$(head -n 1 "$tmp/said")"; return; }
	done
	! grep -rnE '__wrap_|FUZZ' userspace/{engine,lib,common,daemon,ctl} >"$tmp/said" ||
		fail "the sources know of fuzzing: $(head -n 1 "$tmp/said")"
}

corpora() {
	local target
	make -s -j2 userspace fuzz-corpus || bail_out "the targets do not build"
	for target in $(targets); do
		check "corpus of $target" run_corpus "$target"
	done
	check "no library or program that ships knows of fuzzing" ships_nothing
	tap_end
}

# ---- libFuzzer ---------------------------------------------------------------

row() {
	printf '%-22s %14s %8s %8s %8s %9s\n' "$@"
}

# One line of libFuzzer's statistics; 0 where it said nothing.
stat_of() {
	local value
	value=$(sed -n "s/^stat::$1: *//p" "$tmp/log/$2")
	echo "${value:-0}"
}

last_of() {
	local value
	value=$(grep -oE "$1: [0-9]+" "$tmp/log/$2" | tail -n 1)
	echo "${value#*: }"
}

fuzz_one() {
	local target=$1 seconds=$2 new=build/fuzz/new/$1 cpu found TIMEFORMAT='%U %S'
	mkdir -p "$new" build/fuzz/found
	echo "fuzz: $target for $seconds s" >&2
	cpu=$({ time "build/fuzz/$target" -max_total_time="$seconds" -timeout=20 \
		-rss_limit_mb=2048 -max_len=20000 -print_final_stats=1 \
		-artifact_prefix="build/fuzz/found/$target-" "$new" "$corpus/$target" \
		>"$tmp/log/$target" 2>&1; } 2>&1)
	found=$(find build/fuzz/found -name "$target-*" | wc -l)
	((findings += found))
	row "$target" "$(stat_of number_of_executed_units "$target")" \
		"$(awk '{ printf "%.0f", $1 + $2 }' <<<"$cpu")" "$(last_of cov "$target")" \
		"$(last_of corp "$target")" "$found" >>"$tmp/table"
	[[ $found = 0 ]] || grep -m 3 -E 'ERROR|SUMMARY|fuzz:' "$tmp/log/$target" >&2
}

run() {
	local seconds=$1 target
	local -a chosen
	shift
	[[ $seconds =~ ^[1-9][0-9]*$ ]] || bail_out "for how many seconds? make fuzz SECONDS=60"
	selftests/deps.sh build fuzz && make -s -j2 fuzz-targets || exit 1
	mapfile -t chosen < <((($#)) && printf '%s\n' "$@" || targets)
	findings=0
	for target in "${chosen[@]}"; do
		fuzz_one "$target" "$seconds"
	done
	row target executions 'CPU s' edges corpus findings
	cat "$tmp/table"
	((findings == 0)) || echo "fuzz: inputs that failed are in build/fuzz/found/" >&2
	return $((findings != 0))
}

case ${1-} in
corpus) corpora ;;
run) shift; run "$@" ;;
*) echo "fuzz.sh: corpus, or run SECONDS [TARGET...]" >&2; exit 2 ;;
esac
