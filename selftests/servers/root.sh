#!/bin/bash
# SPDX-License-Identifier: MIT
# root.sh: unpacks the servers and clients of selftests/servers.sh, from Debian trixie, under
# build/servers, with a database cluster for PostgreSQL and a program built by that Debian's Go. Their
# maintainer scripts do not run: nothing is configured, and no service starts. Exit status 1, with one
# line that says why: there is no mirror with trixie. What is there from an earlier run is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
. selftests/chroot.sh

root=build/servers
log=build/servers.log
packages="nginx apache2-bin haproxy redis-server redis-tools postgresql-17 memcached python3-pymemcache
	mosquitto mosquitto-clients python3 nodejs openjdk-21-jre-headless golang-go curl
	exim4-daemon-light dovecot-imapd dovecot-pop3d slapd ldap-utils python3-psycopg2 gnutls-bin"
# PostgreSQL's compiler of queries, which is loaded only where it is there.
without='^(libllvm|libz3)'

die() {
	echo "servers/root.sh: $*" >&2
	exit 1
}

unpack() {
	in_root $root "apt-get -qq update && mkdir /debs && cd /debs && apt-get -s --no-install-recommends install ${packages//$'\n'/ } |
		sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -vE '$without' |
		xargs apt-get -qq -o APT::Sandbox::User=root download" &&
		as_root sh -c 'for deb in "$1"/debs/*.deb; do dpkg-deb -x "$deb" "$1" || exit 1; done' sh $root &&
		as_root rm -rf $root/debs $root/usr/share/{doc,man,locale}
}

# Who the mail servers run as: maintainer scripts would have added them.
add_users() {
	local name id=900
	for name in Debian-exim dovecot dovenull; do
		id=$((id + 1))
		echo "$name:x:$id:$id::/nonexistent:/usr/sbin/nologin" | as_root tee -a $root/etc/passwd &&
			echo "$name:x:$id:" | as_root tee -a $root/etc/group || return 1
	done
}

# PostgreSQL refuses to run as root.
init_database() {
	in_root $root 'install -d -o nobody /cluster && setpriv --reuid=nobody --regid=nogroup --clear-groups \
		/usr/lib/postgresql/17/bin/initdb -D /cluster/data -U postgres -A trust --locale=C -E UTF8 --no-sync'
}

build_go() {
	as_root cp -r selftests/servers/go $root/go
	in_root $root 'cd /go && HOME=/go CGO_ENABLED=0 go build -o /usr/local/bin/go-http .' &&
		as_root rm -rf $root/go $root/usr/{lib,share}/go-*
}

mkdir -p build
exec 9> build/.servers.lock
flock 9
made_by=$(cat "$0" selftests/servers/go/* | sha256sum)
[ "$(cat $root/.complete 2>/dev/null)" != "$made_by" ] || exit 0

selftests/fetch-debian.sh trixie || die "no Debian trixie"
echo "deps: unpacking servers and their clients into $root"
copy_root build/trixie $root
{ unpack && add_users && init_database && build_go; } > $log 2>&1 ||
	die "failed: $(tail -n 1 $log) (all of it: $log)"
# So that whoever builds can also delete it.
as_root chown -R "$(id -u):$(id -g)" $root
echo "$made_by" > $root/.complete
