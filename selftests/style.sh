#!/bin/bash
# SPDX-License-Identifier: MIT
# make style: checkpatch --strict and the kernel's coccinelle rules over kmod/, then sparse and W=1 over
# the module built for 6.12. Exits 0 only when none of them says anything. Ends with the module's size.
set -uo pipefail
cd "$(dirname "$0")/.."

selftests/deps.sh build guest style && make -s linux-tools || exit 1
release=$(readlink build/kernels/6.12)
out=$PWD/build/style/$release
log=build/style/sparse.log
failed=0
mkdir -p build/style

# compat.h exists to look at the kernel's version, and its macros have an empty form for some;
# a macro that stands for a field of two structures, a parameter list, the arguments in its order, or a type, looks like a
# nameless parameter, or like an expression; a list of rows that a macro makes cannot stand in parentheses,
# and no maker needs all of a row; the tables of own.h are
# copies of the socket's own, filled in at run time, and cannot be const; a tracepoint's macros are laid
# out as those of include/trace/events/.
exempt='^kmod/compat\.h:.*(LINUX_VERSION_CODE|CONSTANT_COMPARISON|MACRO_ARG_UNUSED):'
exempt+="|FUNCTION_ARGUMENTS:.*'TG_(RECVMSG|INFO|INFO_SIZE)_ARGS'"
exempt+='|^kmod/compat\.h:.*ERROR:COMPLEX_MACRO:'
exempt+='|^kmod/inherit\.c:.*MACRO_ARG_(REUSE|PRECEDENCE):'
exempt+='|^kmod/own\.c:.*CHECK:SPACING:.*ctx:WxV'
exempt+='|^kmod/own\.h:.*CONST_STRUCT: struct proto_ops'
exempt+='|^kmod/stats\.[ch]:.*(COMPLEX_MACRO|MACRO_ARG_REUSE|MACRO_ARG_UNUSED):'
exempt+='|^kmod/trace\.h:.*(OPEN_ENDED_LINE|PARENTHESIS_ALIGNMENT):'

mapfile -t sources < <(find kmod -name '*.[ch]' | sort)
echo "style: checkpatch --strict on ${#sources[@]} files of kmod/"
# From inside build/, where the list of names it caches does no harm.
ln -sfn ../../kmod build/style/kmod
(cd build/style && perl ../linux/scripts/checkpatch.pl --no-tree --strict --quiet --terse \
	--no-summary --show-types -f "${sources[@]}") > build/style/checkpatch.log
! grep -vE "$exempt" build/style/checkpatch.log || failed=1

selftests/cocci.sh || failed=1

echo "style: sparse and W=1 for $release"
rm -rf "$out"
make -j2 module KDIR=build/kernels/6.12/headers KOUT="$out" KARGS='C=2 W=1' > $log 2>&1 || {
	tail -n 20 $log
	failed=1
}
# Remarks about the kernel's own headers are not ours to mend.
! grep -E "kmod/.*(warning|error):" $log || failed=1

# Without comments and blank lines; no string of the module's holds the start of a comment.
code_lines() {
	awk '{
		line = ""
		while ($0 != "") {
			mark = inside ? "*/" : "/*"
			at = index($0, mark)
			part = at ? substr($0, 1, at - 1) : $0
			line = inside ? line : line part
			$0 = at ? substr($0, at + 2) : ""
			inside = at ? !inside : inside
		}
		sub("//.*", "", line)
		lines += line ~ /[^ \t]/
	} END { print lines }' "$@"
}
echo "style: kmod/ has $(code_lines "${sources[@]}") lines of code," \
	"$(cat "${sources[@]}" | wc -l) with comments and blank ones"

[ $failed -eq 0 ] && echo "style: clean" || { echo "style: failed" >&2; exit 1; }
