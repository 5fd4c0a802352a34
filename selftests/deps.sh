#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs what a purpose needs and is missing: deps.sh [PURPOSE]..., one of those in the table below.
# This is the one list of the packages tlsgate uses. Mirrors come from the machine's own apt
# configuration. Kernel images are unpacked under build/kernels/, never installed: they must not
# touch /boot. A second run finds everything and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
. selftests/apt.sh

# By the names of Debian 13.
declare -A PACKAGES=(
	[build]="gcc libc6-dev make pkg-config libssl-dev libsodium-dev libnl-3-dev libnl-genl-3-dev libev-dev
		libseccomp-dev libcap-ng-dev libsystemd-dev libjson-c-dev libmicrohttpd-dev libc-ares-dev"
	[guest]="qemu-system-x86 qemu-system-common virtiofsd cpio kmod iproute2 procps xz-utils
		gcc-12 pahole libelf1t64"
	[check]="linux-source-6.12 openssl curl gnutls-bin nginx haproxy hitch stunnel4 python3 python3-yaml
		python3-jsonschema zsh fish nodejs valgrind binutils systemd redis-server mandoc libnginx-mod-stream
		ipvsadm postgresql-client systemd-container"
	[kernels]="gcc-12 kmod pahole libelf1t64"
	[rt]="gcc-12 kmod pahole libelf1t64"
	[daemon]="ca-certificates openssl curl python3 iproute2 procps systemd redis-server zsh fish"
	[packages]="libgnutls28-dev g++ debhelper dh-dkms dkms dpkg-dev fakeroot lintian libelf-dev"
	[secure-boot]="ovmf sbsigntool mokutil"
	[peers]="golang-go default-jdk-headless libnss3-tools chromium debootstrap"
	[demo]="openssl curl gnutls-bin nginx"
	[bench]="openssl nginx libnginx-mod-stream haproxy hitch stunnel4 gnuplot-nox python3"
	[style]="linux-source-6.12 perl sparse coccinelle"
	[bogo]="golang-go golang-golang-x-crypto-dev dpkg-dev python3"
	[fuzz]="clang libclang-rt-dev"
	[arm64]="gcc-aarch64-linux-gnu gcc-12-aarch64-linux-gnu qemu-system-arm"
	[s390x]="gcc-s390x-linux-gnu qemu-user"
	[debug]="linux-source-6.12 flex bison bc libelf-dev libssl-dev"
)

# What Debian 12 calls otherwise.
declare -A IN_BOOKWORM=(
	[virtiofsd]=qemu-system-common
	[libelf1t64]=libelf1
)

# The root of a guest of another architecture, beside the libraries of [build], which make it a
# sysroot for cross builds, too.
FOREIGN="base-files base-passwd bash coreutils curl dash debianutils findutils grep hostname iproute2 kmod
	libc-bin libgnutls28-dev mawk mount ncurses-base openssl procps sed util-linux"

# Kernels by the name that run.sh knows them by: purpose, architecture, version, flavour.
declare -A KERNELS=(
	[6.1]="kernels amd64 6.1 cloud-amd64"
	[6.12]="kernels amd64 6.12 cloud-amd64"
	[rt]="rt amd64 6.12 rt-amd64"
	[arm64-6.1]="arm64 arm64 6.1 cloud-arm64"
	[arm64-6.12]="arm64 arm64 6.12 cloud-arm64"
	[arm64-16k]="arm64 arm64 6.12 arm64-16k"
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
		[ "$own_suite" != bookworm ] || name=${IN_BOOKWORM[$name]:-$name}
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
		nginx|haproxy|hitch|stunnel4|redis-server|ipvsadm) as_root systemctl -q disable "$name" || true ;;
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

# depends_of PACKAGE: on which others.
depends_of() {
	apt-cache "${apt_options[@]}" depends "$1" 2>/dev/null | sed -nE 's/^ *\|?Depends: ([^<].*)$/\1/p'
}

# newest_release VERSION FLAVOUR: by the package of that version, or by that of the suite's own kernel.
newest_release() {
	{ depends_of "linux-image-$1-$2"; depends_of "linux-image-$2"; } |
		sed -n "s/^linux-image-\(${1//./\\.}\.[0-9].*\)$/\1/p" | head -n 1
}

# The image, the headers, and what those need that is the kernel's own. Its tools run here.
kernel_packages() {
	printf '%s\n' "linux-image-$1" "linux-headers-$1"
	depends_of "linux-headers-$1" |
		sed -nE "s/^(linux-headers-[^:]*)$/\1/p; s/^(linux-kbuild-[^:]*)$/\1:$own_arch/p"
}

# Called in a condition, where `set -e` is off: hence one chain. The headers' Makefile names its
# other half by the absolute path of an installed package. Debian 13 has everything in usr/.
unpack_kernel() {
	local release=$1 dir=build/kernels/$1 deb
	[ ! -e "$dir/.complete" ] || return 0
	echo "deps: unpacking linux-image-$release and its headers into $dir"
	# shellcheck disable=SC2046
	rm -rf "$dir" && mkdir -p "$dir/debs" &&
		(cd "$dir/debs" && apt-get -qq "${apt_options[@]}" -o APT::Sandbox::User=root download \
			$(kernel_packages "$release")) &&
		for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$dir" || return 1; done &&
		rm -rf "$dir/debs" "$dir/usr/share" &&
		{ [ -e "$dir/lib" ] || ln -s usr/lib "$dir/lib"; } &&
		sed -i 's|^include /usr/src/|include $(dir $(lastword $(MAKEFILE_LIST)))../|' \
			"$dir/usr/src/linux-headers-$release/Makefile" &&
		ln -s "usr/src/linux-headers-$release" "$dir/headers" &&
		PATH=$PATH:/sbin:/usr/sbin depmod -b "$dir" "$release" &&
		touch "$dir/.complete"
}

# fetch_kernel NAME ARCH VERSION FLAVOUR SUITE
fetch_kernel() {
	local release
	use_apt "$5" "$2" || return 1
	release=$(newest_release "$3" "$4")
	[ -n "$release" ] || return 1
	unpack_kernel "$release" && ln -sfn "$release" "build/kernels/$1"
}

# A mirror drops a release when the next one comes: a stale index is worth one more try.
fetch_kernel_anew() {
	use_apt "$5" "$2" || return 1
	if [ ${#apt_options[@]} -eq 0 ]; then apt_update; else update_apt; fi
	fetch_kernel "$@"
}

# fetch_kernels PURPOSE: from this machine's own release of Debian, or from Debian 12, which has the oldest
# kernel that we know. What neither has, its tests say loudly.
fetch_kernels() {
	local name purpose arch version flavour suite
	for name in "${!KERNELS[@]}"; do
		read -r purpose arch version flavour <<< "${KERNELS[$name]}"
		[ "$purpose" = "$1" ] && ! kernel_cached "$name" || continue
		for suite in $(printf '%s\n' "$own_suite" bookworm | uniq); do
			fetch_kernel "$name" "$arch" "$version" "$flavour" "$suite" ||
				fetch_kernel_anew "$name" "$arch" "$version" "$flavour" "$suite" || continue
			continue 2
		done
		echo "deps: no kernel $name: neither $own_suite nor bookworm has a linux-image $version of" \
			"$flavour that this machine's mirrors could give" >&2
	done
	use_apt "$own_suite" "$own_arch"
}

# Packages for ARCH and what they depend on, unpacked under build/root-ARCH: none of their scripts runs.
unpack_root() {
	local arch=$1 dir=build/root-$1 deb name
	local -a names
	# shellcheck disable=SC2086	# a list
	mapfile -t names < <(printf '%s\n' ${PACKAGES[build]} $FOREIGN | grep -vxE 'gcc|make|pkg-config')
	[ "$(cat "$dir/.complete" 2> /dev/null)" != "${names[*]}" ] || return 0
	use_apt "$own_suite" "$arch" || return 1
	echo "deps: unpacking libraries and tools for $arch into $dir"
	rm -rf "$dir" && mkdir -p "$dir"/{debs,dev,mnt,proc,run,sys,tmp} "$dir"/usr/{bin,sbin,lib} &&
		for name in bin sbin lib; do ln -s usr/$name "$dir/$name" || return 1; done &&
		(cd "$dir/debs" && apt-get "${apt_options[@]}" -s --no-install-recommends install "${names[@]}" |
			sed -n 's/^Inst \([^ ]*\) .*/\1/p' | xargs apt-get -qq "${apt_options[@]}" download) &&
		for deb in "$dir"/debs/*.deb; do
			dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --keep-directory-symlink || return 1
		done &&
		cp "$dir/usr/share/base-passwd/passwd.master" "$dir/etc/passwd" &&
		cp "$dir/usr/share/base-passwd/group.master" "$dir/etc/group" &&
		rm -rf "$dir/debs" "$dir"/usr/share/{doc,man,locale} && echo "${names[*]}" > "$dir/.complete"
}

# unpack_packages DIR PACKAGE...: for a test, where installed they would change the machine.
unpack_packages() {
	local dir=$1 deb
	[ ! -e "$dir/.complete" ] || return 0
	echo "deps: unpacking ${*:2} into $dir"
	rm -rf "$dir" && mkdir -p "$dir" &&
		(cd "$dir" && apt-get -qq -o APT::Sandbox::User=root download "${@:2}") &&
		for deb in "$dir"/*.deb; do dpkg-deb -x "$deb" "$dir" || return 1; done &&
		rm "$dir"/*.deb && touch "$dir/.complete"
}

# Modules that resolve names would change nsswitch.conf, Prometheus would run as a service.
fetch_unpacked() {
	unpack_packages build/nss libnss-resolve libnss-myhostname &&
		unpack_packages build/prometheus prometheus
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
	selftests/other-debian.sh fetch &
	;;
esac
case " $* " in
*" check "*|*" daemon "*) fetch_unpacked || { apt_update && fetch_unpacked; } || echo "deps: not all in build/nss and build/prometheus" >&2 ;;
esac
case " $* " in
*" guest "*|*" kernels "*) fetch_kernels kernels ;;
esac
case " $* " in
*" rt "*) fetch_kernels rt ;;
esac
for purpose in arm64 s390x; do
	case " $* " in
	*" $purpose "*)
		fetch_kernels $purpose
		unpack_root $purpose || echo "deps: no root for $purpose in build/root-$purpose" >&2
		;;
	esac
done
wait
