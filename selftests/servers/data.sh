# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Databases, caches and brokers of selftests/servers.sh, and their clients.

# ---- Redis ---------------------------------------------------------------------------------------

redis_start() {
	server redis redis-server --bind "${listens[redis]%:*}" --port "${listens[redis]##*:}" \
		--requirepass secret --save '' --dir "$tmp"
}

redis_client() {
	client env REDISCLI_AUTH=secret redis-cli --tls --cacert ca.pem -h "$gate4" -p "${gate_port[redis]}" "$@"
}

redis_use() {
	redis_client -x set blob <"$tmp/blob" >"$tmp/got" && [[ $(<"$tmp/got") = OK ]] ||
		{ fail "SET: $(<"$tmp/got")"; return; }
	# With a line feed after it.
	redis_client --raw get blob >"$tmp/got" && truncate -s -1 "$tmp/got" || { fail "GET: $(last_words)"; return; }
	came_down "$tmp/got" && came_up "$tmp/got"
}

redis_saw() {
	redis_client client list >"$tmp/log/redis.clients" && logged redis.clients " addr=$client4:"
}

# ---- PostgreSQL: a client that asks for TLS, and one that begins with it -----------------------------

postgres_start() {
	# A cluster must be its server's own, whose group may not write to it.
	cp -r "$root/cluster/data" "$tmp/cluster" && chown -R nobody "$tmp/cluster" && chmod 700 "$tmp/cluster"
	echo "host all all $client4/32 trust" >"$tmp/cluster/pg_hba.conf"
	server postgres setpriv --reuid=nobody --regid=nogroup --clear-groups /usr/lib/postgresql/17/bin/postgres \
		-D "$tmp/cluster" -c listen_addresses="${listens[postgres]%:*}" -p "${listens[postgres]##*:}" \
		-c unix_socket_directories= -c log_connections=on -c log_disconnections=on -c fsync=off
}

psql() {
	client env PGSSLMODE=verify-full PGSSLROOTCERT=ca.pem "PGSSLNEGOTIATION=${negotiation:-postgres}" \
		psql -qAtX -v ON_ERROR_STOP=1 -h "$gate4" -p "${gate_port[postgres]}" -U postgres "$@"
}

postgres_use() {
	{
		echo "CREATE TABLE kept (blob bytea);"
		printf "INSERT INTO kept VALUES (decode('%s', 'base64'));\n" "$(base64 -w 0 "$tmp/blob")"
		echo "SELECT encode(sha256(blob), 'hex') FROM kept;"
	} >"$tmp/sql"
	psql <"$tmp/sql" >"$tmp/got" || { fail "INSERT: $(last_words)"; return; }
	came_up_as "$(<"$tmp/got")" || return
	psql -c "SELECT encode(blob, 'base64') FROM kept" >"$tmp/text" || { fail "SELECT: $(last_words)"; return; }
	base64 -d "$tmp/text" >"$tmp/got"
	came_down "$tmp/got"
}

postgres_saw() {
	[[ $(negotiation=direct psql -c 'SELECT inet_client_addr()') = "$client4" ]] && logged postgres "connection received: host=$client4 "
}

# Each that it was told of was authorized, and said what it wanted.
no_empty_connection() {
	local received authorized
	received=$(grep -c 'connection received' "$tmp/log/postgres")
	authorized=$(grep -c 'connection authorized' "$tmp/log/postgres")
	((received == 3 && authorized == 3)) || { fail "$received connections, $authorized of them authorized"; return; }
	! logged postgres 'could not receive|incomplete startup' || fail "$(grep -E 'could not|incomplete' "$tmp/log/postgres")"
}

# ---- memcached and Mosquitto -----------------------------------------------------------------------

memcached_start() {
	server memcached memcached -u nobody -l "${listens[memcached]}" -I 8m
}

memcached_use() {
	client python3 memcached.py "$gate4" "${gate_port[memcached]}" ca.pem blob >"$tmp/got" ||
		{ fail "$(last_words)"; return; }
	came_down "$tmp/got" && came_up "$tmp/got"
}

memcached_saw() {
	logged client "tcp:$client4:"
}

mosquitto_start() {
	cat >"$tmp/mosquitto.conf" <<-CONF
		listener ${listens[mosquitto]##*:} ${listens[mosquitto]%:*}
		allow_anonymous true
		user root
		log_dest stderr
	CONF
	server mosquitto mosquitto -c "$tmp/mosquitto.conf"
}

mosquitto_client() {
	client "mosquitto_$1" --cafile ca.pem -h "$gate4" -p "${gate_port[mosquitto]}" -t blob -q 1 "${@:2}"
}

# A retained message: whoever subscribes later gets it.
mosquitto_use() {
	mosquitto_client pub -r -f blob || { fail "publish: $(last_words)"; return; }
	mosquitto_client sub -C 1 -N >"$tmp/got" || { fail "subscribe: $(last_words)"; return; }
	came_down "$tmp/got" && came_up "$tmp/got"
}

mosquitto_saw() {
	logged mosquitto "New client connected from $client4:"
}
