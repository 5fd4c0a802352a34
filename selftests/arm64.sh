#!/bin/bash
# SPDX-License-Identifier: MIT
# arm64.sh: inside an arm64 guest: tlsgated serves under its real filters, by either data path, and the
# kernel carries what it was handed. Programs are those of build/arm64. TAP.
set -u
cd "$(dirname "$0")/.." || exit 1
build=build/arm64
tmp=$(mktemp -d) && cd "$tmp" || exit 1
top=$OLDPWD

number=0 failed=0
result() {
	number=$((number + 1))
	if "${@:2}"; then echo "ok $number - $1"; else echo "not ok $number - $1"; failed=1; fi
}

# until_true COMMAND...: for as long as an emulator may need.
until_true() {
	local deadline=$((SECONDS + 120))
	until "$@" 2>/dev/null; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.1
	done
}

reachable() {
	(: < "/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

same_file() {
	[ "$(sha256sum < file)" = "$(sha256sum < "$1")" ]
}

# Bytes that the module sealed.
sealed() {
	sed -n 's/^tx_bytes *//p' /proc/net/tlsgate_stat
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem \
	-subj /CN=localhost -addext subjectAltName=DNS:localhost -days 2 2>/dev/null
head -c 1000000 /dev/urandom > file
# A plain HTTP server: openssl's, whose own connections are the backend's.
openssl s_server -accept 127.0.0.1:4443 -cert cert.pem -key key.pem -WWW > server.log 2>&1 &
"$top/$build/tlsgated" connect 127.0.0.1:8081 localhost:4443 --ca=cert.pem --data-path=user > connect.log 2>&1 &
until_true reachable 8081

port=8443
for path in user kernel; do
	port=$((port + 1))
	before=$(sealed)
	"$top/$build/tlsgated" serve 127.0.0.1:$port 127.0.0.1:8081 --cert=cert.pem --key=key.pem \
		--data-path=$path > $path.log 2>&1 &
	gate=$!
	until_true reachable $port
	result "curl gets a file, data path $path" \
		timeout 120 curl -sS --cacert cert.pem -o got.$path https://localhost:$port/file
	result "it is the file, data path $path" same_file got.$path
	result "no process died, data path $path" sh -c "! grep -q died $path.log"
	[ $path = user ] || result "the kernel sealed the file" [ $(($(sealed) - before)) -ge 1000000 ]
	kill $gate
	wait $gate
	[ $failed -eq 0 ] || sed 's/^/# /' $path.log
done
kill %1 %2
cd /
rm -rf "$tmp"
echo "1..$number"
exit $failed
