#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs what a purpose needs and is missing: deps.sh [build|guest|check|packages|peers|demo|bench|style|bogo|fuzz|debug]...
# This is the one list of the packages tlsgate uses. Mirrors and suites come from the machine's
# own apt configuration. Kernel images are unpacked under build/kernels/, never installed: they
# must not touch /boot. A second run finds everything and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A PACKAGES=(
	[build]="gcc libc6-dev make pkg-config libssl-dev libsodium-dev libnl-3-dev libnl-genl-3-dev libev-dev
		libseccomp-dev libcap-ng-dev libsystemd-dev libjson-c-dev libmicrohttpd-dev"
	[guest]="qemu-system-x86 qemu-system-common cpio kmod iproute2 procps xz-utils
		gcc-12 pahole libelf1"
	[check]="linux-source-6.12 openssl curl gnutls-bin nginx haproxy hitch stunnel4 python3 python3-yaml
		python3-jsonschema nodejs valgrind binutils systemd redis-server mandoc"
	[packages]="libgnutls28-dev g++ debhelper dh-dkms dkms dpkg-dev fakeroot lintian libelf-dev"
	[peers]="golang-go openjdk-17-jdk-headless libnss3-tools chromium debootstrap"
	[demo]="openssl curl gnutls-bin nginx"
	[bench]="openssl nginx libnginx-mod-stream haproxy hitch stunnel4 gnuplot-nox python3"
	[style]="linux-source-6.12 perl sparse coccinelle"
	[bogo]="golang-go golang-golang-x-crypto-dev dpkg-dev python3"
	[fuzz]="clang libclang-rt-14-dev"
	[debug]="linux-source-6.12 flex bison bc libelf-dev libssl-dev"
)

# Kernels by the version they are asked for with, and the package that follows the newest one.
declare -A KERNELS=(
	[6.1]=linux-image-cloud-amd64
	[6.12]=linux-image-6.12-cloud-amd64
)

die() {
	echo "deps.sh: $*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "must install packages: run as root, or install sudo (wanted: $*)"
	fi
}

updated=no
apt_update() {
	[ $updated = no ] || return 0
	echo "deps: apt-get update"
	# One unreachable third-party source must not end it: what is then missing says so itself.
	as_root apt-get -qq -o DPkg::Lock::Timeout=300 update ||
		echo "deps: apt-get update failed in part; going on with the package lists there are" >&2
	updated=yes
}

missing_of() {
	local name
	for name in "$@"; do
		dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed ||
			echo "$name"
	done
}

# The servers that tests start themselves must not also run as services of this machine.
policy=/usr/sbin/policy-rc.d
hold_services() {
	[ ! -e $policy ] || return 0
	printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
	as_root chmod 755 $policy
	trap 'as_root rm -f $policy' EXIT
}

disable_services() {
	local name
	[ -d /run/systemd/system ] || return 0
	for name in "$@"; do
		case $name in
		nginx|haproxy|hitch|stunnel4|redis-server) as_root systemctl -q disable "$name" || true ;;
		esac
	done
}

install_missing() {
	local -a missing
	mapfile -t missing < <(missing_of "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	apt_update
	echo "deps: installing ${missing[*]}"
	hold_services
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
		-o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" >/dev/null ||
		die "apt-get install failed; wanted: ${missing[*]}"
	disable_services "${missing[@]}"
}

kernel_cached() {
	local release
	release=$(readlink "build/kernels/$1") && [ -e "build/kernels/$release/.complete" ]
}

newest_release() {
	apt-cache depends "$1" 2>/dev/null |
		sed -n 's/^ *Depends: linux-image-\([0-9].*\)$/\1/p' | head -1
}

# The image, the headers, and what those need that is the kernel's own.
kernel_packages() {
	echo "linux-image-$1"
	echo "linux-headers-$1"
	apt-cache depends "linux-headers-$1" |
		sed -nE 's/^ *Depends: (linux-(headers|kbuild)-.*)$/\1/p'
}

# Called in a condition, where `set -e` is off: hence one chain. The headers' Makefile names its
# other half by the absolute path of an installed package.
unpack_kernel() {
	local release=$1 dir=build/kernels/$1 deb
	[ ! -e "$dir/.complete" ] || return 0
	echo "deps: unpacking linux-image-$release and its headers into $dir"
	# shellcheck disable=SC2046
	rm -rf "$dir" && mkdir -p "$dir/debs" &&
		(cd "$dir/debs" && apt-get -qq -o APT::Sandbox::User=root download \
			$(kernel_packages "$release")) &&
		for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$dir" || return 1; done &&
		rm -rf "$dir/debs" "$dir/usr/share" &&
		sed -i 's|^include /usr/src/|include $(dir $(lastword $(MAKEFILE_LIST)))../|' \
			"$dir/usr/src/linux-headers-$release/Makefile" &&
		ln -s "usr/src/linux-headers-$release" "$dir/headers" &&
		PATH=$PATH:/sbin:/usr/sbin depmod -b "$dir" "$release" &&
		touch "$dir/.complete"
}

fetch_kernel() {
	local version=$1 release
	release=$(newest_release "${KERNELS[$version]}")
	if [ -z "$release" ]; then
		apt_update
		release=$(newest_release "${KERNELS[$version]}")
	fi
	[ -n "$release" ] ||
		die "no package ${KERNELS[$version]}: are bookworm and bookworm-security among the apt sources?"
	unpack_kernel "$release" && ln -sfn "$release" "build/kernels/$version"
}

# A mirror drops a release when the next one comes: a stale index is worth one more try.
fetch_kernels() {
	local version
	for version in "${!KERNELS[@]}"; do
		kernel_cached "$version" && continue
		fetch_kernel "$version" && continue
		apt_update
		fetch_kernel "$version" || die "cannot fetch the image of ${KERNELS[$version]}"
	done
}

# Modules that resolve names for a test under build/nss/: installed, they would change nsswitch.conf.
fetch_nss() {
	local dir=build/nss deb
	[ ! -e $dir/.complete ] || return 0
	echo "deps: unpacking libnss-resolve and libnss-myhostname into $dir"
	rm -rf $dir && mkdir -p $dir &&
		(cd $dir && apt-get -qq -o APT::Sandbox::User=root download \
			libnss-resolve libnss-myhostname) &&
		for deb in $dir/*.deb; do dpkg-deb -x "$deb" $dir || return 1; done &&
		rm $dir/*.deb && touch $dir/.complete
}

mkdir -p build
exec 9>build/.deps.lock
flock 9

packages=
for purpose in "${@:-build}"; do
	[ -n "${PACKAGES[$purpose]-}" ] || die "no purpose '$purpose': one of ${!PACKAGES[*]}"
	packages+=" ${PACKAGES[$purpose]}"
done
# shellcheck disable=SC2086
install_missing $(printf '%s\n' $packages | sort -u)
# Where no mirror has it, the tests that want it are skipped and counted.
case " $* " in
*" peers "*)
	selftests/fetch-debian.sh sid &
	selftests/fetch-debian.sh trixie &
	selftests/servers/root.sh &
	;;
esac
case " $* " in
*" check "*) fetch_nss || { apt_update && fetch_nss; } || echo "deps: no modules in build/nss" >&2 ;;
esac
case " $* " in
*" guest "*) fetch_kernels ;;
esac
wait
