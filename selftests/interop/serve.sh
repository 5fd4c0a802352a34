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
	local name=$1 backend=$2 cert=$3
	shift 3
	free_port
	gate_port[$name]=$port
	spawn "gate-$name" "$tlsgated" serve "127.0.0.1:$port" "127.0.0.1:$backend" \
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
	have_client "$client" || { skip "no $client on this machine"; return; }
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
	have_client "$client" || { skip "no $client on this machine"; return; }
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

# ---- other ways to behave -----------------------------------------------------

fetch_works() {
	client_curl get "${gate_port[${1:-ecdsa}]}" gate.test "$tmp/ca.pem" 1.3 - - &&
		[[ $(sha256_of "$tmp/got") = "$blob_sum" ]]
}

plain_http() {
	local status=0
	log_mark gate-ecdsa
	curl -sS --max-time $((10 * slow)) "http://127.0.0.1:${gate_port[ecdsa]}/blob" -o "$tmp/got" \
		2>"$tmp/said" || status=$?
	((status != 0 && status != 28)) || { fail "curl's status: $status"; return; }
	wait_until 5 logged gate-ecdsa 127.0.0.1: || { fail "no log line names the peer"; return; }
	fetch_works || fail "the gate is out of order afterwards"
}

big_header() {
	local big
	printf -v big '%*s' 40000 ''
	curl -sSf --max-time $((30 * slow)) --cacert "$tmp/ca.pem" -D "$tmp/headers" \
		--resolve "gate.test:${gate_port[ecdsa]}:127.0.0.1" -H "X-Big: ${big// /x}" \
		-o "$tmp/answer" "https://gate.test:${gate_port[ecdsa]}/header" 2>"$tmp/said" ||
		{ fail "$(<"$tmp/said")"; return; }
	[[ $(<"$tmp/answer") = 40000 ]] || { fail "backend saw $(<"$tmp/answer") bytes"; return; }
	grep -q "^X-Big: ${big// /x}" "$tmp/headers" || fail "the header did not come back whole"
}

# run_client_py OPERATION GATE FILE
run_client_py() {
	have "$python" || { skip "no python3 on this machine"; return; }
	limit 30 "$python" "$here/interop/client.py" "$1" "${gate_port[$2]}" gate.test \
		"$tmp/ca.pem" "${4:-1.3}" - "$3" >"$tmp/answer" 2>"$tmp/said"
}

verdict_count() {
	wc -l <"$tmp/verdicts"
}

# new_verdict COUNT: the backend has written one more than COUNT.
new_verdict() {
	(($(verdict_count) > $1))
}

half_close_python() {
	run_client_py half sum "$tmp/blob" "$1" ||
		{ fail "$(tail -n 1 "$tmp/said"); backend: $(tail -n 1 "$tmp/verdicts")"; return; }
	[[ $(<"$tmp/answer") = "$blob_sum $blob_size" ]] ||
		fail "after the client's close_notify the answer was: $(head -c 100 "$tmp/answer")"
}

half_close_node() {
	have "$node" || { skip "no node on this machine"; return; }
	limit 30 "$node" "$here/interop/client.js" half "${gate_port[sum]}" gate.test "$tmp/ca.pem" \
		"$1" - - "$tmp/blob" >"$tmp/answer" 2>"$tmp/said" || { fail "$(<"$tmp/said")"; return; }
	[[ $(<"$tmp/answer") = "$blob_sum $blob_size" ]] ||
		fail "after the client's close_notify the answer was: $(head -c 100 "$tmp/answer")"
}

backend_half_close() {
	local before
	before=$(verdict_count)
	cp "$tmp/blob" "$tmp/got"
	run_client_py talk talk "$tmp/got" "$1" || { fail "$(<"$tmp/said")"; return; }
	wait_until 10 new_verdict "$before" || { fail "the backend saw no end"; return; }
	[[ $(tail -n 1 "$tmp/verdicts") = "clean $blob_size $blob_sum" ]] ||
		fail "the backend saw: $(tail -n 1 "$tmp/verdicts")"
}

# FIN without close_notify must not look like an end to the backend.
truncation() {
	local before
	before=$(verdict_count)
	run_client_py cut sum "$tmp/small" "$1" || { fail "$(<"$tmp/said")"; return; }
	wait_until 10 new_verdict "$before" || { fail "the backend saw no end"; return; }
	[[ $(tail -n 1 "$tmp/verdicts") = reset* ]] ||
		fail "the backend saw: $(tail -n 1 "$tmp/verdicts")"
}

only_one_open() {
	[[ $(curl -sS --max-time 5 "http://127.0.0.1:$http_port/open") = 1 ]]
}

client_aborts() {
	local i
	for i in 1 2 3; do
		run_client_py abort ecdsa "$tmp/got" || { fail "attempt $i: $(<"$tmp/said")"; return; }
	done
	wait_until 10 only_one_open || { fail "connections to the backend stay open"; return; }
	fetch_works || fail "the gate is out of order afterwards"
}

# Connects and says nothing; the gate has to serve others meanwhile.
silent_client() {
	local fd result=0
	exec {fd}<>"/dev/tcp/127.0.0.1/${gate_port[ecdsa]}" || { fail "no connection"; return; }
	fetch_works || result=1
	exec {fd}>&-
	((result == 0)) || fail "a silent client holds up another"
}

backend_absent() {
	log_mark gate-nobackend
	if client_curl get "${gate_port[nobackend]}" gate.test "$tmp/ca.pem" 1.3 - -; then
		fail "an answer without a backend"
		return
	fi
	wait_until 5 logged gate-nobackend "127.0.0.1:$dead_port" ||
		fail "no log line names the backend"
}

many_at_once() {
	local i n=$1 pids=() bad=0
	for ((i = 0; i < n; i++)); do
		curl -sSf --max-time $((60 * slow)) --cacert "$tmp/ca.pem" -o "$tmp/many.$i" \
			--resolve "gate.test:${gate_port[ecdsa]}:127.0.0.1" \
			"https://gate.test:${gate_port[ecdsa]}/blob" 2>"$tmp/many.$i.err" &
		pids+=($!)
	done
	for ((i = 0; i < n; i++)); do
		wait "${pids[i]}" && [[ $(sha256_of "$tmp/many.$i") = "$blob_sum" ]] || bad=$((bad + 1))
	done
	((bad == 0)) || { fail "$bad of $n differ: $(cat "$tmp"/many.*.err | sort | uniq -c | head -n 3)"; return; }
	rm -f "$tmp"/many.*
}

# A ticket of another server with the same certificate: offered, not known, full handshake.
resumption() {
	local version=$1 flag=-tls${1/./_}
	free_port
	spawn ticketer openssl s_server -accept "127.0.0.1:$port" -cert "$tmp/ecdsa.pem" \
		-key "$tmp/ecdsa.key" -HTTP -quiet
	ready ticketer "$port" || return 1
	rm -f "$tmp/session"
	printf 'GET /none HTTP/1.0\r\n\r\n' | limit 10 openssl s_client -connect "127.0.0.1:$port" \
		"$flag" -quiet -sess_out "$tmp/session" -servername gate.test >"$tmp/said" 2>&1
	stop ticketer
	[[ -s $tmp/session ]] || { fail "openssl gave no ticket"; return; }
	http_request get | limit 30 openssl s_client -connect "127.0.0.1:${gate_port[ecdsa]}" "$flag" \
		-sess_in "$tmp/session" -servername gate.test -CAfile "$tmp/ca.pem" \
		-verify_return_error -ign_eof -nocommands >"$tmp/raw" 2>"$tmp/said" ||
		{ fail "$(tail -n 3 "$tmp/said")"; return; }
	grep -aq '^New, TLS' "$tmp/raw" || { fail "not a new session: $(grep -aE '^(New|Reused)' "$tmp/raw")"; return; }
	body_within "$tmp/raw"
}

# body_within FILE [WANTED]: a client's chatter, the HTTP headers, the blob, more chatter.
body_within() {
	local wanted=${2:-$tmp/blob}
	sed '1,/^\r$/d' "$1" | head -c "$(stat -c %s "$wanted")" >"$tmp/got"
	cmp -s "$tmp/got" "$wanted" || fail "bytes differ"
}

said() {
	grep -aq -e "$1" "$tmp/said"
}

# s_client_session PORT FLAG...: reading from descriptor $to, output in $tmp/said, as `client`.
s_client_session() {
	local at=$1
	shift
	rm -f "$tmp/pipe"
	mkfifo "$tmp/pipe" || return 1
	: >"$tmp/said"
	openssl s_client -connect "127.0.0.1:$at" "$@" <"$tmp/pipe" >"$tmp/said" 2>&1 &
	pid_of[client]=$!
	exec {to}>"$tmp/pipe"
}

# K asks the other side to follow, k does not; each must leave both directions usable.
key_update_openssl() {
	s_client_session "${gate_port[ecdsa]}" -tls1_3 -CAfile "$tmp/ca.pem" -msg -msgfile "$tmp/messages" || return 1
	local letter result=1
	while :; do
		wait_until 20 said 'Verify return code' || { why="no handshake"; break; }
		for letter in "$@"; do
			: >"$tmp/said"
			echo "$letter" >&"$to"
			wait_until 10 said KEYUPDATE || { why="s_client sent no KeyUpdate"; break 2; }
		done
		: >"$tmp/said"
		http_request get >&"$to"
		wait_until 30 gone "${pid_of[client]}" || { why="no end of the answer"; break; }
		result=0
		break
	done
	exec {to}>&-
	stop client
	((result == 0)) || return 1
	body_within "$tmp/said" || return 1
	[[ $* != *K* ]] || grep -aq '^<<< TLS 1.3.*KeyUpdate' "$tmp/messages" ||
		fail "KeyUpdate was asked for and none came"
}

key_update_gnutls() {
	local command=$1 result=1
	have gnutls-cli || { skip "no gnutls-cli on this machine"; return; }
	rm -f "$tmp/pipe"
	mkfifo "$tmp/pipe" || return 1
	: >"$tmp/said"
	gnutls-cli --x509cafile "$tmp/ca.pem" --inline-commands \
		--priority NORMAL:-VERS-ALL:+VERS-TLS1.3 --verify-hostname gate.test \
		--sni-hostname gate.test -p "${gate_port[ecdsa]}" 127.0.0.1 \
		<"$tmp/pipe" >"$tmp/said" 2>&1 &
	pid_of[client]=$!
	exec {to}>"$tmp/pipe"
	while :; do
		wait_until 20 said 'Simple Client Mode' || { why="no handshake"; break; }
		echo "^$command^" >&"$to"
		wait_until 10 said 'Rekey was completed' || { why="gnutls-cli did not rekey"; break; }
		http_request part >&"$to"
		wait_until 30 gone "${pid_of[client]}" || { why="no end of the answer"; break; }
		result=0
		break
	done
	exec {to}>&-
	stop client
	((result == 0)) && body_within "$tmp/said" "$tmp/part"
}

serve_behaviour() {
	diagnose_logs=(gate-ecdsa)
	local version
	check "serve: plain HTTP to the TLS port" plain_http
	check "serve: header of 40000 bytes both ways" big_header
	check "serve: silent client holds up nobody" silent_client
	check "serve: backend absent" backend_absent
	check "serve: $many downloads at once" many_at_once "$many"
	check "serve: client resets in mid-download" client_aborts
	for version in 1.3 1.2; do
		check "serve: client half-closes, python TLS $version" half_close_python "$version"
		check "serve: client half-closes, node TLS $version" half_close_node "$version"
		check "serve: backend half-closes, TLS $version" backend_half_close "$version"
		check "serve: FIN without close_notify is no clean end, TLS $version" truncation "$version"
		check "serve: unknown ticket, TLS $version" resumption "$version"
	done
	check "serve: KeyUpdate by openssl, peer asked to follow" key_update_openssl K
	check "serve: KeyUpdate by openssl, peer not asked" key_update_openssl k
	check "serve: ten KeyUpdates by openssl" key_update_openssl K k K k K k K k K k
	check "serve: KeyUpdate by gnutls, both directions" key_update_gnutls rekey
	check "serve: KeyUpdate by gnutls, one direction" key_update_gnutls rekey1
}
