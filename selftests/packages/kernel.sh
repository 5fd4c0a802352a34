# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Kernels of build/kernels, in the places where DKMS looks for their headers. To be sourced, in a root
# that is thrown away.

# place_headers FOLDER
place_headers() {
	local path
	for path in "$1"/usr/src/* "$1"/usr/lib/linux-kbuild-*; do
		ln -sfn "$(realpath "$path")" "${path#"$1"}" || return 1
	done
}
