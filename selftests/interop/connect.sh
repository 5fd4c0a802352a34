# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# `tlsgated connect` and other people's servers.  A server is started once and
# named <program>-<certificate>; a gate is started for every row, since the
# row's version, suite and groups are the gate's options.
#
# ${server_port[<name>]}; logs: $tmp/log/server-<name>, $tmp/log/gate-connect.

declare -A server_port=()

# server NAME COMMAND...: @PORT@ in the arguments becomes the port.
server() {
	local name=$1
	shift
	free_port
	server_port[$name]=$port
	spawn "server-$name" "${@//@PORT@/$port}"
}

# in_tmp COMMAND...: s_server -WWW serves its current directory.
in_tmp() {
	cd "$tmp" && exec "$@"
}

openssl_server() {
	local name=$1 cert=$2
	shift 2
	server "$name" in_tmp "${openssl[@]}" s_server -accept 127.0.0.1:@PORT@ -WWW \
		-cert "$tmp/$cert.pem" -key "$tmp/$cert.key" "$@"
}

nginx_server() {
	local cert=$1
	have nginx || return 0
	free_port
	server_port[nginx-$cert]=$port
	spawn_nginx "server-nginx-$cert" <<-CONF
		server {
			listen 127.0.0.1:$port ssl;
			ssl_certificate $tmp/$cert.pem;
			ssl_certificate_key $tmp/$cert.key;
			ssl_protocols TLSv1.2 TLSv1.3;
			location / { proxy_pass http://127.0.0.1:$http_port; }
		}
	CONF
}

stunnel_server() {
	local cert=$1
	have stunnel || return 0
	free_port
	server_port[stunnel-$cert]=$port
	printf '%s\n' 'foreground = yes' 'pid =' 'syslog = no' '[gate]' "accept = 127.0.0.1:$port" \
		"connect = 127.0.0.1:$http_port" "cert = $tmp/$cert.pem" "key = $tmp/$cert.key" \
		>"$tmp/stunnel.conf"
	spawn "server-stunnel-$cert" stunnel "$tmp/stunnel.conf"
}

haproxy_server() {
	local cert=$1
	have haproxy || return 0
	free_port
	server_port[haproxy-$cert]=$port
	cat "$tmp/$cert.pem" "$tmp/$cert.key" >"$tmp/haproxy.pem"
	cat >"$tmp/haproxy.conf" <<-CONF
		defaults
			mode tcp
			timeout connect 10s
			timeout client 60s
			timeout server 60s
		frontend tls
			bind 127.0.0.1:$port ssl crt $tmp/haproxy.pem
			default_backend plain
		backend plain
			server plain 127.0.0.1:$http_port
	CONF
	spawn "server-haproxy-$cert" haproxy -db -f "$tmp/haproxy.conf"
}

start_servers() {
	local cert name
	for cert in ecdsa rsa ed25519 expired; do
		openssl_server "openssl-$cert" "$cert"
	done
	openssl_server openssl-p384 ecdsa -groups P-384
	openssl_server openssl-tls11 rsa -tls1_1 -cipher ALL:@SECLEVEL=0
	openssl_server openssl-cbc rsa -tls1_2 -cipher ECDHE-RSA-AES128-SHA256
	for cert in ecdsa rsa; do
		nginx_server "$cert"
		have gnutls-serv && server "gnutls-$cert" gnutls-serv --echo --disable-client-cert \
			-p @PORT@ --x509certfile "$tmp/$cert.pem" --x509keyfile "$tmp/$cert.key" \
			--priority NORMAL:+RSA
		have "$python" && server "python-$cert" "$python" "$here/interop/backend.py" "$tmp/blob" \
			@PORT@ --tls "$tmp/$cert.pem" "$tmp/$cert.key"
		have "$node" && server "node-$cert" "$node" "$here/interop/server.js" "$tmp/blob" \
			@PORT@ "$tmp/$cert.pem" "$tmp/$cert.key"
	done
	stunnel_server ecdsa
	haproxy_server rsa
	start_peer_servers
	for name in "${!server_port[@]}"; do
		ready "server-$name" "${server_port[$name]}" || return 1
	done
}

stop_servers() {
	local name
	for name in "${!server_port[@]}"; do
		stop "server-$name" || true
	done
}

# connect_gate SERVER-PORT OPTION...: as gate-connect, on $connect_port.
connect_gate() {
	local backend=$1
	shift
	free_port
	connect_port=$port
	spawn gate-connect "${tlsgated[@]}" connect "127.0.0.1:$connect_port" "127.0.0.1:$backend" \
		"--data-path=$path" "--handshake-timeout=$((10 * slow))s" "$@"
	ready gate-connect "$connect_port"
}

connect_rows() {
	cat <<-'ROWS'
		both 1.3 TLS_AES_128_GCM_SHA256                        X25519       openssl-ecdsa
		both 1.3 TLS_AES_256_GCM_SHA384                        X25519       openssl-ecdsa
		both 1.3 TLS_CHACHA20_POLY1305_SHA256                  X25519       openssl-ecdsa
		user 1.3 TLS_AES_128_GCM_SHA256                        P-256        openssl-rsa
		user 1.3 TLS_AES_256_GCM_SHA384                        P-384        openssl-ed25519
		user 1.3 -                                             X25519:P-384 openssl-p384
		user 1.3 -                                             X448         openssl-ecdsa
		user 1.3 -                                             -            openssl-rsa
		both 1.3 -                                             -            nginx-ecdsa
		user 1.3 TLS_CHACHA20_POLY1305_SHA256                  -            nginx-rsa
		both 1.3 -                                             -            gnutls-ecdsa
		user 1.3 TLS_AES_128_GCM_SHA256                        P-256        gnutls-rsa
		both 1.3 -                                             -            python-ecdsa
		user 1.3 TLS_AES_128_GCM_SHA256                        P-256        python-rsa
		both 1.3 -                                             -            node-ecdsa
		user 1.3 TLS_CHACHA20_POLY1305_SHA256                  P-256        node-rsa
		user 1.3 -                                             -            stunnel-ecdsa
		user 1.3 -                                             -            haproxy-rsa
		both 1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256       X25519:P-256 openssl-ecdsa
		both 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384       X25519:P-256 openssl-ecdsa
		both 1.2 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 X25519:P-256 openssl-ecdsa
		user 1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256         P-256        openssl-rsa
		user 1.2 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384         X25519       openssl-rsa
		user 1.2 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256   P-384        openssl-rsa
		user 1.2 TLS_RSA_WITH_AES_128_GCM_SHA256               -            openssl-rsa
		user 1.2 -                                             X25519:P-256 openssl-ed25519
		user 1.2 -                                             X448         openssl-rsa
		both 1.2 -                                             -            nginx-rsa
		user 1.2 TLS_RSA_WITH_AES_256_GCM_SHA384               -            gnutls-rsa
		both 1.2 -                                             -            gnutls-ecdsa
		user 1.2 -                                             -            python-ecdsa
		user 1.2 -                                             -            node-rsa
		user 1.2 -                                             -            stunnel-ecdsa
		user 1.2 -                                             -            haproxy-rsa
	ROWS
}

plain_download() {
	curl -sSf --max-time $((30 * slow)) -o "$tmp/got" "http://127.0.0.1:$connect_port/blob" \
		2>"$tmp/said" || { fail "download: $(<"$tmp/said")"; return; }
	[[ $(sha256_of "$tmp/got") = "$blob_sum" ]] || fail "downloaded bytes differ"
}

plain_upload() {
	curl -sSf --max-time $((30 * slow)) -T "$tmp/blob" -o "$tmp/answer" \
		"http://127.0.0.1:$connect_port/up" 2>"$tmp/said" ||
		{ fail "upload: $(<"$tmp/said")"; return; }
	[[ $(<"$tmp/answer") = "$blob_sum $blob_size" ]] || fail "uploaded bytes differ"
}

# gnutls-serv --echo works on lines of text, one at a time, and ends even a busy
# connection 40 s after it began: in a guest fewer lines.
echo_lines=$((120 / (slow + 1)))
plain_echo() {
	local fd line back n=0
	exec {fd}<>"/dev/tcp/127.0.0.1/$connect_port" || { fail "no connection"; return; }
	while read -r line; do
		echo "$line" >&"$fd"
		read -rt $((10 * slow)) -u "$fd" back || break
		[[ $back = "$line" ]] || break
		n=$((n + 1))
	done < <(head -c $((750 * echo_lines)) "$tmp/blob" | base64 -w 1000)
	exec {fd}>&-
	((n == echo_lines)) || fail "$n of $echo_lines lines came back"
}

# Until the ticket of TLS 1.3 came, the daemon relays: at most 64 KiB and a record.
originate() {
	local server=$1 version=$2 suite=$3 group=$4 early=0 least
	local -a options=(--ca "$tmp/ca.pem" --server-name gate.test
		"--min-version=$version" "--max-version=$version")
	[[ -n ${server_port[$server]:-} ]] || { skip "$(why_no_peer "${server%%-*}")"; return; }
	[[ $suite = - ]] || options+=("--ciphersuites=$suite")
	[[ $group = - ]] || options+=("--groups=$(iana_groups "$group")")
	connect_gate "${server_port[$server]}" "${options[@]}" || return 1
	[[ $version = 1.2 ]] || early=$((5 * 16384))
	kernel_mark
	case $server in
	gnutls-*)
		# the first answer is as good as a ticket
		least=$((1000 * echo_lines - early / 16))
		plain_echo && kernel_carried $least $least ;;
	openssl-* | openssl36-*) plain_download && kernel_carried $((early == 0)) $((blob_size - early)) ;;
	nss-*) plain_nss && kernel_carried $((early ? 0 : 6668)) $((early ? 0 : 6668)) ;;
	*) plain_download && plain_upload && kernel_carried $((blob_size - early)) $((blob_size - early)) ;;
	esac || { stop gate-connect; return 1; }
	stop gate-connect || fail "exit status $? on SIGTERM"
}

connect_table() {
	local where version suite group server
	while read -r where version suite group server; do
		[[ $where = user && $path = kernel ]] && continue
		diagnose_logs=(gate-connect "server-$server")
		check "connect $server TLS $version $suite $group" \
			originate "$server" "$version" "$suite" "$group"
	done < <(connect_rows)
}

# ---- refusals -----------------------------------------------------------------

# connect_refused SERVER LOG-PATTERN OPTION...: nothing reaches the plain
# client, and the log says why.
connect_refused() {
	local server=$1 want=$2 got=0
	shift 2
	if [[ $server = plain ]]; then
		server_port[plain]=$http_port
	fi
	connect_gate "${server_port[$server]}" "$@" || return 1
	: >"$tmp/got"
	curl -sS --http0.9 --max-time $((10 * slow)) -o "$tmp/got" "http://127.0.0.1:$connect_port/blob" \
		2>"$tmp/said" || got=$?
	if ((got == 0)) || [[ -s $tmp/got ]]; then
		stop gate-connect
		fail "the plain client got an answer"
		return
	fi
	if ((got == 28)); then
		stop gate-connect
		fail "the plain client was left waiting"
		return
	fi
	grep -qiE "$want" "$tmp/log/gate-connect" ||
		{ stop gate-connect; fail "the log does not say why ($want)"; return; }
	stop gate-connect || fail "exit status $? on SIGTERM"
}

connect_refusals() {
	local ca=$tmp/ca.pem
	diagnose_logs=(gate-connect)
	check "connect refuses: certificate of another CA" connect_refused openssl-ecdsa \
		'unknown.ca|issuer|self.signed' --ca "$tmp/otherca.pem" --server-name gate.test
	check "connect refuses: no CA given, the system's does not know ours" connect_refused \
		openssl-ecdsa 'unknown.ca|issuer|self.signed' --server-name gate.test
	check "connect refuses: expired certificate" connect_refused openssl-expired \
		'expired' --ca "$ca" --server-name gate.test
	check "connect refuses: certificate for another name" connect_refused openssl-ecdsa \
		'name|mismatch' --ca "$ca" --server-name other.test
	check "connect refuses: certificate without the address" connect_refused openssl-ecdsa \
		'name|address|mismatch' --ca "$ca"
	check "connect refuses: server speaks TLS 1.1 only" connect_refused openssl-tls11 \
		'protocol.version' --ca "$ca" --server-name gate.test
	check "connect refuses: server has CBC suites only" connect_refused openssl-cbc \
		'handshake.failure' --ca "$ca" --server-name gate.test
	check "connect refuses: server speaks no TLS" connect_refused plain \
		'127\.0\.0\.1:' --ca "$ca" --server-name gate.test
}

# ---- other ways to behave -------------------------------------------------------

# openssl_session FLAG...: an s_server for one connection, its input on $to,
# its output in $tmp/sink, as `session`; gate-connect in front of it.
openssl_session() {
	free_port
	local at=$port
	rm -f "$tmp/pipe"
	mkfifo "$tmp/pipe" || return 1
	stdbuf -o0 openssl s_server -accept "127.0.0.1:$at" -naccept 1 -cert "$tmp/ecdsa.pem" \
		-key "$tmp/ecdsa.key" "$@" <"$tmp/pipe" >"$tmp/sink" 2>"$tmp/said" &
	pid_of[session]=$!
	exec {to}>"$tmp/pipe"
	wait_until 20 listening "$at" || return 1
	connect_gate "$at" --ca "$tmp/ca.pem" --server-name gate.test
}

end_session() {
	exec {to}>&-
	stop session
	stop gate-connect
}

# s_server ends at close_notify: then it has all.
connect_half_close() {
	local version=$1 result=1
	openssl_session -quiet "-tls${version/./_}" || { end_session; return 1; }
	if ! cat "$tmp/blob" >"/dev/tcp/127.0.0.1/$connect_port"; then
		why="the gate did not take the bytes"
	elif ! wait_until 20 gone "${pid_of[session]}"; then
		why="the server saw no close_notify"
	elif [[ $(sha256_of "$tmp/sink") != "$blob_sum" ]]; then
		why="$(stat -c %s "$tmp/sink") of $blob_size bytes came, or others"
	else
		result=0
	fi
	end_session
	return "$result"
}

sunk() {
	grep -aq -e "$1" "$tmp/sink" "$tmp/said"
}

# K: the server asks us to follow; k: it does not.
connect_key_update() {
	local letter fd result=1 line
	openssl_session -tls1_3 || { end_session; return 1; }
	exec {fd}<>"/dev/tcp/127.0.0.1/$connect_port"
	while :; do
		wait_until 20 sunk 'CIPHER is' || { why="no handshake"; break; }
		for letter in "$@"; do
			: >"$tmp/said"
			: >"$tmp/sink"
			echo "$letter" >&"$to"
			wait_until 10 sunk 'SSL_do_handshake ->' || { why="s_server sent no KeyUpdate"; break 2; }
			echo "to client $letter" >&"$to"
			read -rt $((10 * slow)) -u "$fd" line || { why="nothing after KeyUpdate"; break 2; }
			[[ $line = "to client $letter" ]] || { why="client read: $line"; break 2; }
			echo "to server $letter" >&"$fd"
			wait_until 10 sunk "to server $letter" || { why="server read nothing"; break 2; }
		done
		result=0
		break
	done
	exec {fd}>&-
	end_session
	return "$result"
}

connect_absent() {
	connect_gate "$dead_port" --ca "$tmp/ca.pem" --server-name gate.test || return 1
	if curl -sS --max-time $((10 * slow)) -o "$tmp/got" "http://127.0.0.1:$connect_port/" 2>"$tmp/said"; then
		why="an answer without a server"
	else
		wait_until 5 logged gate-connect "127.0.0.1:$dead_port" || why="no log line names the server"
	fi
	stop gate-connect
	[[ -z $why ]]
}

connect_behaviour() {
	diagnose_logs=(gate-connect)
	check "connect: server absent" connect_absent
	check "connect: upload and half-close, TLS 1.3" connect_half_close 1.3
	check "connect: upload and half-close, TLS 1.2" connect_half_close 1.2
	check "connect: KeyUpdate by the server, peer asked to follow" connect_key_update K
	check "connect: KeyUpdate by the server, peer not asked" connect_key_update k
	check "connect: six KeyUpdates by the server" connect_key_update K k K K k K
}
