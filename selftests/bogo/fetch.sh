#!/bin/bash
# SPDX-License-Identifier: MIT
# fetch.sh [SUITE]: fetches BoringSSL's test runner, as Debian's source package has it, and builds it
# under build/bogo/ (build/bogo-SUITE/); prints the folder to run it in. Mirror and, without an
# argument, suites are those of the machine's own apt configuration, in a private package list: the
# machine's own is left as it is. What is there from an earlier run is used again.
set -euo pipefail
cd "$(dirname "$0")/../.."

package=android-platform-external-boringssl
suite=${1-}
cache=$PWD/build/bogo${suite:+-$suite}
tree=$cache/go/src/boringssl.googlesource.com/boringssl
runner=$tree/ssl/test/runner
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() {
	echo "bogo/fetch.sh: $*" >&2
	exit 1
}

# One deb-src line per Debian index that the machine has for binary packages; for a suite named, that
# suite's of the same mirror.
source_lines() {
	local options='' label='[^ ]+'
	[ ! -r $keyring ] || options="[signed-by=$keyring] "
	[ -z "$suite" ] || label=Debian		# and not Debian-Security
	apt-get indextargets 'Created-By: Packages' \
		--format "\$(ORIGIN) \$(LABEL) \$(REPO_URI) ${suite:-\$(RELEASE)} \$(COMPONENT)" |
		sed -nE "s|^Debian $label ([^ ]+ [^ ]+ [^ ]+)$|deb-src $options\1|p" | sort -u
}

apt_private() {
	apt-get -qq -o Dir::Etc::sourcelist="$cache/apt/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State::Lists="$cache/apt/lists" -o Dir::Cache="$cache/apt/cache" \
		-o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

fetch() {
	mkdir -p "$cache"/apt/{lists,cache}/partial
	source_lines > "$cache/apt/sources.list"
	[ -s "$cache/apt/sources.list" ] ||
		die "apt knows no Debian mirror: is one configured, and did 'apt-get update' run?"
	apt_private update >&2 || die "no package lists with sources from the machine's apt mirror"
	rm -rf "$cache/source"
	mkdir -p "$cache/source"
	# apt checks the files against the signed list; dpkg would want the maintainer's own key.
	(cd "$cache/source" && apt_private source --download-only "$package" >&2) ||
		die "cannot fetch the source package $package from the machine's apt mirror"
}

unpack() {
	rm -rf "$cache/go" "$cache/unpacked"
	(cd "$cache/source" && dpkg-source --no-check -x ./*.dsc "$cache/unpacked" >&2) ||
		die "cannot unpack $package"
	mkdir -p "${tree%/*}"
	mv "$cache/unpacked/src" "$tree"
	rm -rf "$cache/unpacked"
}

build() {
	(cd "$runner" && GO111MODULE=off GOCACHE="$cache/gocache" \
		GOPATH="$cache/go:/usr/share/gocode" go test -c -o runner.test . >&2) ||
		die "the runner does not build; it needs golang-go and golang-golang-x-crypto-dev"
}

exec 9> "build/.${cache##*/}.lock"
flock 9
if [ ! -d "$runner" ]; then
	fetch
	unpack
fi
[ -x "$runner/runner.test" ] || build
echo "$runner"
