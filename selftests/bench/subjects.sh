# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Who is measured.  Each subject is a port of loopback that leads to the one
# backend, or serves as it would; $tmp, spawn and ready are those of lib.sh.
#
# ends_of SUBJECT JOB: where the AEADs of a transfer run, client first: u in
# userspace, k in the kernel; - where there is no TLS.

backend_port=9000
backend_socket=$tmp/backend.sock
nginx_plain_port=9023	# to which nginx-deliver leads

declare -A port_of=(
	[none]=$backend_port [plain-relay]=9001
	[tlsgate]=9010 [tlsgate-unix]=9011 [tlsgate-user]=9012 [tlsgate-kernel]=9014
	[tlsgate-deliver]=9015 [nginx-deliver]=9016
	[nginx-stream]=9020 [nginx-http]=9021 [nginx-http-ktls]=9022
	[haproxy]=9030 [hitch]=9040 [stunnel]=9050 [ktls-splice]=9060
)

ends_of() {
	case $1:$2 in
	none:*|plain-*:*) echo - ;;
	*-socket:*) echo kk ;;
	tlsgate-user:*|tlsgate-two:*) echo uu ;;
	tlsgate:churn|tlsgate:resume) echo uu ;;	# too short to be handed over
	tlsgate:*|tlsgate-*:*|nginx-http-ktls:*|nginx-deliver:*|ktls-splice:*) echo uk ;;
	*) echo uu ;;
	esac
}

# Certificate and backend: what every subject needs.
prepare_bench() {
	new_key ecdsa "$tmp/cert.key" &&
		openssl req -x509 -new -key "$tmp/cert.key" -subj /CN=gate.test -days 30 \
			-addext subjectAltName=DNS:gate.test -out "$tmp/cert.pem" 2>> "$tmp/log/openssl" &&
		cat "$tmp/cert.pem" "$tmp/cert.key" > "$tmp/both.pem" &&
		chmod 755 "$tmp" && start_backend
}

start_backend() {
	spawn backend "$bench/backend" "$backend_port" "$backend_socket"
	ready backend "$backend_port" || return 1
	chmod 666 "$backend_socket"
}

start_tlsgate() {
	spawn "$1" "$tree/build/tlsgated" serve "127.0.0.1:${port_of[$1]}" "$2" "--data-path=$3" \
		"--workers=${4:-1}" "--deliver=${5:-no}" --cert "$tmp/cert.pem" --key "$tmp/cert.key"
	ready "$1" "${port_of[$1]}"
}

# Where delivery failed, it would fail: nothing is measured that was relayed.
start_delivering() {
	start_tlsgate "$1" "$2" kernel 1 always
}

write_nginx() {
	local size tls="ssl_certificate $tmp/cert.pem; ssl_certificate_key $tmp/cert.key;
		ssl_protocols TLSv1.2 TLSv1.3;"
	mkdir -p "$tmp/www" "$tmp/nginx"
	for size in 64 256 1024 16384 $((1 << 20)) "$bulk"; do
		head -c "$size" /dev/zero > "$tmp/www/$size"
	done
	cat > "$tmp/nginx.conf" <<-CONF
		load_module /usr/lib/nginx/modules/ngx_stream_module.so;
		daemon off; user root; worker_processes 1; pid $tmp/nginx/pid; error_log stderr;
		events { worker_connections 256; }
		stream {
			server { listen 127.0.0.1:${port_of[plain-relay]}; proxy_pass 127.0.0.1:$backend_port; }
			server { listen 127.0.0.1:${port_of[nginx-stream]} ssl; proxy_pass 127.0.0.1:$backend_port; $tls }
		}
		http {
			access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; root $tmp/www;
			client_body_temp_path $tmp/nginx; proxy_temp_path $tmp/nginx; fastcgi_temp_path $tmp/nginx;
			scgi_temp_path $tmp/nginx; uwsgi_temp_path $tmp/nginx; client_max_body_size 0;
			server { listen 127.0.0.1:$nginx_plain_port; }
			server { listen 127.0.0.1:${port_of[nginx-http]} ssl; $tls }
			server { listen 127.0.0.1:${port_of[nginx-http-ktls]} ssl; $tls ssl_conf_command Options KTLS; }
		}
	CONF
}

start_nginx() {
	write_nginx
	spawn nginx nginx -p "$tmp/nginx" -c "$tmp/nginx.conf"
	ready nginx "${port_of[nginx-stream]}"
}

start_haproxy() {
	cat > "$tmp/haproxy.cfg" <<-CONF
		global
			nbthread 1
		defaults
			mode tcp
			timeout connect 60s
			timeout client 600s
			timeout server 600s
		listen relay
			bind 127.0.0.1:${port_of[haproxy]} ssl crt $tmp/both.pem
			server backend 127.0.0.1:$backend_port
	CONF
	spawn haproxy haproxy -db -f "$tmp/haproxy.cfg"
	ready haproxy "${port_of[haproxy]}"
}

start_hitch() {
	cat > "$tmp/hitch.conf" <<-CONF
		frontend = "[127.0.0.1]:${port_of[hitch]}"
		backend = "[127.0.0.1]:$backend_port"
		pem-file = "$tmp/both.pem"
		workers = 1
		daemon = off
		user = "nobody"
		tls-protos = TLSv1.2 TLSv1.3
	CONF
	spawn hitch hitch --config="$tmp/hitch.conf"
	ready hitch "${port_of[hitch]}"
}

start_stunnel() {
	cat > "$tmp/stunnel.conf" <<-CONF
		foreground = yes
		pid =
		debug = err
		[relay]
		accept = 127.0.0.1:${port_of[stunnel]}
		connect = 127.0.0.1:$backend_port
		cert = $tmp/both.pem
		socket = l:TCP_NODELAY=1
		socket = r:TCP_NODELAY=1
	CONF
	spawn stunnel stunnel4 "$tmp/stunnel.conf"
	ready stunnel "${port_of[stunnel]}"
}

# start SUBJECT: 0 when its port answers.
start() {
	case $1 in
	none) ;;
	tlsgate) start_tlsgate tlsgate "127.0.0.1:$backend_port" auto ;;
	tlsgate-kernel) start_tlsgate tlsgate-kernel "127.0.0.1:$backend_port" kernel ;;
	tlsgate-unix) start_tlsgate tlsgate-unix "unix:$backend_socket" auto ;;
	tlsgate-user) start_tlsgate tlsgate-user "127.0.0.1:$backend_port" user ;;
	tlsgate-two) start_tlsgate tlsgate-two "127.0.0.1:$backend_port" user 2 ;;
	tlsgate-deliver) start_delivering tlsgate-deliver "127.0.0.1:$backend_port" ;;
	nginx-deliver)
		[[ -n ${pid_of[nginx]:-} ]] || start_nginx
		start_delivering nginx-deliver "127.0.0.1:$nginx_plain_port" ;;
	plain-relay|nginx-*) [[ -n ${pid_of[nginx]:-} ]] || start_nginx ;;
	ktls-splice)
		spawn ktls-splice "$bench/splice" "${port_of[ktls-splice]}" "$backend_port" \
			"$tmp/cert.pem" "$tmp/cert.key"
		ready ktls-splice "${port_of[ktls-splice]}" ;;
	*) "start_$1" ;;
	esac
}
