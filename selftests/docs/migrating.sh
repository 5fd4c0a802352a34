# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# docs/migrating.md against what each of those programs says that it knows. Part of docs.sh.

migrating=docs/migrating.md

# names_are_there HEADING: each name of $tmp/names is in backquotes under that heading.
names_are_there() {
	local name bad=
	[[ $(wc -l <"$tmp/names") -ge 20 ]] || { fail "this program names few: $(tr '\n' ' ' <"$tmp/names")"; return; }
	awk -v heading="## $1" '/^## /{ on = $0 == heading } on' $migrating | grep -o '`[^`]*`' |
		tr -d '`$' | sort -u >"$tmp/section"
	while read -r name; do
		grep -qxF -- "$name" "$tmp/section" || bad+=" $name"
	done <"$tmp/names"
	[[ -z $bad ]] || fail "not under '$1':$bad"
}

# A name may have a row for each of its parts, which then say more than the name.
no_name_has_two_rows() {
	local twice
	twice=$(awk -F'|' '/^[|]---/ { table++ }
		/^\| `/ { n = split($2, names, ","); for (i = 1; i <= n; i++) {
			gsub(/^ +| +$/, "", names[i])
			if (names[i] ~ /^`[^` ]+`$/ && seen[table, names[i]]++) print names[i] } }' $migrating | sort -u)
	[[ -z $twice ]] || fail "in two rows of one table: $(tr '\n' ' ' <<<"$twice")"
}

migrating_from_hitch() {
	have hitch || { skip "no hitch on this machine"; return; }
	hitch --help 2>&1 | sed -n 's/^.*--\([a-z][a-z0-9-]*\).*/\1/p' | sort -u >"$tmp/names"
	names_are_there hitch
}

migrating_from_stunnel() {
	have stunnel || { skip "no stunnel on this machine"; return; }
	stunnel -help 2>&1 | sed -n 's/^\([A-Za-z]*\) *= .*/\1/p' | sort -u >"$tmp/names"
	names_are_there stunnel
}

# migrating_from_haproxy HEADING PICK COMMAND...: PICK is of awk, on its own list of keywords.
migrating_from_haproxy() {
	have "$3" || { skip "no $3 on this machine"; return; }
	"${@:3}" -dKcfg -c -f /dev/null 2>/dev/null | awk "$2" | sort -u >"$tmp/names"
	names_are_there "HAProxy: $1"
}

# check_haproxy WHICH COMMAND...
check_haproxy() {
	check "$migrating has each keyword of bind of $1" migrating_from_haproxy '`bind ... ssl`' \
		'$1 == "bind" { print $3 == "ssl" ? $4 : $3 }' "${@:2}"
	check "$migrating has each keyword of server of $1" migrating_from_haproxy '`server ... ssl`' \
		'$1 == "server" { print $4 }' "${@:2}"
	check "$migrating has each keyword of TLS of $1" migrating_from_haproxy 'of the process' \
		'NF == 1 && /^\t(ssl-|tune[.]ssl[.]|maxssl|ca-base|crt-base)/ { print $1 }' "${@:2}"
}

# What its module has for TLS, directives and variables.
migrating_from_nginx() {
	local module=/usr/lib/nginx/modules/ngx_stream_module.so
	[[ -e $module ]] || { skip "no nginx stream on this machine"; return; }
	strings -n 4 $module | grep -xE '(proxy_)?ssl_[a-z_]+' | sort -u >"$tmp/names"
	names_are_there 'nginx `stream`'
}

# What stands on our side of the tables is a setting, or an option.
ours_exist() {
	local name bad=
	{ settings_of_table | sed 's/ .*//'; printf '%s\n' gate mode; } >"$tmp/table"
	while read -r name; do
		grep -qx -- "$name" "$tmp/table" || bad+=" $name"
	done < <(sed "/^nginx' variables/,\$d" $migrating | sed -n 's/^| [^|]* | \(.*\) |$/\1/p' |
		grep -oE '`[a-z]+(-[a-z]+)*( = [^`]*)?`' | tr -d '`' | sed 's/ = .*//' |
		grep -vxE 'tlsgate|request|serve' | sort -u)
	[[ -z $bad ]] || fail "no settings of ours:$bad"
}

check "$migrating has no name in two rows" no_name_has_two_rows
check "$migrating has each setting of hitch" migrating_from_hitch
check "$migrating has each setting of stunnel" migrating_from_stunnel
check_haproxy HAProxy haproxy
[[ ! -x build/servers/usr/sbin/haproxy ]] || check_haproxy "Debian 13's HAProxy" chroot build/servers haproxy
check "$migrating has each setting of nginx stream" migrating_from_nginx
check "$migrating names settings that tlsgated has" ours_exist
