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

# nothing FILE WHAT: fails with the words of FILE, if it has any.
nothing() {
	[[ ! -s $1 ]] || fail "$2: $(tr '\n' ' ' <"$1")"
}

# The settings of tlsgated are the one table's.
settings_of_table() {
	sed -n '/^static const struct setting table/,/^};/s/^\t{ "\([a-z-]*\)", \("\([^"]*\)"\|NULL\), \(.*\)$/\1 \3 \4/p' \
		userspace/daemon/setting_table.c |
		while read -r name argument scope; do
			[[ $scope != SETTING_* ]] || argument=${argument:-BOOL}
			[[ $argument != SETTING_* ]] || { scope="$argument $scope"; argument=BOOL; }
			[[ $scope != *SETTING_LIST* ]] || argument+=", ..."
			echo "$name = $argument"
		done | sort
}

settings_of_page() {
	sed -n '/^\.Sh WHAT A GATE/,/^\.Sh DELIVERY/s/^\.It Ic \([a-z-]*\) No = /\1 = /p' packaging/tlsgated.conf.5 | sort
}

same_settings() {
	settings_of_table >"$tmp/table"
	settings_of_page >"$tmp/page"
	[[ -s $tmp/table ]] || { fail "no table of settings found"; return; }
	diff "$tmp/table" "$tmp/page" >"$tmp/missing" || fail "the table (<) and the page (>): $(<"$tmp/missing")"
}

# What is an option and no setting is in tlsgated.8.
options_are_explained() {
	settings_of_page | sed 's/^/--/; s/ .*//' >"$tmp/man"
	options_of_man packaging/tlsgated.8 >>"$tmp/man"
	options_of_help build/tlsgated --help >"$tmp/help"
	[[ -s $tmp/help ]] || { fail "tlsgated --help names no option"; return; }
	comm -23 "$tmp/help" <(sort -u "$tmp/man") >"$tmp/missing"
	nothing "$tmp/missing" "explained nowhere"
}

commands_of_tool() {
	build/tlsgate help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'
}

options_of_tool() {
	local command
	for command in $(commands_of_tool); do
		options_of_help build/tlsgate help "$command"
	done | sort -u >"$tmp/help"
	[[ -s $tmp/help ]] || { fail "tlsgate help COMMAND names no option"; return; }
	comm -23 "$tmp/help" <(options_of_man packaging/tlsgate.8) >"$tmp/missing"
	nothing "$tmp/missing" "not in tlsgate.8"
}

# What the module shows: parameters, sysctls, counters, commands and events.
kernel_interface() {
	local name bad=
	while read -r name; do
		grep -qw -- "$name" packaging/tlsgate.7 || bad+=" $name"
	done < <(sed -n 's/^module_param(\([a-z_]*\),.*/\1/p' kmod/*.c
		sed -n 's/.*\.procname = "\([a-z_]*\)".*/net.tlsgate.\1/p' kmod/access.c
		sed -n '/^#define TG_STATS/,/^$/s/.*, "\([a-z_]*\)").*/\1/p' kmod/stats.h
		sed -n 's/^\tTLSGATE_CMD_\([A-Z_]*\),$/\1/p' kmod/uapi/tlsgate.h | grep -v UNSPEC)
	[[ -z $bad ]] || fail "not in tlsgate.7:$bad"
}

# Whether a page that it refers to is installed here is no matter.
man_is_well_made() {
	have mandoc || { skip "no mandoc on this machine"; return; }
	mandoc -Tlint "$1" 2>/dev/null | grep -v 'referenced manual not found' >"$tmp/said"
	[[ ! -s $tmp/said ]] || fail "$(head -n 3 "$tmp/said")"
}

man_is_clean() {
	have man || { skip "no man on this machine"; return; }
	man -l --warnings -Tutf8 "$1" 2>"$tmp/said" >/dev/null
	[[ ! -s $tmp/said ]] || fail "$(head -n 2 "$tmp/said")"
}

# Every function that README.md and the map name in backquotes, and every file that a document names.
names_exist() {
	local name bad=
	while read -r name; do
		grep -rqsE "\b$name\(" userspace kmod || bad+=" $name"
	done < <(grep -ohE '`(tls|tls12|tls13|tg|install|tlsgate|conn|deliver|userpath)_[a-z0-9_]+`' \
		README.md docs/architecture.md | tr -d '`' | sort -u)
	while read -r name; do
		[[ -n $(find userspace kmod selftests packaging -path "*$name" -print -quit) ]] || bad+=" $name"
	done < <(grep -ohE '`[a-z0-9_/]+\.(c|h|sh|py|yaml)`' README.md docs/*.md | tr -d '`' | sort -u)
	[[ -z $bad ]] || fail "named and not there:$bad"
}

# Every path of the map, whole as it stands there.
paths_exist() {
	local path bad=
	while read -r path; do
		[[ -e $path ]] || bad+=" $path"
	done < <(grep -oE '`(kmod|userspace|selftests|packaging|docs)/[^` ]*`' docs/architecture.md |
		tr -d '`' | grep -v '/\(test_\)\?X\.c$' | sort -u)
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

# No second place may say another: all others take it from there.
sessions_are_marked() {
	selftests/docs/sessions.py --marks README.md docs/*.md 2>"$tmp/said" || fail "$(<"$tmp/said")"
}

one_version() {
	local version
	version=$(sed -n 's/.*TLSGATE_VERSION[[:space:]]*"\(.*\)".*/\1/p' kmod/uapi/tlsgate_version.h)
	[[ $(build/tlsgated --version) = "tlsgated $version" ]] || fail "tlsgated: $(build/tlsgated --version)" || return
	grep -qx 'MODULE_VERSION(TLSGATE_VERSION);' kmod/main.c || fail "kmod/main.c has a version of its own" || return
	grep -qx 'PACKAGE_VERSION="#MODULE_VERSION#"' packaging/dkms.conf ||
		fail "packaging/dkms.conf has a version of its own" || return
	[[ $(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1) = "$version" ]] ||
		fail "CHANGELOG.md does not begin with $version"
}

# A section for every command of `tlsgate`.
every_command() {
	local command bad=
	while read -r command; do
		grep -q "^\.It Cm $command\$" packaging/tlsgate.8 || bad+=" $command"
	done < <(commands_of_tool | grep -vx help)
	[[ -z $bad ]] || fail "not in tlsgate.8:$bad"
}

check "tlsgated.conf.5 has the settings of the table, and no others" same_settings
check "every option of tlsgated --help is explained" options_are_explained
check "tlsgate.8 has the options of tlsgate help COMMAND" options_of_tool
check "tlsgate.7 has what the module shows" kernel_interface
check "tlsgate.8 has every command" every_command
for page in packaging/*.[578]; do
	check "$page formats without a warning" man_is_clean "$page"
	check "$page: mandoc -Tlint has no complaint" man_is_well_made "$page"
done
for page in *.md docs/*.md; do
	check "$page: its links exist" links_exist "$page"
done
check "functions and files that the documents name exist" names_exist
check "docs/architecture.md names files and folders that exist" paths_exist
check "docs/design.md has every file of the module" every_file kmod docs/design.md
check "docs/design.md has every file of the engine" every_file userspace/engine docs/design.md
check "docs/daemon.md has every file of the daemon" every_file userspace/daemon docs/daemon.md
check "one version everywhere" one_version
check "sessions of the documents are marked, and programs say what stands there" sessions_are_marked
. selftests/docs/migrating.sh
. selftests/docs/operations.sh
tap_end
