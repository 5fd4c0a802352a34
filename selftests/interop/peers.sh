# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Peers that came later than those of clients.sh and connect.sh: Go, Java, NSS,
# and the OpenSSL of Debian sid, which has ML-KEM.  The clients are called as
# clients.sh says.  Go's and Java's programs are ours, and made beforehand by
# `make interop-peers`.

peers=$here/../build/selftests/interop
sid=$here/../build/sid
# A program of this machine with sid's libraries, and sid's openssl.
sid_run=(env OPENSSL_CONF=/dev/null "$sid/lib64/ld-linux-x86-64.so.2" --library-path
	"$sid/usr/lib/x86_64-linux-gnu")
sid_openssl=("${sid_run[@]}" "$sid/usr/bin/openssl")
# No second compiler for programs that live a second.
java=(java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$peers" Peer)

declare -A behind_port=()
declare -A nss_suite=(
	[TLS_AES_128_GCM_SHA256]=1301
	[TLS_AES_256_GCM_SHA384]=1302
	[TLS_CHACHA20_POLY1305_SHA256]=1303
	[TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]=C02B
	[TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]=C02C
	[TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]=CCA9
	[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]=C02F
	[TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]=C030
	[TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]=CCA8
	[TLS_RSA_WITH_AES_128_GCM_SHA256]=009C
	[TLS_RSA_WITH_AES_256_GCM_SHA384]=009D
)

# For Java and NSS: keys with their chains.
make_peer_stores() {
	local name
	for name in ecdsa rsa client_ecdsa client_rsa; do
		openssl pkcs12 -export -name "$name" -in "$tmp/$name.pem" -inkey "$tmp/$name.key" \
			-certfile "$tmp/ca.pem" -passout pass:changeit -out "$tmp/$name.p12" \
			2>>"$tmp/log/openssl" || bail_out "no PKCS12: $(tail -n 1 "$tmp/log/openssl")"
	done
	have certutil || return 0
	{
		nss_database ca ca && nss_database otherca otherca &&
			nss_database keys ca ecdsa rsa client_ecdsa client_rsa
	} >>"$tmp/log/nss" 2>&1 || bail_out "no NSS database: $(tail -n 1 "$tmp/log/nss")"
}

# nss_database NAME CA [KEY...]: $tmp/NAME.db trusts CA and holds our keys.  NSS
# sends a certificate that fits, asked or not: hence some without any.
nss_database() {
	local db=sql:$tmp/$1.db ca=$2 name
	mkdir "$tmp/$1.db" && certutil -N -d "$db" --empty-password &&
		certutil -A -d "$db" -n "$ca" -t CT,, -i "$tmp/$ca.pem" || return 1
	shift 2
	for name; do
		pk12util -i "$tmp/$name.p12" -d "$db" -W changeit || return 1
	done
}

have_peer() {
	case $1 in
	go) [[ -x $peers/peer ]] ;;
	java) have java && [[ -e $peers/Peer.class ]] ;;
	nss) have tstclnt && have selfserv ;;
	openssl36) [[ -e $sid/.complete ]] ;;
	openssl) true ;;
	gnutls) have gnutls-serv ;;
	*) return 1 ;;
	esac
}

# why_no_peer NAME: for a skip.
why_no_peer() {
	case $1 in
	openssl36) echo "no Debian sid in build/sid: see what selftests/fetch-debian.sh sid says" ;;
	*) echo "no $1 on this machine" ;;
	esac
}

client_go() {
	local operation=$1 file=$tmp/got
	local -a own=()
	[[ $operation = put ]] && file=$tmp/blob
	[[ -z $identity ]] || own=("$tmp/$identity.pem" "$tmp/$identity.key")
	limit 30 "$peers/peer" "${@:1:7}" "$file" "${own[@]}" >"$tmp/answer" 2>"$tmp/said"
}

client_java() {
	local operation=$1 file=$tmp/got groups
	[[ $operation = put ]] && file=$tmp/blob
	groups=$(iana_groups "$7")
	limit 30 "${java[@]}" "${@:1:6}" "${groups//:/,}" "$file" \
		${identity:+"$tmp/$identity.p12"} >"$tmp/answer" 2>"$tmp/said"
}

# nss_client OPERATION PORT NAME CA VERSION SUITE GROUP [FLAG...]: the answer in $tmp/raw.
nss_client() {
	local operation=$1 port=$2 name=$3 ca=$4 version=$5 suite=$6 group=$7
	local -a args=(-V "tls$version:tls$version" -d "sql:${ca%.pem}.db")
	shift 7
	[[ $suite = - ]] || args+=(-c ":${nss_suite[$suite]}")
	if [[ $group != - ]]; then
		group=${group//X25519/x25519}
		group=${group//-/}
		args+=(-I "${group//:/,}")
	fi
	[[ -z $identity ]] || args+=(-n "$identity" -d "sql:$tmp/keys.db")
	http_request "$operation" >"$tmp/request"
	limit 30 tstclnt -4 -v -h 127.0.0.1 -a "$name" -p "$port" \
		"${args[@]}" "$@" -A "$tmp/request" </dev/null >"$tmp/raw" 2>"$tmp/said"
}

client_nss() {
	nss_client "$@" && http_body "$1"
}

# NSS says neither version nor suite by name.
negotiated_nss() {
	local cipher
	case $2 in
	*AES_128_GCM*) cipher='128-bit AES-GCM' ;;
	*AES_256_GCM*) cipher='256-bit AES-GCM' ;;
	*CHACHA20*) cipher='256-bit CHACHA20POLY1305' ;;
	esac
	grep -qE "SSL version 3.$((${1#1.} + 1)) using ${cipher:-}" "$tmp/said"
}

client_openssl36() {
	local -a openssl=("${sid_openssl[@]}")
	client_openssl "$@"
}

# peer_server KIND CERTIFICATE NAME [require]: with `require`, it wants a client's certificate.
peer_server() {
	local kind=$1 cert=$2 name=$3 want=${4:-}
	have_peer "$kind" || return 0
	case $kind in
	go) server "$name" "$peers/peer" serve "$tmp/blob" @PORT@ "$tmp/$cert.pem" "$tmp/$cert.key" \
		${want:+"$tmp/ca.pem"} ;;
	java) server "$name" "${java[@]}" serve "$tmp/blob" @PORT@ "$tmp/$cert.p12" \
		${want:+"$tmp/ca.pem"} ;;
	nss) server "$name" in_tmp selfserv -n "$cert" -p @PORT@ -d "sql:$tmp/keys.db" \
		-V tls1.2:tls1.3 -u -v ${want:+-rr} ;;
	gnutls) server "$name" gnutls-serv --echo -p @PORT@ --x509certfile "$tmp/$cert.pem" \
		--x509keyfile "$tmp/$cert.key" --x509cafile "$tmp/ca.pem" \
		"--${want:-disable}-client-cert" ;;
	openssl | openssl36) openssl_server "$name" "$cert" \
		${want:+-Verify 1 -verify_return_error -CAfile "$tmp/ca.pem"} ;;
	esac
}

start_peer_servers() {
	local kind cert
	local -a openssl=("${sid_openssl[@]}")
	for cert in ecdsa rsa; do
		for kind in go java nss openssl36; do
			# In a guest a JVM takes half a minute to start, and no row wants it.
			[[ $path$kind = kerneljava ]] || peer_server "$kind" "$cert" "$kind-$cert"
		done
	done
	have_peer openssl36 || return 0
	openssl_server openssl36-mlkem ecdsa -groups X25519MLKEM768:SecP256r1MLKEM768
}

# ---- serve ---------------------------------------------------------------------

# nginx as a backend that believes what the gate says of the client; clients come by IPv4 and IPv6.
start_proxied() {
	have nginx || return 0
	free_port
	proxied_port=$port
	spawn_nginx proxied <<-CONF
		server {
			listen 127.0.0.1:$port proxy_protocol;
			location / {
				return 200 "\$proxy_protocol_addr to \$proxy_protocol_server_addr\\n";
			}
		}
	CONF
	ready proxied "$proxied_port" || bail_out "$why"
	gate_at '' proxied "127.0.0.1:$proxied_port" ecdsa --proxy-protocol
	start_behind
}

# HAProxy in front of a gate, which says who its client is; the gate tells nginx by a line.
start_behind() {
	local version
	have haproxy || return 0
	gate_at 127.0.0.1 behind "127.0.0.1:$proxied_port" ecdsa --accept-proxy=127.0.0.1 --proxy-protocol=1
	cat >"$tmp/behind.conf" <<-CONF
		defaults
			mode tcp
			timeout connect 10s
			timeout client 60s
			timeout server 60s
	CONF
	for version in send-proxy "send-proxy-v2 proxy-v2-options crc32c,unique-id"; do
		free_port
		behind_port[${version%% *}]=$port
		cat >>"$tmp/behind.conf" <<-CONF
			listen $port
				bind 127.0.0.2:$port
				unique-id-format %rt
				server gate 127.0.0.1:${gate_port[behind]} $version
		CONF
	done
	spawn behind haproxy -db -f "$tmp/behind.conf"
	for port in "${behind_port[@]}"; do
		ready behind "$port" || bail_out "$why"
	done
}

# behind VERSION: curl, from an address of its own, by HAProxy to the gate; nginx is to name both ends.
behind() {
	have nginx && have haproxy || { skip "no nginx or no haproxy on this machine"; return; }
	local said
	kernel_mark
	said=$(curl -sSf --max-time $((30 * slow)) --cacert "$tmp/ca.pem" --interface 127.0.0.9 \
		--resolve "gate.test:${behind_port[$1]}:127.0.0.2" \
		"https://gate.test:${behind_port[$1]}/" 2>"$tmp/said") || { fail "$(<"$tmp/said")"; return; }
	[[ $said = "127.0.0.9 to 127.0.0.2" ]] || { fail "nginx says: $said"; return; }
	kernel_carried 1 1
}

# proxied ADDRESS: as curl is told to reach it, and nginx is to name it.
proxied() {
	have nginx || { skip "no nginx on this machine"; return; }
	local said
	kernel_mark
	said=$(curl -sSf --max-time $((30 * slow)) --cacert "$tmp/ca.pem" \
		--resolve "gate.test:${gate_port[proxied]}:[$1]" \
		"https://gate.test:${gate_port[proxied]}/" 2>"$tmp/said") || { fail "$(<"$tmp/said")"; return; }
	[[ $said = "$1 to $1" ]] || { fail "nginx says: $said"; return; }
	kernel_carried 1 1
}

start_peer_gates() {
	gate watched "$http_port" ecdsa --alpn=http/1.1 --verbose
	start_proxied
	have_peer openssl36 || return 0
	local -a tlsgated=("${sid_run[@]}" "$tlsgated")
	gate mlkem "$http_port" ecdsa --alpn=http/1.1 --verbose \
		--groups=X25519MLKEM768:SecP256r1MLKEM768
}

peer_rows() {
	cat <<-'ROWS'
		both go   1.3 -                                             -            ecdsa
		user go   1.3 -                                             P-256        rsa
		user go   1.3 -                                             P-384        ed25519
		user go   1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256       X25519:P-256 ecdsa
		user go   1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384       P-256        ecdsa
		user go   1.2 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256   P-256        rsa
		user go   1.2 TLS_RSA_WITH_AES_128_GCM_SHA256               -            rsakx
		user go   1.2 -                                             -            ed25519
		user java 1.3 TLS_AES_128_GCM_SHA256                        X25519       ecdsa
		user java 1.3 TLS_AES_256_GCM_SHA384                        P-256        rsa
		user java 1.3 TLS_CHACHA20_POLY1305_SHA256                  P-384        ecdsa
		user java 1.3 -                                             -            rsa
		user java 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384       P-256        ecdsa
		user java 1.2 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256   X25519       rsa
		user java 1.2 -                                             -            rsa
		user nss  1.3 TLS_AES_128_GCM_SHA256                        X25519       ecdsa
		both nss  1.3 TLS_AES_256_GCM_SHA384                        P-256        rsa
		user nss  1.3 TLS_CHACHA20_POLY1305_SHA256                  P-384        ecdsa
		both nss  1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256       X25519:P-256 ecdsa
		user nss  1.2 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384         P-384        rsa
		user nss  1.2 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256   P-256        rsa
		user nss  1.2 TLS_RSA_WITH_AES_128_GCM_SHA256               -            rsakx
		both openssl36 1.3 TLS_AES_128_GCM_SHA256                   X25519MLKEM768 mlkem
		user openssl36 1.3 TLS_AES_256_GCM_SHA384                   X25519MLKEM768 mlkem
		user openssl36 1.3 TLS_AES_128_GCM_SHA256                   SecP256r1MLKEM768 mlkem
		user openssl   1.3 TLS_AES_128_GCM_SHA256                   X448         ecdsa
		user openssl   1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256  X448:P-256   ecdsa
		user openssl36 1.3 TLS_CHACHA20_POLY1305_SHA256             X25519       ecdsa
		user openssl36 1.3 -                                        -            rsa
		user openssl36 1.3 -                                        -            ed25519
		user openssl36 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384  P-256        ecdsa
		user openssl36 1.2 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 X25519    rsa
		user openssl36 1.2 -                                        -            rsa
	ROWS
}

serve_peers() {
	diagnose_logs=(gate-proxied proxied)
	check "serve: nginx takes the PROXY header, IPv4" proxied 127.0.0.1
	check "serve: nginx takes the PROXY header, IPv6" proxied ::1
	check "serve: HAProxy's PROXY header, version 1, and ours for nginx" behind send-proxy
	check "serve: HAProxy's PROXY header, version 2, and ours for nginx" behind send-proxy-v2
	local where client version suite group gate
	while read -r where client version suite group gate; do
		[[ $where = user && $path = kernel ]] && continue
		diagnose_logs=("gate-$gate")
		check "serve $client TLS $version $suite $group $gate" \
			round_trip "$client" "$gate" "$version" "$suite" "$group"
	done < <(peer_rows)
}

# peer_fetches CLIENT GATE VERSION IDENTITY: one download, with that certificate of the client's.
peer_fetches() {
	local client=$1 gate=$2 version=$3 identity=$4
	have_client "$client" || { skip "$(why_no_peer "$client")"; return; }
	rm -f "$tmp/got"
	"client_$client" get "${gate_port[$gate]}" gate.test "$tmp/ca.pem" "$version" - - ||
		{ fail "$(tail -n 4 "$tmp/said" | tr '\n' ' ')"; return; }
	cmp -s "$tmp/got" "$(wanted_of "$client")" || fail "downloaded bytes differ"
}

# peer_needs_certificate CLIENT VERSION: the gate refuses without one, and takes each of ours.
peer_needs_certificate() {
	local identity
	have_client "$1" || { skip "$(why_no_peer "$1")"; return; }
	if peer_fetches "$1" clientca "$2" ''; then
		fail "it was let in without a certificate"
		return
	fi
	for identity in client_ecdsa client_rsa; do
		peer_fetches "$1" clientca "$2" $identity || { why="$identity: $why"; return 1; }
	done
}

# resumes_peer go|java VERSION
resumes_peer() {
	have_peer "$1" || { skip "$(why_no_peer "$1")"; return; }
	log_mark gate-watched
	"client_$1" resume "${gate_port[watched]}" gate.test "$tmp/ca.pem" "$2" - - ||
		{ fail "$(tail -n 1 "$tmp/said")"; return; }
	[[ $(<"$tmp/answer") = resumed ]] || { fail "not resumed"; return; }
	cmp -s "$tmp/got" "$tmp/part" || { fail "bytes differ"; return; }
	wait_until 5 logged gate-watched "TLS $2 .* resumed" || fail "the gate resumed nothing"
}

resumes_nss() {
	have_peer nss || { skip "$(why_no_peer nss)"; return; }
	log_mark gate-watched
	nss_client part "${gate_port[watched]}" gate.test "$tmp/ca.pem" "$1" - - -u -L 2 ||
		{ fail "$(tail -n 1 "$tmp/said")"; return; }
	said '1 stateless resumes' || { fail "tstclnt resumed nothing"; return; }
	wait_until 5 logged gate-watched "TLS $1 .* resumed" || fail "the gate resumed nothing"
}

# curl resumes within one run only, and does not say whether it did.  In TLS 1.2
# it refuses tickets, and would resume by session ids alone, which no gate keeps.
resumes_curl() {
	local url=https://gate.test:${gate_port[watched]}/part
	log_mark gate-watched
	curl -sSf --http1.1 --max-time $((30 * slow)) --cacert "$tmp/ca.pem" \
		-H 'Connection: close' --resolve "gate.test:${gate_port[watched]}:127.0.0.1" \
		"$url" -o "$tmp/got" "$url" -o "$tmp/got2" 2>"$tmp/said" || { fail "$(<"$tmp/said")"; return; }
	cmp -s "$tmp/got" "$tmp/part" && cmp -s "$tmp/got2" "$tmp/part" || { fail "bytes differ"; return; }
	wait_until 5 logged gate-watched "TLS 1.3 .* resumed" || fail "the gate resumed nothing"
}

serve_peer_features() {
	local version client
	for version in 1.3 1.2; do
		diagnose_logs=(gate-clientca)
		for client in openssl openssl36 gnutls curl python go java nss; do
			check "serve: client certificates, $client TLS $version" \
				peer_needs_certificate $client $version
		done
		diagnose_logs=(gate-watched)
		check "serve: resumption, go TLS $version" resumes_peer go $version
		check "serve: resumption, java TLS $version" resumes_peer java $version
		check "serve: resumption, nss TLS $version" resumes_nss $version
	done
	check "serve: resumption, curl TLS 1.3" resumes_curl
	diagnose_logs=(gate-ecdsa)
	for client in openssl36 go java nss; do
		check "$client refuses another name" client_refuses "$client" other.test ca \
			'name|match|altname|valid for|domain'
		check "$client refuses an unknown CA" client_refuses "$client" gate.test otherca \
			'issuer|unable to|unknown|verif|self.signed|cert'
	done
}

# ---- connect -------------------------------------------------------------------

peer_connect_rows() {
	cat <<-'ROWS'
		both 1.3 -                                             -            go-ecdsa
		user 1.3 TLS_CHACHA20_POLY1305_SHA256                  P-256        go-rsa
		user 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384       X25519:P-256 go-ecdsa
		user 1.2 TLS_RSA_WITH_AES_128_GCM_SHA256               -            go-rsa
		user 1.3 -                                             -            java-ecdsa
		user 1.3 TLS_AES_256_GCM_SHA384                        P-384        java-rsa
		user 1.2 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256   P-256        java-rsa
		user 1.2 -                                             -            java-ecdsa
		both 1.3 -                                             -            nss-ecdsa
		user 1.3 TLS_CHACHA20_POLY1305_SHA256                  P-384        nss-rsa
		user 1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256       X25519:P-256 nss-ecdsa
		user 1.2 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384         P-256        nss-rsa
		user 1.3 -                                             -            openssl36-ecdsa
		user 1.3 TLS_AES_256_GCM_SHA384                        P-384        openssl36-rsa
		user 1.2 -                                             -            openssl36-rsa
	ROWS
}

# selfserv sends the request back.
plain_nss() {
	local line
	line=$(head -c 5000 "$tmp/blob" | base64 -w 0)
	curl -sSf --max-time $((30 * slow)) -H "X-Line: $line" -o "$tmp/got" \
		"http://127.0.0.1:$connect_port/blob" 2>"$tmp/said" || { fail "download: $(<"$tmp/said")"; return; }
	tr -d '\r' <"$tmp/got" | grep -qFx "X-Line: $line" || fail "the request did not come back whole"
}

# A server that has no other group.  The gate, too, runs with sid's libcrypto:
# this machine's may have no ML-KEM.
originate_mlkem() {
	local -a tlsgated=("${sid_run[@]}" "$tlsgated")
	originate openssl36-mlkem 1.3 "$1" "$2"
}

plain_through() {
	case $1 in
	gnutls) plain_echo ;;
	nss) plain_nss ;;
	*) plain_download ;;
	esac
}

# connect_certified KIND VERSION: a server that wants a client's certificate gets
# one, and resumes the session; without one it serves nobody.
connect_certified() {
	local kind=$1 version=$2 cert
	local -a openssl=("${openssl[@]}") options=(--verbose --workers=1 --ca "$tmp/ca.pem"
		--server-name gate.test "--min-version=$version" "--max-version=$version")
	have_peer "$kind" || { skip "$(why_no_peer "$kind")"; return; }
	[[ $kind != openssl36 ]] || openssl=("${sid_openssl[@]}")
	peer_server "$kind" ecdsa certified require
	ready server-certified "${server_port[certified]}" || return 1
	for cert in client_ecdsa client_rsa; do
		connect_gate "${server_port[certified]}" "${options[@]}" --cert "$tmp/$cert.pem" \
			--key "$tmp/$cert.key" || break
		plain_through "$kind" && plain_through "$kind" || { why="$cert: $why"; break; }
		grep -q "TLS $version [^ ]* resumed" "$tmp/log/gate-connect" ||
			{ why="$cert: the second connection was not resumed"; break; }
		stop gate-connect
	done
	if [[ -z $why ]] && connect_gate "${server_port[certified]}" "${options[@]}"; then
		! plain_through "$kind" || why="the server took a client without a certificate"
		[[ $why != "the server took"* ]] && why=
	fi
	stop gate-connect
	stop server-certified
	unset "server_port[certified]"
	[[ -z $why ]]
}

connect_peer_features() {
	local kind version
	diagnose_logs=(gate-connect server-certified)
	for version in 1.3 1.2; do
		for kind in openssl openssl36 gnutls go java nss; do
			check "connect $kind TLS $version: client certificate, then resumed" \
				connect_certified $kind $version
		done
	done
}

connect_peers() {
	local where version suite group server
	while read -r where version suite group server; do
		[[ $where = user && $path = kernel ]] && continue
		diagnose_logs=(gate-connect "server-$server")
		check "connect $server TLS $version $suite $group" \
			originate "$server" "$version" "$suite" "$group"
	done < <(peer_connect_rows)
	diagnose_logs=(gate-connect server-openssl36-mlkem)
	check "connect openssl36-mlkem TLS 1.3 - X25519MLKEM768" originate_mlkem - X25519MLKEM768
	[[ $path != kernel ]] || return 0
	check "connect openssl36-mlkem TLS 1.3 - SecP256r1MLKEM768" originate_mlkem - SecP256r1MLKEM768
	check "connect openssl36-mlkem TLS 1.3 by default groups" \
		originate_mlkem TLS_AES_128_GCM_SHA256 -
}
