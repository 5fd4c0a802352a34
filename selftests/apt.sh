# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# apt for another release of Debian or another architecture than this machine's, from the mirrors of
# its own apt configuration. Package lists are kept under build/apt/: the machine's own stay as they
# are. To be sourced, in the tree's folder.

own_suite=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
own_arch=$(dpkg --print-architecture)

# mirror: where this machine's apt has Debian itself from.
mirror() {
	apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI) $(COMPONENT)' \
		'Created-By: Packages' |
		sed -nE 's|^Debian Debian ([^ ]+) main$|\1|p' | sort -u | head -n 1
}

# suite_sources SUITE [OPTIONS]: the lines of a sources.list for SUITE, its updates and its security
# fixes.
suite_sources() {
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' \
		'Created-By: Packages' |
		sed -nE "s|^([^ ]+) $own_suite([^ ]*) main Debian$|deb ${2:+[$2] }\1 $1\2 main|p" | sort -u
}

# What apt-get and apt-cache are called with, after use_apt.
apt_options=()

# use_apt SUITE ARCH: from now on SUITE's packages for ARCH, and this machine's own as NAME:ARCH.
# Fails where no mirror has them.
use_apt() {
	local dir=$PWD/build/apt/$1-$2 keys=/usr/share/keyrings/debian-archive-keyring.gpg
	apt_options=()
	[ "$1 $2" != "$own_suite $own_arch" ] || return 0
	apt_options=(-o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=-
		-o Dir::State="$dir" -o Dir::State::status="$dir/status" -o Dir::Cache="$dir/cache"
		-o APT::Architecture="$2" -o APT::Architectures="$2,$own_arch"
		-o APT::Sandbox::User=root -o Acquire::Languages=none)
	[ ! -e "$dir/.complete" ] || return 0
	mkdir -p "$dir"/{lists,cache/archives}/partial
	: > "$dir/status"
	suite_sources "$1" "arch=$2,$own_arch signed-by=$keys" > "$dir/sources.list"
	[ -s "$dir/sources.list" ] && update_apt && touch "$dir/.complete"
}

# The lists that use_apt chose.
update_apt() {
	apt-get -qq "${apt_options[@]}" -o APT::Update::Error-Mode=any update
}
