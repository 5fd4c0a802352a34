# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# docs/operations.md: its reasons are the module's, and its hook renews a certificate. Part of docs.sh.

operations=docs/operations.md

# Each reason of docs/reasons.md has a row, and no other has.
reasons_have_advice() {
	sed -n 's/^| [0-9]* | `\([a-z_]*\)` .*/\1/p' docs/reasons.md | sort >"$tmp/reasons"
	sed -n '/^## Reasons/,$s/^| \(`[^|]*\) | .*/\1/p' $operations | grep -o '[a-z_]*' | sort >"$tmp/advice"
	[[ -s $tmp/reasons ]] || { fail "docs/reasons.md names none"; return; }
	diff "$tmp/reasons" "$tmp/advice" >"$tmp/missing" || fail "reasons (<) and advice (>): $(<"$tmp/missing")"
}

# A lineage as certbot keeps it: renew NUMBER puts another certificate behind the links.
lineage=$tmp/letsencrypt/live/example.org

renew() {
	local archive=$tmp/letsencrypt/archive/example.org
	mkdir -p "$archive" "$lineage" && new_cert "renewed$1" ecdsa ca DNS:example.org &&
		cp "$tmp/renewed$1.pem" "$archive/fullchain$1.pem" && cp "$tmp/renewed$1.key" "$archive/privkey$1.pem" &&
		ln -sfn "../../archive/example.org/fullchain$1.pem" "$lineage/fullchain.pem" &&
		ln -sfn "../../archive/example.org/privkey$1.pem" "$lineage/privkey.pem"
}

# The hook as the document has it, run as certbot runs it.
hook() {
	RENEWED_LINEAGE=$lineage RENEWED_DOMAINS=example.org RUNTIME_DIRECTORY=$tmp PATH=$PWD/build:$PATH \
		limit 60 "$tmp/hook" >"$tmp/log/hook" 2>&1
}

serves_renewed() {
	[[ $(limit 20 openssl s_client -connect "127.0.0.1:$port" -servername example.org </dev/null 2>/dev/null |
		openssl x509 -noout -fingerprint) = $(openssl x509 -noout -fingerprint -in "$tmp/renewed$1.pem") ]] ||
		fail "certificate $1 is not served: $(tail -n 1 "$tmp/log/gate")"
}

renewal() {
	sed -n '/^<!-- hook -->$/,/^$/s/^    //p' $operations >"$tmp/hook" && chmod 755 "$tmp/hook"
	free_port
	new_ca ca && renew 1 || { fail "no certificates: $(tail -n 1 "$tmp/log/openssl")"; return; }
	printf 'workers = 1\ngate web {\nmode = serve\nlisten = ":%s"\nbackend = "127.0.0.1:9"\ndata-path = user\n' "$port" >"$tmp/conf"
	printf 'cert = {"%s"}\nkey = {"%s"}\n}\n' "$lineage/fullchain.pem" "$lineage/privkey.pem" >>"$tmp/conf"
	RUNTIME_DIRECTORY=$tmp spawn gate build/tlsgated -c "$tmp/conf"
	ready gate "$port" && serves_renewed 1 || return
	renew 2 && { hook || fail "the hook: $(<"$tmp/log/hook")"; } && serves_renewed 2 || return
	renew 3 && echo nothing >"$lineage/privkey.pem"
	! hook || { fail "the hook succeeds with a key that is none"; return; }
	grep -q privkey.pem "$tmp/log/hook" || { fail "the hook does not say why: $(<"$tmp/log/hook")"; return; }
	serves_renewed 2
}

check "$operations says what to do about each reason" reasons_have_advice
check "certbot's hook of $operations renews a certificate, and fails where that is refused" renewal
