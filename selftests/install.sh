#!/bin/bash
# SPDX-License-Identifier: MIT
# make install, uninstall, dist and sbom, and the library as its users get it. TAP on standard output. Installs into
# a folder that is thrown away.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$tmp/root

quiet() {
	"$@" >"$tmp/log/make" 2>&1 || fail "$*: $(tail -n 2 "$tmp/log/make")"
}

# What a package wants of it, each by its path below PREFIX=/usr.
installs() {
	local path bad=
	quiet make -j2 install DESTDIR="$root" PREFIX=/usr || return
	for path in sbin/tlsgate{,d} lib/systemd/system/tlsgated.service lib/sysusers.d/tlsgate.conf \
			lib/tmpfiles.d/tlsgate.conf share/man/man8/tlsgate{,d}.8 lib/libtlsgate.{a,so,so.0} \
			lib/pkgconfig/libtlsgate.pc include/tlsgate/{libtlsgate,tlsgate}.h \
			src/tlsgate-*/{dkms.conf,Kbuild,kmod/main.c,kmod/uapi/tlsgate.h}; do
		[[ -s $(echo "$root/usr/"$path) ]] || bad+=" $path"
	done
	[[ -s $root/etc/tlsgate/tlsgated.conf ]] || bad+=" /etc/tlsgate/tlsgated.conf"
	[[ -z $bad ]] || fail "not installed:$bad"
}

# Without the rest of the tree.
documents_are_whole() {
	local file doc=$root/usr/share/doc/tlsgate
	[[ -s $doc/README.md && -s $doc/SECURITY.md && -s $doc/docs/operations.md ]] || fail "not all are there: $(ls "$doc")" || return
	for file in "$doc"/*.md "$doc"/docs/*.md; do
		links_exist "$file" || return
	done
	grep -q '](docs/quickstart.md)' "$doc/README.md" || fail "README.md has no link any more"
}

names_its_folders() {
	quiet make install DESTDIR="$tmp/opt" PREFIX=/opt/tlsgate sysconfdir=/opt/etc || return
	grep -qx 'ExecStart=/opt/tlsgate/sbin/tlsgated -c /opt/etc/tlsgate/tlsgated.conf' \
		"$tmp/opt/opt/tlsgate/lib/systemd/system/tlsgated.service" || fail "the unit names other folders" || return
	! grep -rlI -e "$tmp" -e "$PWD" "$tmp/opt" || fail "a text has a folder of this machine"
}

keeps_the_configuration() {
	echo '# mine' >"$root/etc/tlsgate/tlsgated.conf"
	quiet make install DESTDIR="$root" PREFIX=/usr || return
	[[ $(<"$root/etc/tlsgate/tlsgated.conf") = '# mine' ]] || fail "a second install overwrote it"
}

# Comments name functions, too.
promised() {
	gcc -fpreprocessed -dD -E -P userspace/lib/libtlsgate.h 2>/dev/null |
		grep -vE '^static' | grep -oE '\btlsgate_[a-z0-9_]+\(' | tr -d '(' |
		grep -vxE 'tlsgate_by_(id|fd)' | sort -u
}

exports_what_it_promises() {
	nm -D --defined-only "$root/usr/lib/libtlsgate.so" | sed -n 's/.* T \([^@]*\).*/\1/p' | sort -u >"$tmp/exported"
	promised >"$tmp/promised"
	[[ -s $tmp/promised ]] || fail "libtlsgate.h promises nothing" || return
	cmp -s "$tmp/promised" "$tmp/exported" || fail "$(diff "$tmp/promised" "$tmp/exported" | head -n 4)" || return
	[[ $(readelf -d "$root/usr/lib/libtlsgate.so" | sed -n 's/.*soname: \[\(.*\)\]/\1/p') = libtlsgate.so.0 ]] ||
		fail "its soname is another"
}

# All that a user writes, and that it runs: without the module it says so.
cat >"$tmp/user.c" <<'C'
#include <libtlsgate.h>
#include <stdio.h>

int main(void)
{
	struct tlsgate_session_params params = TLSGATE_SESSION_PARAMS_INIT;
	struct tlsgate_target target = tlsgate_by_fd(params.fd);
	unsigned char secret[32] = { 0 };
	struct tlsgate *tg;

	if (tlsgate_keys_from_secret(&params.tx, 0x1301, secret, sizeof(secret)) || target.id)
		return 1;
	tlsgate_open(&tg, NULL);
	tlsgate_close(tg);
	puts(TLSGATE_VERSION);
	return 0;
}
C

# COMPILER LANGUAGE STANDARD [FLAG...]
serves_a_user() {
	local compiler=$1 language=$2 standard=$3 flags
	shift 3
	flags=$(PKG_CONFIG_PATH=$root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root pkg-config "$@" --cflags --libs libtlsgate) ||
		fail "pkg-config does not know libtlsgate" || return
	# shellcheck disable=SC2086
	"$compiler" -x "$language" "-std=$standard" -pedantic -Wall -Werror -o "$tmp/user" "$tmp/user.c" -x none \
		$flags 2>"$tmp/log/compiler" || fail "$(head -n 3 "$tmp/log/compiler")" || return
	[[ $(LD_LIBRARY_PATH=$root/usr/lib "$tmp/user") = "$(build/tlsgated --version | cut -d' ' -f2)" ]] ||
		fail "the program does not run, or says another version"
}

uninstalls() {
	quiet make uninstall DESTDIR="$root" PREFIX=/usr || return
	[[ $(find "$root" ! -type d) = "$root/etc/tlsgate/tlsgated.conf" ]] ||
		fail "left: $(find "$root" ! -type d | head -n 5 | tr '\n' ' ')"
}

# The tarball of the tarball is the same.
makes_one_tarball() {
	local first again
	quiet make dist || return
	first=$(echo build/dist/tlsgate-*.tar.gz)
	tar -C "$tmp" -xzf "$first" || fail "tar" || return
	again=$tmp/$(basename "$first" .tar.gz)
	quiet make -C "$again" -j2 userspace dist || return
	cmp "$first" "$again/$first" >"$tmp/log/cmp" 2>&1 || fail "$(<"$tmp/log/cmp")"
}

# Every source with its sums and licence, and every library that a program wants with its version.
names_all_that_it_has() {
	quiet make sbom && cp build/dist/tlsgate-*.spdx.json "$tmp/first" && quiet make sbom || return
	cmp -s "$tmp/first" build/dist/tlsgate-*.spdx.json || fail "a second one is another" || return
	python3 - "$tmp/first" >"$tmp/log/sbom" 2>&1 <<-'PYTHON' || fail "$(tail -n 1 "$tmp/log/sbom")"
		import json, subprocess, sys
		bill = json.load(open(sys.argv[1]))
		files = {entry["fileName"][2:]: entry for entry in bill["files"]}
		assert files["kmod/main.c"]["licenseInfoInFiles"] == ["GPL-2.0-only"], "licence of kmod/main.c"
		assert files["userspace/lib/derive.c"]["licenseInfoInFiles"] == ["MIT"], "licence of derive.c"
		for name in "build/tlsgated", "kmod/main.c":
		    real = subprocess.check_output(["sha256sum", name], text=True).split()[0]
		    assert real in [sum["checksumValue"] for sum in files[name]["checksums"]], "sum of " + name
		libraries = {package["name"]: package.get("versionInfo") for package in bill["packages"][1:]}
		assert {"libcrypto.so.3", "libsodium.so.23", "libc.so.6"} <= set(libraries), libraries
		assert all(libraries.values()), libraries
	PYTHON
}

check "make install: all that a package needs" installs
check "the documents, and each link in them" documents_are_whole
check "the unit names the folders that were asked for" names_its_folders
check "a second install keeps the configuration" keeps_the_configuration
check "libtlsgate.so has what libtlsgate.h promises, and nothing else" exports_what_it_promises
check "a C program by pkg-config" serves_a_user gcc c c11
check "a C++ program" serves_a_user g++ c++ c++20
check "make uninstall leaves the configuration alone" uninstalls
check "make dist: what it has builds, and makes the same bytes" makes_one_tarball
check "make sbom names every source and library, and is the same twice" names_all_that_it_has
tap_end
