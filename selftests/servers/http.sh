# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Web servers of selftests/servers.sh, and their clients. Every one serves $tmp/www/blob; most take
# a PUT, of which there is a file or a checksum afterwards.

# get_by SERVER COMMAND...: which writes the file that the server has to standard output.
get_by() {
	local name=$1
	shift
	client "$@" >"$tmp/got" || { fail "GET: $(last_words)"; return; }
	came_down "$tmp/got"
}

curl_get() {
	get_by "$1" curl -sSf --cacert ca.pem "$(url "$1")/blob"
}

curl_put() {
	client curl -sSf --cacert ca.pem -T blob "$(url "$1")/$1.up" >"$tmp/got" ||
		{ fail "PUT: $(last_words)"; return; }
}

# ---- nginx: three workers, a listening socket each, and sendfile --------------------------------

nginx_start() {
	cat >"$tmp/nginx.conf" <<-CONF
		daemon off;
		user nobody nogroup;
		worker_processes 3;
		pid $tmp/nginx.pid;
		error_log stderr info;
		events { }
		http {
			log_format test '\$remote_addr \$server_port \$pid';
			access_log $tmp/log/nginx.access test;
			sendfile on;
			client_max_body_size 0;
			client_body_temp_path $tmp/nginx/body;
			proxy_temp_path $tmp/nginx/proxy;
			fastcgi_temp_path $tmp/nginx/fastcgi;
			uwsgi_temp_path $tmp/nginx/uwsgi;
			scgi_temp_path $tmp/nginx/scgi;
			server {
				listen ${listens[nginx]} reuseport;
				root $tmp/www;
				dav_methods PUT;
			}
		}
	CONF
	mkdir -p "$tmp/nginx"
	server nginx nginx -c "$tmp/nginx.conf" -p "$tmp" -e stderr
}

nginx_use() {
	curl_get nginx && curl_put nginx && came_up "$tmp/www/nginx.up"
}

nginx_saw() {
	grep -q "^$client4 " "$tmp/log/nginx.access"
}

# A connection for each request, until $tmp/enough is there; each answer's status is a line.
ask_again() {
	until [[ -e $tmp/enough ]]; do
		limit 20 "${from_client[@]}" curl -sS --cacert ca.pem -H 'Connection: close' -o /dev/null \
			-w '%{http_code}\n' "$(url nginx)/small?[1-10]"
	done
}

nginx_workers() {
	pgrep -P "${pid_of[nginx]}" | sort
}

# Three workers, and none of the old ones, which are in $1.
new_workers() {
	[[ $(nginx_workers | wc -l) = 3 && -z $(comm -12 <(nginx_workers) <(echo "$1")) ]]
}

nginx_reloads() {
	local workers asked number
	mark_counters
	spawn load1 ask_again
	spawn load2 ask_again
	for number in 1 2 3; do
		workers=$(nginx_workers)
		asked=$(wc -l <"$tmp/log/nginx.access")
		kill -HUP "${pid_of[nginx]}"
		wait_until 20 new_workers "$workers" || { fail "reload $number: workers $(nginx_workers | tr '\n' ' ')"; return; }
		wait_until 20 has_answered $((asked + 30)) || { fail "reload $number: no more requests"; return; }
	done
	touch "$tmp/enough"
	wait_until 20 gone "${pid_of[load1]}"
	wait_until 20 gone "${pid_of[load2]}"
	! grep -vx 200 "$tmp/log/load1" "$tmp/log/load2" >"$tmp/failed" || { fail "$(head -n 3 "$tmp/failed")"; return; }
	was_delivered || return
	(($(tail -n 30 "$tmp/log/nginx.access" | cut -d' ' -f3 | sort -u | wc -l) > 1)) || fail "one worker had all connections"
}

# kill_with_children NAME: until none of them has its listening socket any more.
kill_with_children() {
	local pid=${pid_of[$1]} children child
	children=$(pgrep -P "$pid")
	# shellcheck disable=SC2086
	kill -KILL "$pid" $children 2>/dev/null
	wait "$pid" 2>/dev/null
	for child in $children; do
		wait_until 5 gone "$child"
	done
}

# Three hundred clients, twelve at once, and each tries again until it has the file.
nginx_and_gate_are_killed() {
	local asked code file same=0
	asked=$(wc -l <"$tmp/log/nginx.access")
	mkdir "$tmp/many"
	spawn load1 "${from_client[@]}" curl -s -Z --parallel-max 12 --cacert ca.pem -H 'Connection: close' \
		--retry 30 --retry-delay 1 --retry-all-errors -o 'many/#1' -w '%{exitcode} %{filename_effective}\n' \
		"$(url nginx)/part?[1-300]"
	wait_until 20 has_answered $((asked + 60)) || { fail "no requests"; return; }
	kill_with_children nginx
	nginx_start
	ready nginx "${listens[nginx]##*:}" || return
	wait_until 20 has_answered $((asked + 120)) || { fail "no requests after nginx was killed"; return; }
	kill_with_children gate
	start_gate || return
	wait_until 60 gone "${pid_of[load1]}"
	while read -r code file; do
		[[ $code = 0 ]] && cmp -s "$tmp/$file" "$tmp/www/part" && same=$((same + 1))
	done <"$tmp/log/load1"
	((same == 300)) || fail "$same of 300 clients have the file; curl says: $(cut -d' ' -f1 "$tmp/log/load1" | sort | uniq -c | tr '\n' ' ')"
}

# has_answered COUNT: so many requests in all.
has_answered() {
	(($(wc -l <"$tmp/log/nginx.access") >= $1))
}

# ---- Apache: threads, sendfile, TCP_DEFER_ACCEPT (its default) -----------------------------------

apache_start() {
	local modules=/usr/lib/apache2/modules name
	{
		for name in mpm_event authz_core dav dav_fs; do
			echo "LoadModule ${name}_module $modules/mod_$name.so"
		done
		cat <<-CONF
			ServerRoot $tmp
			ServerName gate.test
			PidFile $tmp/apache.pid
			Mutex file:$tmp
			User nobody
			Group nogroup
			Listen ${listens[apache]}
			StartServers 1
			EnableSendfile On
			DocumentRoot $tmp/www
			DavLockDB $tmp/apache.dav
			ErrorLog /dev/stderr
			LogFormat "%a" test
			CustomLog $tmp/log/apache.access test
			<Directory $tmp/www>
			Dav On
			Require all granted
			</Directory>
		CONF
	} >"$tmp/apache.conf"
	server apache apache2 -D FOREGROUND -f "$tmp/apache.conf"
}

apache_use() {
	curl_get apache && curl_put apache && came_up "$tmp/www/apache.up"
}

apache_saw() {
	grep -q "^$client4\$" "$tmp/log/apache.access"
}

# ---- HAProxy: plain HTTP on both sides, nginx behind it ------------------------------------------

haproxy_start() {
	cat >"$tmp/haproxy.conf" <<-CONF
		global
			log stdout format raw local0
		defaults
			mode http
			timeout client 60s
			timeout connect 60s
			timeout server 60s
		frontend plain
			bind ${listens[haproxy]}
			log global
			option httplog
			default_backend nginx
		backend nginx
			server nginx ${listens[nginx]}
	CONF
	server haproxy haproxy -db -f "$tmp/haproxy.conf"
}

haproxy_use() {
	curl_get haproxy && curl_put haproxy && came_up "$tmp/www/haproxy.up"
}

# ---- Python's, Node's, Java's and Go's own --------------------------------------------------------

python_start() {
	server python python3 -u -m http.server -b "${listens[python]%:*}" -d "$tmp/www" "${listens[python]##*:}"
}

python_use() {
	get_by python python3 get.py "$(url python)/blob" ca.pem
}

node_start() {
	server node node http.js serve "${listens[node]}" blob
}

node_use() {
	get_by node node http.js get "$(url node)/" ca.pem && curl_put node && came_up_as "$(<"$tmp/got")"
}

# Its socket is an IPv6 one that takes IPv4 clients, too.
java_start() {
	server java java -XX:TieredStopAtLevel=1 -m jdk.httpserver -b :: -p "${listens[java]##*:}" -d "$tmp/www" -o verbose
}

java_use() {
	curl_get java && get_by java curl -sSf --cacert ca.pem "$(url6 java)/blob"
}

java_saw() {
	logged java "^$client4 - " && logged java '^2001:db8:0:0:0:0:0:2'
}

# docs/socket-api.md: from this version on.
mptcp_is_delivered_to() {
	[[ -e /proc/sys/net/mptcp/enabled ]] && printf '%s\n' 6.12.117 "$(uname -r)" | sort -CV
}

go_start() {
	local mptcp=2	# its default
	mptcp_is_delivered_to || { mptcp=0; echo "# no delivery to MPTCP on this kernel: Go listens by TCP"; }
	server go env GODEBUG=multipathtcp=$mptcp go-http serve "${listens[go]##*]}" blob
}

go_use() {
	get_by go go-http get "$(url go)/" ca.pem || return
	client go-http put "$(url6 go)/" ca.pem blob >"$tmp/got" || { fail "PUT: $(last_words)"; return; }
	came_up_as "$(<"$tmp/got")"
}

go_saw() {
	logged go "GET from $client4:" && logged go "PUT from \[$client6\]:"
}

go_listens_by_mptcp() {
	local sockets
	sockets=$(awk '$1 ~ /^MPTCP/ { n += $3 } END { print n + 0 }' /proc/net/protocols)
	((sockets > 0)) || fail "no MPTCP socket in /proc/net/protocols"
}
