# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# A real browser: headless Chromium loads a page whose script fetches more,
# each answer on a connection of its own.  That the later ones are resumed is
# taken from the gate's log.

# browse GATE [FLAG...]: the page, as its script left it, in $tmp/dom.
browse() {
	local gate=$1 pin
	shift
	# Trusts this key and nothing else of ours.
	pin=$(openssl x509 -in "$tmp/ecdsa.pem" -noout -pubkey | openssl pkey -pubin -outform der |
		openssl dgst -sha256 -binary | base64)
	rm -rf "$tmp/browser"
	HOME=$tmp/browser limit 60 chromium --headless=new --no-sandbox --disable-gpu \
		--disable-dev-shm-usage --no-first-run --disable-background-networking \
		--disable-component-update --disable-sync --user-data-dir="$tmp/browser" \
		--ignore-certificate-errors-spki-list="$pin" \
		--host-resolver-rules="MAP gate.test 127.0.0.1" --virtual-time-budget=20000 \
		"$@" --dump-dom "https://gate.test:${gate_port[$gate]}/page" \
		</dev/null >"$tmp/dom" 2>"$tmp/said"
}

# browser_resumes GATE VERSION GROUP [FLAG...]
browser_resumes() {
	local gate=$1 version=$2 group=$3
	shift 3
	have chromium || { skip "no chromium on this machine"; return; }
	[[ -n ${gate_port[$gate]:-} ]] || { skip "$(why_no_peer openssl36)"; return; }
	log_mark "gate-$gate"
	browse "$gate" "$@" || { fail "chromium: $(tail -n 1 "$tmp/said")"; return; }
	grep -q "fetched $((2 * $(stat -c %s "$tmp/part"))) bytes" "$tmp/dom" ||
		{ fail "the page shows: $(tr '\n' ' ' <"$tmp/dom" | head -c 300)"; return; }
	logged "gate-$gate" "TLS $version [^ ]+ $group name gate.test alpn http/1.1" ||
		{ fail "no full handshake of TLS $version with $group in the log"; return; }
	logged "gate-$gate" "TLS $version [^ ]+ resumed name gate.test" ||
		fail "no resumed connection in the log"
}

serve_browser() {
	diagnose_logs=(gate-watched)
	check "serve chromium TLS 1.3, then resumed" browser_resumes watched 1.3 x25519
	check "serve chromium TLS 1.2, then resumed" browser_resumes watched 1.2 x25519 \
		--ssl-version-max=tls1.2
	diagnose_logs=(gate-mlkem)
	check "serve chromium TLS 1.3 X25519MLKEM768, then resumed" \
		browser_resumes mlkem 1.3 X25519MLKEM768
}
