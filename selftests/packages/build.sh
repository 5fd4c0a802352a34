#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the packages of this tree into build/packages/new, and those of the last commit that had none,
# as version 0.1.0 and with today's packaging, into build/packages/old: what an upgrade begins with.
# Where the history does not have it, this tree is built as 0.1.0.
set -euo pipefail
cd "$(dirname "$0")/../.."
old=c0e85ac282d789cdd7ceb035ceb14363aa3b4844
out=build/packages
tree=$out/tree

keep() {
	mkdir -p "$out/$2"
	find "$1/build/deb" -maxdepth 1 -name '*.deb' ! -name '*-dbgsym_*' -exec cp {} "$out/$2/" \;
	cp "$1"/build/deb/*.changes "$out/$2/"
}

# Without the packaging of today.
unpack_history() {
	local name
	git archive $old | tar -C $tree -x
	cp CHANGELOG.md $tree/
	for name in packaging.mk debian dkms.conf doc-links.sh libtlsgate.pc.in tlsgated.conf.example sysusers.d tmpfiles.d modules-load.d \
			prometheus-rules.yml grafana-dashboard.json tlsgated.socket; do
		cp -r "packaging/$name" $tree/packaging/
	done
	cp userspace/lib/libtlsgate.map $tree/userspace/lib/
	# It had none.
	sed -i '/completion/d' $tree/packaging/packaging.mk
	echo 'include packaging/packaging.mk' >> $tree/Makefile
}

unpack_old() {
	mkdir -p $tree
	if git cat-file -e $old 2>/dev/null; then
		unpack_history
	else
		echo "packages: no commit $old here, as in a shallow clone: this tree stands in for it" >&2
		make dist
		tar -C $tree --strip-components=1 -xf build/dist/tlsgate-*.tar.gz
	fi
	sed 's/"[0-9.]*"/"0.1.0"/' kmod/uapi/tlsgate_version.h > $tree/kmod/uapi/tlsgate_version.h
}

rm -rf $out
make deb
keep . new
unpack_old
make -C $tree deb
keep $tree old
rm -rf $tree
