# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# How `tlsgated serve` behaves beyond a whole download and upload: halves,
# aborts, truncation, resumption, KeyUpdate, names, client certificates.

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

# Tickets of our own: the second connection has to be a resumed one, and carry data.
resumes_openssl() {
	local version=$1
	local -a flags=(-connect "127.0.0.1:${gate_port[ecdsa]}" "-tls${version/./_}" -CAfile "$tmp/ca.pem"
		-servername gate.test -verify_return_error -ign_eof -nocommands)
	rm -f "$tmp/session"
	http_request part | limit 30 openssl s_client "${flags[@]}" -sess_out "$tmp/session" \
		>"$tmp/raw" 2>"$tmp/said" || { fail "$(tail -n 3 "$tmp/said")"; return; }
	[[ -s $tmp/session ]] || { fail "openssl got no ticket"; return; }
	http_request get | limit 30 openssl s_client "${flags[@]}" -sess_in "$tmp/session" \
		>"$tmp/raw" 2>"$tmp/said" || { fail "$(tail -n 3 "$tmp/said")"; return; }
	grep -aq '^Reused, TLS' "$tmp/raw" || { fail "not resumed: $(grep -aE '^(New|Reused)' "$tmp/raw")"; return; }
	body_within "$tmp/raw"
}

resumes_gnutls() {
	have gnutls-cli || { skip "no gnutls-cli on this machine"; return; }
	limit 30 gnutls-cli --resume --waitresumption --x509cafile "$tmp/ca.pem" \
		--priority "NORMAL:-VERS-ALL:+VERS-TLS$1" --verify-hostname gate.test --sni-hostname gate.test \
		-p "${gate_port[ecdsa]}" 127.0.0.1 </dev/null >"$tmp/said" 2>&1 ||
		{ fail "$(tail -n 2 "$tmp/said")"; return; }
	said 'This is a resumed session' || fail "not resumed"
}

resumes_python() {
	rm -f "$tmp/got"
	run_client_py resume ecdsa "$tmp/got" "$1" || { fail "$(tail -n 1 "$tmp/said")"; return; }
	[[ $(<"$tmp/answer") = resumed ]] || { fail "not resumed"; return; }
	cmp -s "$tmp/got" "$tmp/part" || fail "bytes differ"
}

resumes_node() {
	have "$node" || { skip "no node on this machine"; return; }
	rm -f "$tmp/got"
	limit 30 "$node" "$here/interop/client.js" resume "${gate_port[ecdsa]}" gate.test "$tmp/ca.pem" \
		"$1" - - "$tmp/got" >"$tmp/answer" 2>"$tmp/said" || { fail "$(<"$tmp/said")"; return; }
	[[ $(<"$tmp/answer") = resumed ]] || { fail "not resumed"; return; }
	cmp -s "$tmp/got" "$tmp/part" || fail "bytes differ"
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

# ---- names, client certificates, other addresses --------------------------------

# presented FLAG...: subject of the certificate that gate `names` shows.
presented() {
	openssl s_client -connect "127.0.0.1:${gate_port[names]}" "$@" </dev/null 2>"$tmp/said" |
		openssl x509 -noout -subject -nameopt sep_multiline 2>>"$tmp/said" | tail -n 1
}

# chooses WANTED FLAG...
chooses() {
	local wanted=$1 got
	shift
	got=$(presented "$@")
	[[ $got = *"CN=$wanted" ]] || fail "wanted $wanted, got: $got"
}

# with_certificate VERSION CERTIFICATE: HTTP status of a GET with it; - for none.
with_certificate() {
	local -a cert=()
	[[ $2 = - ]] || cert=(--cert "$tmp/$2.pem" --key "$tmp/$2.key")
	curl -sS --tls-max "$1" "${cert[@]}" --max-time $((30 * slow)) --cacert "$tmp/ca.pem" \
		--resolve "gate.test:${gate_port[clientca]}:127.0.0.1" -o "$tmp/got" -w '%{http_code}' \
		"https://gate.test:${gate_port[clientca]}/part" 2>"$tmp/said"
}

# Not Ed25519 in TLS 1.2: it signs all messages, of which the engine keeps hashes only.
client_certificate() {
	local version=$1 type
	for type in client_ecdsa client_rsa client_ed25519; do
		[[ $version$type != 1.2client_ed25519 ]] || continue
		[[ $(with_certificate "$version" $type) = 200 ]] || { fail "$type: $(<"$tmp/said")"; return; }
		cmp -s "$tmp/got" "$tmp/part" || { fail "$type: bytes differ"; return; }
	done
}

# client_refused VERSION CERTIFICATE ALERT-NAME
client_refused() {
	log_mark gate-clientca
	[[ $(with_certificate "$1" "$2") != 200 ]] || { fail "it was let in"; return; }
	wait_until 5 logged gate-clientca "127.0.0.1:.*$3" || fail "no log line says $3"
}

# Both ends know the same secrets: their key logs are the same lines.
key_logs_agree() {
	local version=$1
	rm -f "$tmp/peer.keylog"
	log_lines=$(wc -l <"$tmp/keylog")
	http_request part | limit 30 openssl s_client -connect "127.0.0.1:${gate_port[keylog]}" \
		"-tls${version/./_}" -keylogfile "$tmp/peer.keylog" -quiet -ign_eof -nocommands \
		>"$tmp/raw" 2>"$tmp/said" || { fail "$(tail -n 1 "$tmp/said")"; return; }
	tail -n "+$((log_lines + 1))" "$tmp/keylog" | sort >"$tmp/ours.keylog"
	grep -v '^#' "$tmp/peer.keylog" | sort >"$tmp/theirs.keylog"
	[[ -s $tmp/ours.keylog ]] || { fail "our key log got no line"; return; }
	diff "$tmp/ours.keylog" "$tmp/theirs.keylog" >"$tmp/said" ||
		fail "$(cut -d' ' -f1,2 "$tmp/said" | head -n 6)"
}

# fetch_at GATE ADDRESS
fetch_at() {
	kernel_mark
	curl -sSf --max-time $((30 * slow)) --cacert "$tmp/ca.pem" -o "$tmp/got" \
		--resolve "gate.test:${gate_port[$1]}:$2" "https://gate.test:${gate_port[$1]}/blob" \
		2>"$tmp/said" || { fail "$(<"$tmp/said")"; return; }
	cmp -s "$tmp/got" "$tmp/blob" || { fail "bytes differ"; return; }
	kernel_carried "$blob_size" 1
}

serve_names() {
	local version
	diagnose_logs=(gate-names gate-clientca gate-keylog)
	check "serve: SNI chooses among certificates" chooses other -servername other.test
	check "serve: unknown SNI gets the first certificate" chooses ecdsa -servername none.test
	check "serve: no SNI gets the first certificate" chooses ecdsa -noservername
	check "serve: a client that verifies RSA only gets the RSA certificate" chooses rsa \
		-servername gate.test -sigalgs rsa_pss_rsae_sha256
	for version in 1.3 1.2; do
		check "serve: client certificates, TLS $version" client_certificate $version
		check "serve: key log is the client's, TLS $version" key_logs_agree $version
	done
	diagnose_logs=(gate-ecdsa)
	for version in 1.3 1.2; do
		check "serve: resumption, gnutls TLS $version" resumes_gnutls $version
		check "serve: resumption, python TLS $version" resumes_python $version
		check "serve: resumption, node TLS $version" resumes_node $version
	done
	diagnose_logs=(gate-clientca)
	check "serve refuses: no client certificate, TLS 1.3" client_refused 1.3 - certificate_required
	check "serve refuses: no client certificate, TLS 1.2" client_refused 1.2 - handshake_failure
	check "serve refuses: client certificate of another CA" client_refused 1.3 stranger unknown_ca
	check "serve refuses: expired client certificate" client_refused 1.3 expired certificate_expired
}

serve_behaviour() {
	local version
	diagnose_logs=(gate-unix gate-ipv6)
	check "serve: backend behind a UNIX socket" fetch_at unix 127.0.0.1
	check "serve: IPv6" fetch_at ipv6 '[::1]'
	diagnose_logs=(gate-ecdsa)
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
		check "serve: resumption, openssl TLS $version" resumes_openssl "$version"
	done
	check "serve: KeyUpdate by openssl, peer asked to follow" key_update_openssl K
	check "serve: KeyUpdate by openssl, peer not asked" key_update_openssl k
	check "serve: ten KeyUpdates by openssl" key_update_openssl K k K k K k K k K k
	check "serve: KeyUpdate by gnutls, both directions" key_update_gnutls rekey
	check "serve: KeyUpdate by gnutls, one direction" key_update_gnutls rekey1
}
