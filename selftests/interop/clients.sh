# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The TLS clients, all called the same way:
#
#	client_<name> get|put PORT NAME CA VERSION SUITE GROUP
#
# get fetches /blob (gnutls: /part, it writes byte by byte) into $tmp/got; put sends $tmp/blob, the answer goes to
# $tmp/answer.  What the client says of the connection is left in $tmp/said,
# which negotiated() reads.  VERSION is 1.2 or 1.3, SUITE an IANA name, GROUP
# names as openssl spells them, joined by ":"; "-" leaves either to the client.
#
# Used variables: $tmp, $python, $node, $here, $identity (a client certificate's
# name, or nothing), ${openssl[@]} (the program).

openssl=(openssl)
identity=

declare -A openssl_suite=(
	[TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]=ECDHE-ECDSA-AES128-GCM-SHA256
	[TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]=ECDHE-ECDSA-AES256-GCM-SHA384
	[TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]=ECDHE-ECDSA-CHACHA20-POLY1305
	[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]=ECDHE-RSA-AES128-GCM-SHA256
	[TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]=ECDHE-RSA-AES256-GCM-SHA384
	[TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]=ECDHE-RSA-CHACHA20-POLY1305
	[TLS_RSA_WITH_AES_128_GCM_SHA256]=AES128-GCM-SHA256
	[TLS_RSA_WITH_AES_256_GCM_SHA384]=AES256-GCM-SHA384
)

# GnuTLS takes the parts of a suite, not its name.
declare -A gnutls_group=(
	[X25519]=GROUP-X25519
	[P-256]=GROUP-SECP256R1
	[P-384]=GROUP-SECP384R1
)

# iana_groups LIST
iana_groups() {
	local list=${1//X25519/x25519}
	list=${list//P-256/secp256r1}
	echo "${list//P-384/secp384r1}"
}

openssl_name() {
	echo "${openssl_suite[$1]:-$1}"
}

gnutls_cipher() {
	case $1 in
	*AES_128_GCM*) echo AES-128-GCM ;;
	*AES_256_GCM*) echo AES-256-GCM ;;
	*CHACHA20*) echo CHACHA20-POLY1305 ;;
	*AES_128_CCM*) echo AES-128-CCM ;;
	esac
}

# gnutls_priority VERSION SUITE GROUP
gnutls_priority() {
	local priority="NORMAL:-VERS-ALL:+VERS-TLS$1" group
	[[ $2 != - ]] && priority+=":-CIPHER-ALL:+$(gnutls_cipher "$2")"
	case $2 in
	TLS_ECDHE_ECDSA*) priority+=:-KX-ALL:+ECDHE-ECDSA ;;
	TLS_ECDHE_RSA*) priority+=:-KX-ALL:+ECDHE-RSA ;;
	TLS_RSA*) priority+=:-KX-ALL:+RSA ;;
	esac
	if [[ $3 != - ]]; then
		priority+=:-GROUP-ALL
		for group in ${3//:/ }; do
			priority+=":+${gnutls_group[$group]}"
		done
	fi
	echo "$priority"
}

# openssl_flags VERSION SUITE GROUP: for s_client; in the array $flags.
openssl_flags() {
	flags=("-tls${1/./_}")
	if [[ $2 != - ]]; then
		[[ $1 = 1.3 ]] && flags+=(-ciphersuites "$2") || flags+=(-cipher "$(openssl_name "$2")")
	fi
	[[ $3 = - ]] || flags+=(-groups "$3")
}

# http_request get|part|put: as bytes on standard output.
http_request() {
	local rest='Host: t\r\nConnection: close\r\n'
	case $1 in
	get) printf '%b' "GET /blob HTTP/1.1\r\n$rest\r\n" ;;
	part) printf '%b' "GET /part HTTP/1.1\r\n$rest\r\n" ;;
	put)
		printf '%b' "PUT /up HTTP/1.1\r\n${rest}Content-Length: $blob_size\r\n\r\n"
		cat "$tmp/blob"
		;;
	esac
}

# wanted_of CLIENT: the file that its get fetches.
wanted_of() {
	[[ $1 = gnutls ]] && echo "$tmp/part" || echo "$tmp/blob"
}

# http_body get|put: takes the headers off $tmp/raw; 1 unless the answer is 200.
http_body() {
	local to=$tmp/got
	[[ $1 = put ]] && to=$tmp/answer
	head -c 12 "$tmp/raw" | grep -q '^HTTP/1.1 200' || return 1
	sed '1,/^\r$/d' "$tmp/raw" >"$to"
}

client_openssl() {
	local operation=$1 port=$2 name=$3 ca=$4
	local -a flags
	openssl_flags "$5" "$6" "$7"
	[[ -z $identity ]] || flags+=(-cert "$tmp/$identity.pem" -key "$tmp/$identity.key")
	http_request "$operation" | limit 30 "${openssl[@]}" s_client -connect "127.0.0.1:$port" \
		"${flags[@]}" -CAfile "$ca" -verify_return_error -verify_hostname "$name" \
		-servername "$name" -alpn http/1.1 -brief -ign_eof -nocommands \
		>"$tmp/raw" 2>"$tmp/said" || return 1
	http_body "$operation"
}

# gnutls-cli leaves at the end of its input, so a holder keeps that open.
client_gnutls() {
	local operation=$1 port=$2 name=$3 ca=$4 status=0 holder feeder
	local request=${operation/get/part}
	local -a own=()
	[[ -z $identity ]] || own=(--x509certfile "$tmp/$identity.pem" --x509keyfile "$tmp/$identity.key")
	rm -f "$tmp/pipe"
	mkfifo "$tmp/pipe" || return 1
	sleep "$((40 * slow))" >"$tmp/pipe" &
	holder=$!
	http_request "$request" >"$tmp/pipe" 2>/dev/null &
	feeder=$!
	limit 30 gnutls-cli --logfile="$tmp/said" --x509cafile "$ca" --alpn http/1.1 \
		--priority "$(gnutls_priority "$5" "$6" "$7")" --sni-hostname "$name" \
		--verify-hostname "$name" "${own[@]}" -p "$port" 127.0.0.1 \
		<"$tmp/pipe" >"$tmp/raw" 2>"$tmp/said2" || status=$?
	kill "$holder" "$feeder" 2>/dev/null
	wait "$holder" "$feeder" 2>/dev/null
	cat "$tmp/said2" >>"$tmp/said"
	((status == 0)) && http_body "$operation"
}

client_curl() {
	local operation=$1 port=$2 name=$3 ca=$4 version=$5 suite=$6 group=$7
	local -a args=(--tls-max "$version" "--tlsv$version")
	if [[ $suite != - ]]; then
		[[ $version = 1.3 ]] && args+=(--tls13-ciphers "$suite") ||
			args+=(--ciphers "$(openssl_name "$suite")")
	fi
	[[ $group = - ]] || args+=(--curves "$group")
	[[ -z $identity ]] || args+=(--cert "$tmp/$identity.pem" --key "$tmp/$identity.key")
	if [[ $operation = get ]]; then
		args+=(-o "$tmp/got" "https://$name:$port/blob")
	else
		args+=(-o "$tmp/answer" -T "$tmp/blob" "https://$name:$port/up")
	fi
	curl -sSfv --http1.1 --max-time $((30 * slow)) --cacert "$ca" \
		--resolve "$name:$port:127.0.0.1" "${args[@]}" 2>"$tmp/said"
}

# Python's ssl has no call for TLS 1.3 suites and for lists of groups.
python_openssl_conf() {
	printf '%s\n' 'openssl_conf = a' '[a]' 'ssl_conf = b' '[b]' 'system_default = c' '[c]'
	[[ $1 != 1.3 || $2 = - ]] || echo "Ciphersuites = $2"
	[[ $3 = - ]] || echo "Groups = $3"
}

client_python() {
	local operation=$1 port=$2 name=$3 ca=$4 version=$5 suite=$6 group=$7 file=$tmp/blob
	python_openssl_conf "$version" "$suite" "$group" >"$tmp/python.cnf"
	[[ $operation = get ]] && file=$tmp/got
	OPENSSL_CONF=$tmp/python.cnf limit 30 "$python" "$here/interop/client.py" "$operation" \
		"$port" "$name" "$ca" "$version" "$(openssl_name "$suite")" "$file" \
		${identity:+"$tmp/$identity.pem" "$tmp/$identity.key"} >"$tmp/answer" 2>"$tmp/said"
}

client_node() {
	local operation=$1 port=$2 name=$3 ca=$4 version=$5 suite=$6 group=$7 file=$tmp/blob
	[[ $operation = get ]] && file=$tmp/got
	limit 30 "$node" "$here/interop/client.js" "$operation" "$port" "$name" "$ca" "$version" \
		"$(openssl_name "$suite")" "$group" "$file" >"$tmp/answer" 2>"$tmp/said"
}

# negotiated CLIENT VERSION SUITE: $tmp/said names both.
negotiated() {
	local client=$1 version=$2 suite=$3
	if [[ $client = gnutls ]]; then
		grep -q "Description: (TLS$version" "$tmp/said" &&
			{ [[ $suite = - ]] || grep -q "Description:.*($(gnutls_cipher "$suite"))" "$tmp/said"; }
		return
	fi
	[[ $client != nss ]] || { negotiated_nss "$version" "$suite"; return; }
	grep -q "TLSv$version" "$tmp/said" &&
		{ [[ $suite = - ]] || grep -qE "\\b($suite|$(openssl_name "$suite"))\\b" "$tmp/said"; }
}

have_client() {
	case $1 in
	openssl | curl) have "$1" ;;
	gnutls) have gnutls-cli ;;
	python) have "$python" ;;
	node) have "$node" ;;
	*) have_peer "$1" ;;
	esac
}
