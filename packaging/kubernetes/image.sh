#!/bin/bash
# SPDX-License-Identifier: MIT
# image.sh FOLDER: the root of a container image with tlsgated, made of this machine's own Debian and of
# what `make userspace` built here. As root; wants debootstrap. To make an image of the folder:
#
#	tar -C FOLDER -c . | podman import -c 'ENTRYPOINT ["/usr/sbin/tlsgated"]' -c 'STOPSIGNAL SIGQUIT' - tlsgate:VERSION
set -euo pipefail
cd "$(dirname "$0")/../.."
. selftests/apt.sh

die() {
	echo "image.sh: $*" >&2
	exit 1
}

[ $# = 1 ] || die "usage: image.sh FOLDER"
root=$1
[ ! -e "$root" ] || die "'$root' is there: name a new folder"
[ -x build/tlsgated ] || die "there is no build/tlsgated: run make userspace"
from=$(mirror)
[ -n "$from" ] || die "apt knows no Debian mirror"

# The packages that have the libraries which the programs are linked to, or open for metrics.
packages=$(ldd build/tlsgated build/tlsgate | awk '$2 == "=>" { print "*/" $1 } END { print "*/libmicrohttpd.so.12" }' |
	sort -u | xargs dpkg -S | cut -d: -f1 | sort -u | grep -v '^libc6' | paste -sd,)
PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase --include="$packages,ca-certificates" "$own_suite" "$root" "$from" > "$root.log" 2>&1 ||
	die "debootstrap failed: $(tail -n 1 "$root.log") (all of it: $root.log)"
make -s install PREFIX=/usr DESTDIR="$(realpath "$root")"
# Where a runtime mounts into a root that is read-only.
mkdir -p "$root"/etc/tlsgate/{certs,tickets} "$root/run/tlsgate"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
for user in tlsgate tlsgate-keys; do
	chroot "$root" useradd --system --no-create-home --shell /usr/sbin/nologin "$user"
done
