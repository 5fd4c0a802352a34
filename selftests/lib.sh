# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the shell tests share: a private directory, one clean-up, waits with
# deadlines, TAP.  To be sourced first thing by a bash script; sets -u and
# pipefail, not -e: a test looks at every result itself.
#
#	tmp	private directory, removed at exit unless KEEP=1
#	slow	factor on every deadline, for emulated guests (set before sourcing)
#	why	a test that returns non-zero says here what was wrong

set -u -o pipefail
export LC_ALL=C

# Not inside a shell test: systemd's notify socket and colours for terminals.
unset NOTIFY_SOCKET

: "${slow:=1}"
why=
tap_count=0 tap_failed=0 tap_skipped=0
declare -A pid_of=()

tmp=$(mktemp -d "${TMPDIR:-/tmp}/tlsgate-test.XXXXXX") || exit 1
mkdir "$tmp/log" || exit 1

# A descriptor on which nothing ever arrives: reading it with a time limit is
# a pause that costs no process.
exec {nothing_fd}<> <(:)

pause() {
	read -rt "$1" -u "$nothing_fd" || true
}

# wait_until SECONDS COMMAND...: 0 as soon as COMMAND succeeds, 1 at the deadline.
wait_until() {
	local deadline=$((SECONDS + $1 * slow))
	shift
	until "$@"; do
		((SECONDS < deadline)) || return 1
		pause 0.05
	done
}

# limit SECONDS COMMAND...: status 124 when the time is up.
limit() {
	local seconds=$(($1 * slow))
	shift
	timeout -k 2 "$seconds" "$@"
}

alive() {
	kill -0 "$1" 2>/dev/null
}

gone() {
	! alive "$1"
}

# spawn NAME COMMAND...: in the background, output to $tmp/log/NAME.
spawn() {
	local name=$1
	shift
	"$@" >"$tmp/log/$name" 2>&1 </dev/null &
	pid_of[$name]=$!
}

# stop NAME: ends it, by force after 5 s; its exit status.
stop() {
	local pid=${pid_of[$1]:-} status=0
	[[ -n $pid ]] || return 0
	unset "pid_of[$1]"
	kill "$pid" 2>/dev/null
	wait_until 5 gone "$pid" || kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null || status=$?
	return "$status"
}

# links_exist FILE: each link of a Markdown file leads to a file.
links_exist() {
	local file=$1 link bad=
	while read -r link; do
		[[ -e $(dirname "$file")/$link ]] || bad+=" $link"
	done < <(grep -oE '\]\([^)#:]+[)#]' "$file" | sed 's/^](//; s/.$//')
	[[ -z $bad ]] || fail "$file links to what is not there:$bad"
}

clean_up() {
	local name
	# Not in a child that a signal met before bash had put its traps away.
	[[ $BASHPID = "$$" ]] || return 0
	trap - EXIT INT TERM
	for name in "${!pid_of[@]}"; do
		stop "$name"
	done
	if [[ -n ${KEEP:-} ]]; then
		echo "# kept: $tmp"
	else
		rm -rf "$tmp"
	fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# listening PORT: some TCP socket of this network namespace listens there.
listening() {
	local hex
	printf -v hex ':%04X' "$1"
	grep -qsE "$hex 0+:0000 0A " /proc/net/tcp /proc/net/tcp6
}

# One that nothing listens on and the kernel gives to no connection; in $port.
free_port() {
	local low
	read -r low _ </proc/sys/net/ipv4/ip_local_port_range
	((low > 12000)) || low=32768
	while :; do
		port=$((10000 + RANDOM % (low - 10000)))
		[[ -n ${port_taken[$port]:-} ]] && continue
		port_taken[$port]=1
		listening "$port" || return 0
	done
}
declare -A port_taken=()

# ready NAME PORT: the process spawned as NAME listens; else $why and 1.
ready() {
	wait_until 20 listening_or_dead "$2" "${pid_of[$1]}"
	listening "$2" && return 0
	why="$1 does not listen on port $2: $(tail -n 3 "$tmp/log/$1" | tr '\n' ' ')"
	return 1
}

listening_or_dead() {
	listening "$1" || gone "$2"
}

# log_mark NAME, logged NAME PATTERN: what NAME wrote since the mark matches.
log_mark() {
	log_at[$1]=$(stat -c %s "$tmp/log/$1")
}

logged() {
	# To the end, since with pipefail a tail that is cut off would be a failure.
	tail -c "+$((${log_at[$1]:-0} + 1))" "$tmp/log/$1" | grep -iE -e "$2" >/dev/null
}
declare -A log_at=()

sha256_of() {
	local sum
	sum=$(sha256sum "$1") || return 1
	echo "${sum%% *}"
}

have() {
	command -v "$1" >/dev/null 2>&1
}

# spawn_nginx NAME: in the foreground, with the server block that standard input
# has and every file of its own below $tmp.
spawn_nginx() {
	mkdir -p "$tmp/nginx"
	{
		cat <<-CONF
			daemon off;
			user root;
			worker_processes 1;
			pid $tmp/$1.pid;
			error_log stderr;
			events { }
			http {
				access_log off;
				sendfile on;
				client_max_body_size 0;
				client_body_temp_path $tmp/nginx/body;
				proxy_temp_path $tmp/nginx/proxy;
				fastcgi_temp_path $tmp/nginx/fastcgi;
				uwsgi_temp_path $tmp/nginx/uwsgi;
				scgi_temp_path $tmp/nginx/scgi;
		CONF
		cat
		echo "}"
	} >"$tmp/$1.conf"
	spawn "$1" nginx -c "$tmp/$1.conf" -p "$tmp" -e stderr
}

# ---- certificates ----------------------------------------------------------

# new_key TYPE FILE: ecdsa, rsa or ed25519.
new_key() {
	case $1 in
	ecdsa) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$2" ;;
	rsa) openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$2" ;;
	ed25519) openssl genpkey -algorithm ED25519 -out "$2" ;;
	esac 2>>"$tmp/log/openssl"
}

# new_ca NAME: $tmp/NAME.pem and .key
new_ca() {
	new_key ecdsa "$tmp/$1.key" &&
		openssl req -x509 -new -key "$tmp/$1.key" -subj "/CN=tlsgate test $1" -days 30 \
			-addext basicConstraints=critical,CA:TRUE \
			-addext keyUsage=critical,keyCertSign,cRLSign \
			-out "$tmp/$1.pem" 2>>"$tmp/log/openssl"
}

# new_cert NAME TYPE CA SAN [OPENSSL-X509-ARGUMENTS]: $tmp/NAME.pem and .key
new_cert() {
	local name=$1 type=$2 ca=$3 san=$4 usage=digitalSignature
	shift 4
	[[ $type = rsa ]] && usage+=,keyEncipherment
	new_key "$type" "$tmp/$name.key" || return 1
	printf '%s\n' "subjectAltName=$san" basicConstraints=CA:FALSE "keyUsage=critical,$usage" \
		extendedKeyUsage=serverAuth,clientAuth >"$tmp/$name.ext"
	openssl req -new -key "$tmp/$name.key" -subj "/CN=$name" 2>>"$tmp/log/openssl" |
		openssl x509 -req -CA "$tmp/$ca.pem" -CAkey "$tmp/$ca.key" -CAcreateserial \
			-days 30 -extfile "$tmp/$name.ext" -out "$tmp/$name.pem" "$@" \
			2>>"$tmp/log/openssl"
}

# ---- TAP ---------------------------------------------------------------------

# diagnose [LOG...]: the end of each, as TAP comments.
diagnose() {
	local log
	for log; do
		[[ -s $tmp/log/$log ]] || continue
		echo "# --- $log"
		tail -n 8 "$tmp/log/$log" | cat -v | cut -c1-300 | sed 's/^/# /'
	done
}

# check NAME COMMAND...: one test.  COMMAND returns 0, or 77 for skip, or else;
# it leaves the reason in $why.  It runs in this shell.  With ONLY set, names
# that do not match are left out.
check() {
	local name=$1 status=0
	shift
	[[ -z ${ONLY:-} || $name =~ $ONLY ]] || return 0
	why=
	"$@" || status=$?
	tap_count=$((tap_count + 1))
	case $status in
	0)
		echo "ok $tap_count - $name"
		;;
	77)
		tap_skipped=$((tap_skipped + 1))
		echo "ok $tap_count - $name # SKIP ${why:-no reason given}"
		;;
	*)
		tap_failed=$((tap_failed + 1))
		echo "not ok $tap_count - $name"
		echo "${why:-status $status}" | cat -v | sed 's/^/# /'
		diagnose "${diagnose_logs[@]}"
		;;
	esac
}
diagnose_logs=()

# fail REASON / skip REASON: for use as `fail ...; return`.
fail() {
	why=$*
	return 1
}

skip() {
	why=$*
	return 77
}

bail_out() {
	echo "Bail out! $*"
	exit 1
}

# The plan, last; exit status for the script.
tap_end() {
	echo "1..$tap_count"
	((tap_count > 0 && tap_failed == 0))
}
