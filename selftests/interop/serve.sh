# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# `tlsgated serve` and other people's clients.  Each check is one function or
# one row; interop.sh has made certificates, backend and $tmp/blob.
#
# Gates, by name: $tmp/log/gate-<name>, ${gate_port[<name>]}.

declare -A gate_port=()

# gate NAME BACKEND-PORT CERTIFICATE [OPTION...]
gate() {
	gate_at 127.0.0.1 "$1" "127.0.0.1:$2" "${@:3}"
}

# gate_at ADDRESS NAME BACKEND CERTIFICATE [OPTION...]
gate_at() {
	local address=$1 name=$2 backend=$3 cert=$4
	shift 4
	free_port
	gate_port[$name]=$port
	spawn "gate-$name" "${tlsgated[@]}" serve "$address:$port" "$backend" \
		--cert "$tmp/$cert.pem" --key "$tmp/$cert.key" "--data-path=$path" \
		"--handshake-timeout=$((10 * slow))s" "$@"
}

gates_ready() {
	local name
	for name in "${!gate_port[@]}"; do
		ready "gate-$name" "${gate_port[$name]}" || return 1
	done
}

start_gates() {
	gate ecdsa "$http_port" ecdsa --alpn=http/1.1
	gate rsa "$http_port" rsa --alpn=http/1.1
	gate ed25519 "$http_port" ed25519 --alpn=http/1.1
	gate rsakx "$http_port" rsa --alpn=http/1.1 \
		--ciphersuites=TLS_RSA_WITH_AES_128_GCM_SHA256:TLS_RSA_WITH_AES_256_GCM_SHA384
	gate p384 "$http_port" ecdsa --groups=secp384r1
	gate only13 "$http_port" ecdsa --min-version=1.3
	gate sum "$sum_port" ecdsa
	gate talk "$talk_port" ecdsa
	gate nobackend "$dead_port" ecdsa
	gate names "$http_port" ecdsa --cert "$tmp/other.pem" --key "$tmp/other.key" \
		--cert "$tmp/rsa.pem" --key "$tmp/rsa.key"
	gate clientca "$http_port" ecdsa --client-ca "$tmp/ca.pem"
	gate keylog "$http_port" ecdsa --keylog "$tmp/keylog"
	gate_at 127.0.0.1 unix "unix:$tmp/verdicts.sock" ecdsa
	start_peer_gates
	gate_at '[::1]' ipv6 "127.0.0.1:$http_port" ecdsa
	gates_ready
}

stop_gates() {
	local name status
	for name in "${!gate_port[@]}"; do
		alive "${pid_of[gate-$name]}" || { fail "gate $name died"; return; }
		status=0
		stop "gate-$name" || status=$?
		((status == 0)) || { fail "gate $name: exit status $status on SIGTERM"; return; }
	done
}

# where: both data paths; user, where what differs never reaches the kernel;
# most: both, but in a guest, where Python and Node take seconds to start, without these
serve_rows() {
	cat <<-'ROWS'
		most 1.3 TLS_AES_128_GCM_SHA256                        X25519       ecdsa
		most 1.3 TLS_AES_256_GCM_SHA384                        X25519       ecdsa
		most 1.3 TLS_CHACHA20_POLY1305_SHA256                  X25519       ecdsa
		user 1.3 TLS_AES_128_GCM_SHA256                        P-256        ecdsa
		user 1.3 TLS_AES_256_GCM_SHA384                        P-384        ecdsa
		user 1.3 TLS_AES_128_GCM_SHA256                        X25519       rsa
		user 1.3 TLS_AES_256_GCM_SHA384                        P-256        rsa
		user 1.3 TLS_CHACHA20_POLY1305_SHA256                  P-384        rsa
		user 1.3 TLS_AES_128_GCM_SHA256                        X25519       ed25519
		user 1.3 TLS_AES_256_GCM_SHA384                        X25519:P-384 p384
		both 1.3 -                                             -            rsa
		most 1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256       X25519:P-256 ecdsa
		most 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384       X25519:P-256 ecdsa
		most 1.2 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 X25519:P-256 ecdsa
		user 1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256       P-256        ecdsa
		user 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384       X25519:P-256 ed25519
		user 1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256         X25519       rsa
		user 1.2 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384         P-256        rsa
		user 1.2 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256   P-384        rsa
		user 1.2 TLS_RSA_WITH_AES_128_GCM_SHA256               -            rsakx
		user 1.2 TLS_RSA_WITH_AES_256_GCM_SHA384               -            rsakx
		both 1.2 -                                             -            rsa
	ROWS
}

# round_trip CLIENT GATE VERSION SUITE GROUP: the blob down and up again.
round_trip() {
	local client=$1 gate=$2 version=$3 suite=$4 group=$5 operation
	have_client "$client" || { skip "$(why_no_peer "$client")"; return; }
	[[ -n ${gate_port[$gate]:-} ]] || { fail "no gate $gate"; return; }
	kernel_mark
	rm -f "$tmp/got" "$tmp/answer"
	for operation in get put; do
		"client_$client" "$operation" "${gate_port[$gate]}" gate.test "$tmp/ca.pem" \
			"$version" "$suite" "$group" ||
			{ fail "$operation: $(tail -n 4 "$tmp/said" | tr '\n' ' ')"; return; }
		negotiated "$client" "$version" "$suite" ||
			{ fail "not TLS $version with $suite: $(grep -iE 'negot|suite|descr|SSL conn' "$tmp/said")"
			return; }
	done
	cmp -s "$tmp/got" "$(wanted_of "$client")" || { fail "downloaded bytes differ"; return; }
	[[ $(<"$tmp/answer") = "$blob_sum $blob_size" ]] || { fail "uploaded bytes differ"; return; }
	kernel_carried "$(stat -c %s "$tmp/got")" "$blob_size"
}

serve_table() {
	local where version suite group gate client
	local -a clients
	while read -r where version suite group gate; do
		[[ $where = user && $path = kernel ]] && continue
		clients=(openssl gnutls curl python node)
		[[ $where = most && $path = kernel ]] && clients=(openssl gnutls curl)
		for client in "${clients[@]}"; do
			diagnose_logs=("gate-$gate")
			check "serve $client TLS $version $suite $group $gate" \
				round_trip "$client" "$gate" "$version" "$suite" "$group"
		done
	done < <(serve_rows)
}

# ---- refusals ---------------------------------------------------------------

# refused ALERT-NUMBER GATE S_CLIENT-FLAG...: with that alert, and a log line
# that names the peer.
refused() {
	local alert=$1 gate=$2
	shift 2
	log_mark "gate-$gate"
	if limit 10 openssl s_client -connect "127.0.0.1:${gate_port[$gate]}" "$@" \
		</dev/null >"$tmp/said" 2>&1; then
		fail "handshake went through"
		return
	fi
	grep -q "SSL alert number $alert\$" "$tmp/said" ||
		{ fail "no alert $alert: $(grep -aE 'alert|error' "$tmp/said" | tr '\n' ' ')"; return; }
	wait_until 5 logged "gate-$gate" 127.0.0.1: || fail "no log line names the peer"
}

refusal_rows() {
	cat <<-'ROWS'
		only TLS 1.1            | 70  | ecdsa  | -tls1_1 -cipher ALL:@SECLEVEL=0
		only TLS 1.0            | 70  | ecdsa  | -tls1 -cipher ALL:@SECLEVEL=0
		TLS 1.2 where 1.3 is least | 70 | only13 | -tls1_2
		only CBC suites         | 40  | ecdsa  | -tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA
		only RSA authentication, ECDSA certificate | 40 | ecdsa | -tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256
		RSA key exchange not named | 40 | rsa  | -tls1_2 -cipher AES128-GCM-SHA256
		no common group, TLS 1.3 | 40 | p384  | -tls1_3 -groups X25519:P-256
		no common group, TLS 1.2 | 40 | p384  | -tls1_2 -groups X25519:P-256
		no common signature algorithm | 40 | rsa | -tls1_3 -sigalgs ECDSA+SHA256
		no common ALPN protocol | 120 | ecdsa  | -tls1_3 -alpn imap
		TLS 1.2 as a fallback   | 86  | ecdsa  | -tls1_2 -fallback_scsv
	ROWS
}

serve_refusals() {
	local name alert gate flags
	while IFS='|' read -r name alert gate flags; do
		diagnose_logs=("gate-${gate// /}")
		# shellcheck disable=SC2086 # a list of flags
		check "serve refuses: ${name%"${name##*[! ]}"}, alert ${alert// /}" \
			refused "${alert// /}" "${gate// /}" $flags
	done < <(refusal_rows)
}

# A client that expects another name, or trusts another CA, has to leave.
client_refuses() {
	local client=$1 name=$2 ca=$3 want=$4
	have_client "$client" || { skip "$(why_no_peer "$client")"; return; }
	if "client_$client" get "${gate_port[ecdsa]}" "$name" "$tmp/$ca.pem" 1.3 - -; then
		fail "the client took the certificate"
		return
	fi
	grep -qiE "$want" "$tmp/said" ||
		fail "other reason than expected: $(tail -n 3 "$tmp/said" | tr '\n' ' ')"
}

serve_client_refusals() {
	local client
	diagnose_logs=(gate-ecdsa)
	for client in openssl gnutls curl python node; do
		check "$client refuses another name" client_refuses "$client" other.test ca \
			'name|match|altname'
		check "$client refuses an unknown CA" client_refuses "$client" gate.test otherca \
			'issuer|unable to get|unknown|verif|self.signed'
	done
}
