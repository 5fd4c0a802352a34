#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: starttls.sh user|kernel
#
# Protocols that begin in plain text: unmodified servers behind gates and in front of them, and clients
# of every kind, over the named data path; TAP. Servers and most clients are those of Debian 13 that
# selftests/servers/root.sh unpacks into build/servers; psql is this machine's, too. `kernel` wants the
# module: run it in a guest. Mounts, in a mount namespace of its own, and so wants root.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
path=${1-}
case $path in
user) slow=1 blob_size=$((1 << 20)) ;;
kernel) slow=10 blob_size=$((256 << 10)) ;;
*) echo "usage: starttls.sh user|kernel" >&2; exit 2 ;;
esac
[[ $(id -u) = 0 ]] || { echo "1..0 # SKIP this mounts, and wants root"; exit 4; }
# Mounts end with the script.
[[ -n ${OWN_MOUNTS-} ]] || OWN_MOUNTS=1 exec unshare --mount "$0" "$@"

TMPDIR=/tmp
# shellcheck source-path=SCRIPTDIR
. "$here/lib.sh"
. "$here/interop/kernel.sh"

tlsgated=$here/../build/tlsgated tlsgate=$here/../build/tlsgate
root=$(realpath "$here/../build/servers")
in_root=(nsenter --root="$root" --wd="$root$tmp" env "PATH=/usr/sbin:/usr/bin:/usr/lib/postgresql/17/bin")
declare -A at=() gate_port=()

# server NAME COMMAND...; client COMMAND...: in that Debian.
server() {
	spawn "$1" "${in_root[@]}" "${@:2}"
}

client() {
	limit 20 "${in_root[@]}" "$@" 2>"$tmp/log/client"
}

last_words() {
	tail -n 3 "$tmp/log/client" | tr '\n' ' '
}

# ---- servers: each with TLS, for the gates that ask for it, and in plain text for the others ---------

postgresql_start() {
	cp -r "$root/cluster/data" "$tmp/cluster" && cp "$tmp/server.pem" "$tmp/server.key" "$tmp/cluster/" &&
		echo "host all all 127.0.0.1/32 trust" >"$tmp/cluster/pg_hba.conf" &&
		chown -R nobody "$tmp/cluster" && chmod 700 "$tmp/cluster" && chmod 600 "$tmp/cluster/server.key" || return 1
	server postgresql setpriv --reuid=nobody --regid=nogroup --clear-groups postgres -D "$tmp/cluster" \
		-p "${at[postgresql]}" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
		-c ssl=on -c ssl_cert_file=server.pem -c ssl_key_file=server.key
}

# Puts mail where dovecot has it.  With -C it has no more privilege than its user, 901.
smtp_start() {
	mkdir "$tmp/spool" "$tmp/mail" && chown 901:901 "$tmp/spool" "$tmp/mail"
	cat >"$tmp/exim.conf" <<-CONF
		spool_directory = $tmp/spool
		log_file_path = $tmp/spool/log-%s
		primary_hostname = mail.test
		deliver_drop_privilege
		tls_advertise_hosts = *
		tls_certificate = $tmp/server.pem
		tls_privatekey = $tmp/server.key
		acl_smtp_rcpt = accept
		begin acl
		begin routers
		all:
		  driver = accept
		  transport = maildir
		begin transports
		maildir:
		  driver = appendfile
		  maildir_format
		  directory = $tmp/mail
	CONF
	server smtp exim4 -C "$tmp/exim.conf" -bdf -oX "127.0.0.1.${at[smtp]}"
}

imap_start() {
	cat >"$tmp/dovecot.conf" <<-CONF
		dovecot_config_version = 2.4.0
		dovecot_storage_version = 2.4.0
		base_dir = $tmp/dovecot
		state_dir = $tmp/dovecot
		log_path = /dev/stderr
		protocols = imap pop3
		listen = 127.0.0.1
		ssl = yes
		ssl_server_cert_file = $tmp/server.pem
		ssl_server_key_file = $tmp/server.key
		mail_driver = maildir
		mail_path = $tmp/mail
		mail_uid = Debian-exim
		mail_gid = Debian-exim
		first_valid_uid = 0
		first_valid_gid = 0
		passdb static {
		  password = secret
		}
		userdb static {
		  fields {
		    home = $tmp/mail
		  }
		}
		service imap-login {
		  inet_listener imap {
		    port = ${at[imap]}
		  }
		  inet_listener imaps {
		    port = 0
		  }
		}
		service pop3-login {
		  inet_listener pop3 {
		    port = ${at[pop3]}
		  }
		  inet_listener pop3s {
		    port = 0
		  }
		}
	CONF
	server imap dovecot -F -c "$tmp/dovecot.conf"
}

# dovecot has both.
pop3_start() {
	pid_of[pop3]=${pid_of[imap]}
}

ldap_start() {
	mkdir "$tmp/ldap"
	cat >"$tmp/slapd.conf" <<-CONF
		include /etc/ldap/schema/core.schema
		modulepath /usr/lib/ldap
		moduleload back_mdb
		TLSCertificateFile $tmp/server.pem
		TLSCertificateKeyFile $tmp/server.key
		database mdb
		suffix dc=test
		rootdn cn=admin,dc=test
		rootpw secret
		directory $tmp/ldap
	CONF
	client slapadd -f "$tmp/slapd.conf" <<-LDIF || return 1
		dn: dc=test
		objectClass: dcObject
		objectClass: organization
		dc: test
		o: test

		dn: cn=alice,dc=test
		objectClass: person
		cn: alice
		sn: $blob_text
	LDIF
	server ldap slapd -d 0 -h "ldap://127.0.0.1:${at[ldap]}" -f "$tmp/slapd.conf"
}

# ---- set-up ------------------------------------------------------------------------------------------

protocols=(postgresql smtp imap pop3 ldap)

make_root() {
	mount --bind /dev "$root/dev" && mount -t proc proc "$root/proc" && mount --bind /tmp "$root/tmp"
}

make_files() {
	chmod 755 "$tmp" && chmod 777 "$tmp/log" && new_ca ca && new_cert server ecdsa ca DNS:localhost,IP:127.0.0.1 &&
		chmod 644 "$tmp/server.key" || return 1
	blob_text=$(head -c 6000 /dev/urandom | base64 -w 0)
	{
		printf 'From: a@client.test\r\nTo: b@host.test\r\nSubject: starttls\r\n\r\n'
		head -c $blob_size /dev/urandom | base64 -w 76 | sed 's/$/\r/'
	} >"$tmp/letter"
}

# Two gates for each server: NAME serves TLS in front of it, NAME-out asks it for TLS.
write_gates() {
	local name
	for name in "${protocols[@]}"; do
		free_port; gate_port[$name]=$port
		free_port; gate_port[$name-out]=$port
		cat <<-CONF
			gate $name {
				mode = serve
				listen = "127.0.0.1:${gate_port[$name]}"
				backend = "127.0.0.1:${at[$name]}"
				cert = $tmp/server.pem
				key = $tmp/server.key
				starttls = $name
				data-path = $path
			}
			gate $name-out {
				mode = connect
				listen = "127.0.0.1:${gate_port[$name-out]}"
				backend = "127.0.0.1:${at[$name]}"
				server-name = localhost
				ca = $tmp/ca.pem
				starttls = $name
				data-path = $path
			}
		CONF
	done
}

start_all() {
	local name
	for name in "${protocols[@]}"; do
		free_port; at[$name]=$port
	done
	for name in "${protocols[@]}"; do
		"${name}_start" || bail_out "$name cannot be set up: $(last_words)"
		ready "$name" "${at[$name]}" || bail_out "$why"
	done
	{ echo "control = none"; write_gates; } >"$tmp/gates.conf"
	[[ $path = user ]] || kernel_prepare
	spawn gate "$tlsgated" -c "$tmp/gates.conf"
	for name in "${!gate_port[@]}"; do
		ready gate "${gate_port[$name]}" || bail_out "$why"
	done
}

# ---- the checks --------------------------------------------------------------------------------------

# carries SEALED OPENED COMMAND...: by the module, if it is to.
carries() {
	kernel_mark
	"${@:3}" && kernel_carried "$1" "$2"
}

# psql_by COMMAND...: -- with the program itself, and its environment, in COMMAND.
database_works() {
	local text
	text=$("$@" -qAtX -v ON_ERROR_STOP=1 -h localhost -U postgres \
		-c "SELECT length(repeat('x', $blob_size))" -c "SELECT repeat('x', $blob_size)" 2>"$tmp/log/client") ||
		{ fail "$(last_words)"; return; }
	[[ ${text%%$'\n'*} = "$blob_size" && ${#text} -gt $blob_size ]] || fail "other bytes came: ${#text}"
}

tls_for_psql=(PGSSLMODE=verify-full "PGSSLROOTCERT=$tmp/ca.pem")

psql_here() {
	[[ -x $(command -v psql) ]] || { skip "no psql on this machine"; return; }
	database_works limit 30 env "${tls_for_psql[@]}" psql -p "${gate_port[postgresql]}"
}

psql_in_root() {
	database_works client env "${tls_for_psql[@]}" "$@" psql -p "${gate_port[postgresql]}"
}

psql_gets_the_reason() {
	! client env PGSSLMODE=disable psql -h localhost -p "${gate_port[postgresql]}" -U postgres -c 'SELECT 1' ||
		{ fail "plain text came through"; return; }
	grep -q 'TLS is required here' "$tmp/log/client" || fail "it shows: $(last_words)"
}

driver_works() {
	client python3 -c "
import psycopg2
with psycopg2.connect(host='localhost', port=${gate_port[postgresql]}, user='postgres', dbname='postgres',
                      sslmode='verify-full', sslrootcert='$tmp/ca.pem') as connection:
    with connection.cursor() as cursor:
        cursor.execute('SELECT %s', ('x' * $blob_size,))
        assert cursor.fetchone()[0] == 'x' * $blob_size
        assert connection.info.ssl_in_use" || fail "$(last_words)"
}

plain_psql() {
	database_works client env "$@" psql -p "${gate_port[postgresql-out]}"
}

letters() {
	find "$tmp/mail/new" "$tmp/mail/cur" -type f 2>/dev/null | wc -l
}

has_letters() {
	(($(letters) == $1))
}

# sends_mail GATE CURL-OPTION...
sends_mail() {
	local before
	before=$(letters)
	client curl -sS --cacert "$tmp/ca.pem" "${@:2}" "smtp://localhost:${gate_port[$1]}/client.test" \
		--mail-from a@client.test --mail-rcpt b@host.test -T "$tmp/letter" || { fail "$(last_words)"; return; }
	wait_until 20 has_letters $((before + 1)) || fail "no letter came: $(cat "$tmp"/spool/log-*)"
}

# reads_mail URL CURL-OPTION...: the first letter.
reads_mail() {
	client curl -sS --cacert "$tmp/ca.pem" -u me:secret "${@:2}" "$1" >"$tmp/got" || { fail "$(last_words)"; return; }
	[[ $(sed '1,/^\r*$/d' "$tmp/got" | sha256sum) = $(sed '1,/^\r*$/d' "$tmp/letter" | sha256sum) ]] ||
		fail "another letter came: $(head -c 200 "$tmp/got")"
}

imap_reads() {
	reads_mail "imap://localhost:${gate_port[$1]}/INBOX;MAILINDEX=1" "${@:2}"
}

pop3_reads() {
	reads_mail "pop3://localhost:${gate_port[$1]}/1" "${@:2}"
}

# finds_alice GATE OPTION...
finds_alice() {
	client env "LDAPTLS_CACERT=$tmp/ca.pem" ldapsearch "${@:2}" -LLL -o ldif-wrap=no -x -b dc=test \
		-D cn=admin,dc=test -w secret -H "ldap://127.0.0.1:${gate_port[$1]}" cn=alice sn >"$tmp/got" ||
		{ fail "$(last_words)"; return; }
	grep -qxF "sn: $blob_text" "$tmp/got" || fail "she is not found: $(head -c 200 "$tmp/got")"
}

wants_tls_first() {
	! finds_alice ldap || { fail "a password went in plain text"; return; }
	grep -qi 'confidentiality required' "$tmp/log/client" || fail "it shows: $(last_words)"
}

openssl_begins() {
	local name=$1
	[[ $name != postgresql ]] || name=postgres
	client openssl s_client -starttls "$name" -connect "localhost:${gate_port[$1]}" -CAfile "$tmp/ca.pem" \
		-verify_return_error -servername localhost </dev/null >"$tmp/got" || { fail "$(last_words)"; return; }
	grep -q 'Verify return code: 0 (ok)' "$tmp/got" || fail "it says: $(tail -n 3 "$tmp/got")"
}

gnutls_begins() {
	local name=$1
	[[ $name != postgresql ]] || name=postgres
	client gnutls-cli --starttls-proto="$name" --x509cafile="$tmp/ca.pem" -p "${gate_port[$1]}" localhost \
		</dev/null >"$tmp/got" || { fail "$(last_words) $(tail -n 3 "$tmp/got")"; return; }
}

[[ -e $root/.complete ]] || { echo "1..0 # SKIP no servers in build/servers: run selftests/servers/root.sh"; exit 4; }
make_root && make_files || bail_out "no root or files: $(tail -n 1 "$tmp/log/openssl")"
start_all
diagnose_logs=(gate client postgresql)
check "psql of this machine" carries $blob_size 0 psql_here
check "psql of Debian 13" carries $blob_size 0 psql_in_root
check "psql of Debian 13, direct TLS" carries $blob_size 0 psql_in_root PGSSLNEGOTIATION=direct
check "psql shows that TLS is required" psql_gets_the_reason
check "psycopg2" carries $blob_size $blob_size driver_works
check "psql without TLS, and a gate that asks for it" carries 0 $blob_size plain_psql PGSSLMODE=disable
check "psql that asks for TLS, which the gate declines and asks for" carries 0 $blob_size plain_psql PGSSLMODE=prefer
diagnose_logs=(gate client smtp)
check "curl sends mail to exim" carries 0 $blob_size sends_mail smtp --ssl-reqd
check "curl sends mail without TLS, and a gate asks exim for it" carries $blob_size 0 sends_mail smtp-out
diagnose_logs=(gate client imap)
check "curl reads mail of dovecot by IMAP" carries $blob_size 0 imap_reads imap --ssl-reqd
check "curl reads mail without TLS by IMAP, and a gate asks dovecot for it" carries 0 $blob_size imap_reads imap-out
check "curl reads mail of dovecot by POP3" carries $blob_size 0 pop3_reads pop3 --ssl-reqd
check "curl reads mail without TLS by POP3, and a gate asks dovecot for it" carries 0 $blob_size pop3_reads pop3-out
diagnose_logs=(gate client ldap)
check "ldapsearch -ZZ in slapd" carries 8000 0 finds_alice ldap -ZZ
check "ldapsearch without TLS is told to begin it" wants_tls_first
check "ldapsearch without TLS, and a gate asks slapd for it" carries 0 8000 finds_alice ldap-out
diagnose_logs=(gate client)
# Handshakes alone, which are the same on either data path.
for name in $([[ $path = kernel ]] || echo "${protocols[@]}"); do
	check "openssl s_client -starttls, $name" openssl_begins "$name"
	check "gnutls-cli --starttls-proto, $name" gnutls_begins "$name"
done
tap_end
