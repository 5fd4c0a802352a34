#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The demonstration itself, on a kernel that has tlsgate.ko loaded: nginx as a
# plain HTTP backend, `tlsgated serve` in front of it, other people's clients;
# another gate that delivers to the same nginx; one whose clients are routed by
# name and protocol; then `tlsgated connect` in front of an OpenSSL server.
#
# Environment: DEMO_PORT (reachable from outside: wait for Enter at the end),
# DEMO_SLOW (factor on deadlines), OUT (where to leave the CA's certificate).

slow=${DEMO_SLOW:-1}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
# shellcheck source-path=SCRIPTDIR
. "$here/lib.sh"

tlsgated=$here/../build/tlsgated
tlsgate=$here/../build/tlsgate
stat_file=/proc/net/tlsgate_stat
mib=64
size=$((mib << 20))
small_mib=8
small=$((small_mib << 20))
http_port=8080
shop_port=8082
api_port=8083
h2_port=8084
connections=0 delivered=0 polite=0 sealed=0 opened=0
declare -A sum_of=()

step() {
	printf '\n--> %s  (%d s)\n' "$*" "$SECONDS"
}

give_up() {
	local log
	echo "demo: $*" >&2
	for log in gate nginx deliver names connect s_server; do
		[[ -s $tmp/log/$log ]] && sed "s/^/demo: $log: /" "$tmp/log/$log" | tail -n 5 >&2
	done
	exit 1
}

counter() {
	awk -v name="$1" '$1 == name { print $2 }' "$stat_file"
}

# same FILE [OF]: its SHA-256 is that of $tmp/www/original, or of OF.
same() {
	local sum wanted=${sum_of[${2:-original}]}
	sum=$(sha256_of "$1") || give_up "$1 is missing"
	echo "    sha256 $sum  $(stat -c %s "$1") bytes"
	[[ $sum = "$wanted" ]] || give_up "the bytes differ from the original's, $wanted"
}

# account SEALED OPENED [rude]: one TLS connection more, for which the module
# sealed and opened so many bytes at least; rude: its client leaves without close_notify.
account() {
	connections=$((connections + 1)) sealed=$((sealed + $1)) opened=$((opened + $2))
	[[ ${3:-} = rude ]] || polite=$((polite + 1))
}

# timed COMMAND...: says how long it took.
timed() {
	local began=${EPOCHREALTIME/./} us
	"$@" || return 1
	us=$((${EPOCHREALTIME/./} - began))
	printf '    %d.%d s\n' $((us / 1000000)) $((us % 1000000 / 100000))
}

# ---- what it takes -------------------------------------------------------------

start_backend() {
	mkdir -p "$tmp/www"
	head -c "$size" /dev/urandom >"$tmp/www/original"
	head -c "$small" "$tmp/www/original" >"$tmp/www/small"
	sum_of[original]=$(sha256_of "$tmp/www/original")
	sum_of[small]=$(sha256_of "$tmp/www/small")
	echo '<h1>tlsgate</h1><p>This page came through TLS records that the kernel sealed.' \
		>"$tmp/www/index.html"
	spawn_nginx nginx <<-CONF
		log_format who '\$remote_addr \$request';
		server {
			access_log $tmp/log/access who;
			listen 127.0.0.1:$http_port;
			root $tmp/www;
			dav_methods PUT;
		}
		server {
			listen 127.0.0.1:$shop_port;
			return 200 'shop by \$server_protocol';
		}
		server {
			listen 127.0.0.1:$api_port;
			return 200 'api by \$server_protocol';
		}
		server {
			listen 127.0.0.1:$h2_port http2;
			return 200 'api by \$server_protocol';
		}
	CONF
	ready nginx "$http_port" || give_up "$why"
}

start_gate() {
	new_ca ca && new_cert gate ecdsa ca DNS:gate.test,DNS:localhost,IP:127.0.0.1 ||
		give_up "openssl made no certificates: $(tail -n 1 "$tmp/log/openssl")"
	spawn gate "$tlsgated" serve :443 "127.0.0.1:$http_port" --cert "$tmp/gate.pem" \
		--key "$tmp/gate.key" --data-path=kernel --control="$tmp/control"
	ready gate 443 || give_up "$why"
	sed 's/^/    /' "$tmp/log/gate"
}

# ---- the clients ---------------------------------------------------------------

curl_gate() {
	curl -sSf --max-time $((60 * slow)) --cacert "$tmp/ca.pem" --resolve gate.test:443:127.0.0.1 "$@"
}

moving() {
	[[ -s $tmp/got ]] && "$tlsgate" show | grep -q 'TLS 1'
}

curl_download() {
	curl_gate -o "$tmp/got" https://gate.test/original &
	pid_of[curl]=$!
	wait_until 30 moving || give_up "no session is shown while curl downloads"
	kill -STOP "$!"
	COLUMNS=110 "$tlsgate" -S "$tmp/control" show | sed 's/^/    /'
	kill -CONT "$!"
	wait "$!" || give_up "curl failed"
	unset "pid_of[curl]"
	account "$size" 0
	same "$tmp/got"
}

curl_upload() {
	curl_gate -T "$tmp/www/original" https://gate.test/curl.up || give_up "curl failed"
	account 0 "$size"
	same "$tmp/www/curl.up"
}

request() {
	printf '%s HTTP/1.1\r\nHost: gate.test\r\nConnection: close\r\n%s\r\n' "$1" "${2:-}"
}

# after_headers FILE: what follows the answer's headers.
after_headers() {
	head -c 12 "$1" | grep -q '^HTTP/1.1 20' || give_up "answer: $(head -c 100 "$1")"
	sed '1,/^\r$/d' "$1"
}

s_client() {
	limit 60 openssl s_client -connect 127.0.0.1:443 -servername gate.test -verify_hostname gate.test \
		-CAfile "$tmp/ca.pem" -verify_return_error -brief -ign_eof -nocommands "$@" \
		2>"$tmp/log/s_client"
}

said_by_s_client() {
	grep -E 'Protocol version|Ciphersuite|Verification|Server Temp' "$tmp/log/s_client" | sed 's/^/    /'
}

openssl_download() {
	request "GET /original" | s_client -tls1_2 >"$tmp/raw" || give_up "s_client: $(<"$tmp/log/s_client")"
	said_by_s_client
	after_headers "$tmp/raw" >"$tmp/got"
	account "$size" 0
	same "$tmp/got"
}

openssl_upload() {
	{
		request "PUT /openssl.up" "Content-Length: $small"$'\r\n'
		cat "$tmp/www/small"
	} | s_client -ciphersuites TLS_CHACHA20_POLY1305_SHA256 -tls1_3 >"$tmp/raw" ||
		give_up "s_client: $(<"$tmp/log/s_client")"
	said_by_s_client
	after_headers "$tmp/raw" >/dev/null
	account 0 "$small"
	same "$tmp/www/openssl.up" small
}

# Feeds gnutls-cli from a pipe that a holder keeps open: it leaves at the end of its input.
gnutls_upload() {
	mkfifo "$tmp/pipe"
	sleep $((60 * slow)) >"$tmp/pipe" &
	pid_of[holder]=$!
	{
		request "PUT /gnutls.up" "Content-Length: $size"$'\r\n'
		cat "$tmp/www/original"
	} >"$tmp/pipe" &
	limit 60 gnutls-cli --logfile="$tmp/log/gnutls" --x509cafile "$tmp/ca.pem" --sni-hostname gate.test \
		--verify-hostname gate.test -p 443 127.0.0.1 <"$tmp/pipe" >"$tmp/raw" ||
		give_up "gnutls-cli: $(tail -n 3 "$tmp/log/gnutls")"
	stop holder
	grep -E 'Status:|Description:' "$tmp/log/gnutls" | sed 's/^- /    /'
	after_headers "$tmp/raw" >/dev/null
	account 0 "$size" rude
	same "$tmp/www/gnutls.up"
}

# Not accounted for: it may be over before there is anything to hand to the kernel.
explain() {
	"$tlsgate" handshake 127.0.0.1:443 --ca "$tmp/ca.pem" --server-name gate.test --explain |
		sed 's/^/    /' || give_up "the handshake failed"
}

# ---- delivering -----------------------------------------------------------------

start_deliver() {
	spawn deliver "$tlsgated" serve :444 "127.0.0.1:$http_port" --cert "$tmp/gate.pem" \
		--key "$tmp/gate.key" --deliver=always
	ready deliver 444 || give_up "$why"
	sed 's/^/    /' "$tmp/log/deliver"
}

deliver_download() {
	curl_gate --interface 127.0.0.2 --resolve gate.test:444:127.0.0.1 -o "$tmp/got" \
		https://gate.test:444/original || give_up "curl failed"
	account "$size" 0
	delivered=$((delivered + 1))
	same "$tmp/got"
	wait_until 20 grep -q '^127\.0\.0\.2 GET /original' "$tmp/log/access" ||
		give_up "nginx did not see the client's address: $(tail -n 1 "$tmp/log/access")"
	sed 's/^/    nginx: /' "$tmp/log/access" | tail -n 2
}

# ---- names ----------------------------------------------------------------------

start_names() {
	new_cert shop ecdsa ca DNS:shop.test && new_cert api rsa ca DNS:api.test ||
		give_up "openssl made no certificates: $(tail -n 1 "$tmp/log/openssl")"
	cat >"$tmp/names.conf" <<-CONF
		control = none
		gate names {
			mode = serve
			listen = ":445"
			cert = {"$tmp/shop.pem", "$tmp/api.pem"}
			key = {"$tmp/shop.key", "$tmp/api.key"}
			alpn = "h2,http/1.1"
			data-path = kernel
			unknown-name = refuse
			backend = "127.0.0.1:$shop_port"
			route api.test {
				backend = "127.0.0.1:$api_port"
			}
			route api.test {
				alpn = h2
				backend = "127.0.0.1:$h2_port"
			}
		}
	CONF
	sed -n '/backend/,$s/^/    /p' "$tmp/names.conf"
	spawn names "$tlsgated" -c "$tmp/names.conf"
	ready names 445 || give_up "$why"
}

# page NAME WANTED [CURL'S OPTION...]
page() {
	local name=$1 wanted=$2 got
	shift 2
	got=$(curl -sSf --max-time $((60 * slow)) --cacert "$tmp/ca.pem" --resolve "$name:445:127.0.0.1" "$@" \
		"https://$name:445/") || give_up "curl failed"
	printf '    %s: %s\n' "$name" "$got"
	[[ $got = "$wanted" ]] || give_up "not the page that was wanted: $wanted"
	account 0 0 rude
}

pages() {
	page shop.test "shop by HTTP/1.1" --http1.1
	page api.test "api by HTTP/1.1" --http1.1
	page api.test "api by HTTP/2.0" --http2
	! curl -sS --cacert "$tmp/ca.pem" --resolve else.test:445:127.0.0.1 https://else.test:445/ >/dev/null 2>&1 ||
		give_up "a name without a certificate is served"
}

# ---- originating ----------------------------------------------------------------

start_connect() {
	(cd "$tmp/www" && exec openssl s_server -accept 127.0.0.1:8443 -WWW -quiet \
		-cert "$tmp/gate.pem" -key "$tmp/gate.key") >"$tmp/log/s_server" 2>&1 &
	pid_of[s_server]=$!
	wait_until 20 listening 8443 || give_up "openssl s_server does not start"
	spawn connect "$tlsgated" connect 127.0.0.1:8081 127.0.0.1:8443 --ca "$tmp/ca.pem" \
		--server-name gate.test --data-path=kernel
	ready connect 8081 || give_up "$why"
}

connect_download() {
	curl -sSf --max-time $((60 * slow)) -o "$tmp/got" http://127.0.0.1:8081/original ||
		give_up "curl failed"
	account 0 "$size"
	same "$tmp/got"
}

# ---- the verdict ---------------------------------------------------------------

no_session() {
	[[ $(counter sessions_current) = 0 ]]
}

# want WHAT GOT WANTED: GOT is at least WANTED.
want() {
	printf '    %-34s %12d, wanted at least %d\n' "$@"
	(($2 >= $3)) || give_up "the module's counters do not account for what the clients moved"
}

# Sessions that failed and offloads that were refused.
failures() {
	awk '/^reason_/ && $1 !~ /_(none|finished|truncated)$/ { n += $2 } END { print n + 0 }' "$stat_file"
}

accounts() {
	wait_until 20 no_session || give_up "sessions are left: $("$tlsgate" show)"
	grep -v ' 0$' "$stat_file" | sed 's/^/    /'
	echo
	want "TLS connections carried" "$(counter sessions_opened)" "$connections"
	want "relays in the kernel" "$(counter relays_opened)" $((connections - delivered))
	want "connections delivered to nginx" "$(counter deliveries_accepted)" "$delivered"
	want "bytes sealed by the module" "$(counter tx_bytes)" "$sealed"
	want "bytes opened by the module" "$(counter rx_bytes)" "$opened"
	want "records sealed" "$(counter tx_records)" $((sealed / 16384))
	want "records opened" "$(counter rx_records)" $((opened / 16384))
	want "ended with close_notify both ways" "$(counter reason_finished)" "$polite"
	[[ $(failures) = "$failures_before" ]] || give_up "sessions failed, or were refused: see the reasons above"
	! grep -q 'data path: user' "$tmp/log/gate" "$tmp/log/names" "$tmp/log/connect" ||
		give_up "a gate took the user data path"
}

wait_for_enter() {
	local at=https://localhost:$DEMO_PORT/
	[[ ${DEMO_PORT} = 443 ]] && at=https://localhost/
	cp "$tmp/ca.pem" "$OUT/ca.pem"
	step "it stays up: open $at"
	echo "    the CA's certificate is build/demo/guest/ca.pem: curl --cacert build/demo/guest/ca.pem $at"
	echo "    press Enter to end"
	read -r _
}

[[ -r $stat_file ]] || give_up "$stat_file is not there: the module is not loaded"
for taken in 443 444 445 $http_port $shop_port $api_port $h2_port 8081 8443; do
	! listening "$taken" || give_up "port $taken is in use: stop what listens there"
done
step "Linux $(uname -r), tlsgate.ko loaded"
"$tlsgate" version | sed 's/^/    /'
step "nginx serves $mib MiB as plain HTTP on 127.0.0.1:$http_port"
start_backend
step "tlsgated serve :443 127.0.0.1:$http_port, certificate of a CA made just now"
start_gate
step "a handshake, step by step: tlsgate handshake --explain"
explain
step "curl downloads $mib MiB; tlsgate show meanwhile"
timed curl_download
failures_before=$(failures)	# what the handshake above may have left
step "curl uploads $mib MiB"
timed curl_upload
step "openssl s_client downloads $mib MiB, TLS 1.2"
timed openssl_download
step "openssl s_client uploads $small_mib MiB, ChaCha20-Poly1305"
timed openssl_upload
step "gnutls-cli uploads $mib MiB"
timed gnutls_upload
step "tlsgated serve :444 127.0.0.1:$http_port --deliver=always: nginx itself accepts; curl downloads $mib MiB from 127.0.0.2"
start_deliver
failures_before=$((failures_before + 1))	# asking the module about nginx' socket is one refusal
timed deliver_download
step "tlsgated -c names.conf: two names on :445, each with its backend, and HTTP/2 with its own"
start_names
timed pages
step "tlsgated connect 127.0.0.1:8081 in front of openssl s_server; curl downloads $mib MiB from it in plain"
start_connect
timed connect_download
step "the module's own counters"
accounts
[[ -z ${DEMO_PORT:-} ]] || wait_for_enter
stop connect || give_up "tlsgated connect: exit status $? on SIGTERM"
stop names || give_up "tlsgated -c names.conf: exit status $? on SIGTERM"
stop deliver || give_up "tlsgated serve --deliver: exit status $? on SIGTERM"
stop gate || give_up "tlsgated serve: exit status $? on SIGTERM"
