#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Holds README, docs, man pages and packaging to what the tree has; TAP.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# The long options in --help of the programs and in a man page.
options_of_help() {
	"$@" | grep -oE -- '--[a-z][a-z-]+' | sort -u
}

options_of_man() {
	grep -oE 'Fl -[a-z][a-z-]+' "$1" | sed 's/^Fl /-/' | sort -u
}

same_options() {
	options_of_help "$2" --help >"$tmp/help"
	options_of_man "$1" >"$tmp/man"
	[[ -s $tmp/help ]] || { fail "$2 --help names no option"; return; }
	# tlsgate handshake has options of its own, which the one-line help leaves out
	comm -23 "$tmp/help" "$tmp/man" >"$tmp/missing"
	[[ ! -s $tmp/missing ]] || { fail "not in $1: $(tr '\n' ' ' <"$tmp/missing")"; return; }
	[[ $2 = */tlsgate ]] && return
	comm -13 "$tmp/help" "$tmp/man" >"$tmp/missing"
	[[ ! -s $tmp/missing ]] || fail "only in $1: $(tr '\n' ' ' <"$tmp/missing")"
}

man_is_clean() {
	have man || { skip "no man on this machine"; return; }
	man -l --warnings -Tutf8 "$1" 2>"$tmp/said" >/dev/null
	[[ ! -s $tmp/said ]] || fail "$(head -n 2 "$tmp/said")"
}

links_exist() {
	local file=$1 link bad=
	while read -r link; do
		[[ -e $(dirname "$file")/$link ]] || bad+=" $link"
	done < <(grep -oE '\]\([^)#:]+\)' "$file" | sed 's/^](//; s/)$//')
	[[ -z $bad ]] || fail "$file links to what is not there:$bad"
}

# Every function and file that README.md names in backquotes.
names_exist() {
	local name bad=
	while read -r name; do
		grep -rqsE "\b$name\(" userspace kmod || bad+=" $name"
	done < <(grep -oE '`(tls|tls12|tls13|tg|install)_[a-z0-9_]+`' README.md | tr -d '`' | sort -u)
	while read -r name; do
		[[ -n $(find userspace kmod selftests packaging -path "*$name" -print -quit) ]] || bad+=" $name"
	done < <(grep -ohE '`[a-z0-9_/]+\.(c|h|sh|py|yaml)`' README.md docs/*.md | tr -d '`' | sort -u)
	[[ -z $bad ]] || fail "named and not there:$bad"
}

# FOLDER PAGE: each file of the folder has its place in the page's table.
every_file() {
	local file bad=
	for file in "$1"/*.c; do
		grep -q "^|.*\`${file##*/}\`.*|" "$2" || bad+=" ${file##*/}"
	done
	[[ -z $bad ]] || fail "$2 has no row for:$bad"
}

one_version() {
	local file
	sed -n 's/.*MODULE_VERSION("\(.*\)").*/\1/p' kmod/main.c >"$tmp/versions"
	sed -n 's/.*TLSGATE_VERSION[[:space:]]*"\(.*\)".*/\1/p' userspace/common/version.h >>"$tmp/versions"
	sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' packaging/dkms.conf >>"$tmp/versions"
	[[ $(wc -l <"$tmp/versions") = 3 && $(sort -u "$tmp/versions" | wc -l) = 1 ]] ||
		fail "module, programs and dkms.conf: $(tr '\n' ' ' <"$tmp/versions")"
}

# A section for every command of `tlsgate`.
every_command() {
	local command bad=
	while read -r command; do
		grep -q "^\.It Cm $command\$" packaging/tlsgate.8 || bad+=" $command"
	done < <(build/tlsgate --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' | grep -vx help)
	[[ -z $bad ]] || fail "not in tlsgate.8:$bad"
}

check "tlsgated.8 has the options of tlsgated --help" same_options packaging/tlsgated.8 build/tlsgated
check "tlsgate.8 has the options of tlsgate --help" same_options packaging/tlsgate.8 build/tlsgate
check "tlsgate.8 has every command" every_command
for page in packaging/*.8; do
	check "$page formats without a warning" man_is_clean "$page"
done
for page in README.md docs/*.md; do
	check "$page: its links exist" links_exist "$page"
done
check "functions and files that the documents name exist" names_exist
check "docs/design.md has every file of the module" every_file kmod docs/design.md
check "docs/design.md has every file of the engine" every_file userspace/engine docs/design.md
check "docs/daemon.md has every file of the daemon" every_file userspace/daemon docs/daemon.md
check "one version everywhere" one_version
tap_end
