#!/bin/sh
# SPDX-License-Identifier: MIT
# doc-links.sh FOLDER: of the Markdown files in FOLDER, each link to a file that is not there becomes its own
# text. Documents are installed without the sources and manual pages beside which they stand in the tree.
set -eu
cd "$1"
find . -name '*.md' | while read -r file; do
	grep -oE '\]\([^)#:]+[)#]' "$file" | sed 's/^](//; s/.$//' | sort -u | while read -r link; do
		[ -e "$(dirname "$file")/$link" ] || printf 's|\\[\\([^]]*\\)\\](%s\\(#[^)]*\\)\\{0,1\\})|\\1|g\n' "$link"
	done > links.sed
	sed -f links.sed "$file" > links.out
	cat links.out > "$file"
	rm links.sed links.out
done
