#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs the kernel's own coccinelle rules (scripts/coccinelle) over a folder, kmod/ if none is given, as
# `make coccicheck MODE=report` would, without the kernel's build around it. Prints what they report;
# exits 0 only when that is nothing. Part of `make style`, which installs and unpacks what it needs.
set -uo pipefail
cd "$(dirname "$0")/.."

folder=${1:-kmod}
rules=build/linux/scripts/coccinelle
out=build/style/cocci

# Written in OCaml, whose compiler is not asked for: they look for one driver's data, and for `x == 0`
# where x is a pointer, of which sparse warns as well.
not_run='/(check_bq27xxx_data|badzero)\.cocci$'

# A rule's own options are in its head.
run_rule() {
	local rule=$1 name
	name=$(basename "$rule" .cocci)
	# shellcheck disable=SC2046
	spatch -D report --very-quiet $(sed -n 's|^// Options:||p' "$rule") --cocci-file "$rule" \
		--dir "$folder" > "$out/$name.out" 2> "$out/$name.err" ||
		echo "$rule did not run: $(tail -n 1 "$out/$name.err")" >> "$out/$name.out"
}

rm -rf $out
mkdir -p $out
mapfile -t chosen < <(find $rules -name '*.cocci' 2>/dev/null | sort | grep -vE "$not_run")
[ ${#chosen[@]} -gt 0 ] || { echo "cocci.sh: no rules in $rules: run make linux-tools" >&2; exit 1; }
echo "cocci: ${#chosen[@]} rules on $folder/"
export folder out
export -f run_rule
printf '%s\n' "${chosen[@]}" | xargs -P "$(nproc)" -I{} bash -c 'run_rule {}'
! grep -h . $out/*.out
