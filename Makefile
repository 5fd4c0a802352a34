# SPDX-License-Identifier: MIT
# tlsgate: kernel module, handshake daemon, tools, tests. Everything is built under build/.
# `make help` lists the targets.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:

BUILD := build
V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-8s%s\n' '$(1)' '$(2)'
else
Q :=
say = @:
endif

.PHONY: all module userspace demo check check-all style reproducible clean help

all: userspace module

include userspace/userspace.mk
include packaging/packaging.mk
include userspace/fuzz/fuzz.mk
include selftests/selftests.mk
include selftests/bench/bench.mk
include selftests/secrets/secrets.mk
include selftests/sandbox/sandbox.mk

# ---- kernel module -------------------------------------------------------------------------
# The sources are linked into a folder per kernel, so that kbuild leaves nothing in the source
# tree and modules for several kernels stand side by side.

KDIR ?= /lib/modules/$(shell uname -r)/build
KRELEASE = $(shell cut -s -d'"' -f2 '$(KDIR)/include/generated/utsrelease.h' 2>/dev/null)
KOUT = $(CURDIR)/$(BUILD)/kmod/$(KRELEASE)
KARGS ?=
# Debug information names no folder of this machine.
K_MAP = -ffile-prefix-map=$(KOUT)/=
# No date gets into the module. Where one is given, Debian's kernels write type information in a fixed order.
export KBUILD_BUILD_TIMESTAMP ?= 1970-01-01

module:
	$(Q)test -n '$(KRELEASE)' || { \
		echo "make module: no kernel headers in $(KDIR): install linux-headers-$$(uname -r)," \
			"or name some with KDIR=DIR" >&2; exit 1; }
	$(Q)mkdir -p '$(KOUT)'
	$(Q)cp -rsf '$(CURDIR)/Kbuild' '$(CURDIR)/kmod' '$(KOUT)/'
	$(Q)find '$(KOUT)' -xtype l -delete
	$(Q)$(MAKE) -C '$(KDIR)' M='$(KOUT)' KCFLAGS='$(KCFLAGS) $(K_MAP)' $(KARGS) modules || { rm -f '$(KOUT)/tlsgate.ko'; exit 1; }
	$(call say,MODULE,$(KOUT:$(CURDIR)/%=%)/tlsgate.ko)

# ---- what a user runs ----------------------------------------------------------------------

demo:
	$(Q)HOST='$(HOST)' INTERACTIVE='$(INTERACTIVE)' selftests/demo.sh

check:
	$(Q)selftests/check.sh

check-all:
	$(Q)selftests/check.sh --all

style:
	$(Q)selftests/style.sh

reproducible:
	$(Q)selftests/reproducible.sh

clean:
	$(Q)rm -rf '$(BUILD)'

help:
	@echo 'make              userspace programs and the module for the running kernel'
	@echo 'make userspace    build/tlsgated, build/tlsgate and their libraries'
	@echo 'make module       build/kmod/RELEASE/tlsgate.ko; KDIR=DIR for another kernel'"'"'s headers'
	@echo 'make demo         TLS through the kernel in a guest, with real clients, step by step'
	@echo '                  INTERACTIVE=1 leaves it up; HOST=1 uses the running kernel'
	@echo 'make check        every test; ends with one line: N passed, M failed, K skipped'
	@echo 'make check-all    make check, and again in a debug kernel (KASAN, lockdep, kmemleak), built first'
	@echo 'make bench        instructions per byte of tlsgate and its peers, in one guest'
	@echo 'make bench-native handshakes: CPU time of tlsgate and its peers, on this machine'
	@echo '                  (ICOUNT=1: instructions, in a guest: exact on a busy machine, too)'
	@echo 'make bench-profile  the guest'"'"'s instructions by kernel function'
	@echo 'make fuzz SECONDS=N  every fuzz target for so long; TARGETS="a b" for some'
	@echo 'make style        checkpatch --strict, coccinelle, sparse and W=1 over kmod/'
	@echo 'make install      programs, unit, manuals, library and module source below PREFIX=/usr/local;'
	@echo '                  DESTDIR=DIR for packagers; make uninstall removes them'
	@echo 'make dist         build/dist/tlsgate-VERSION.tar.gz, the same bytes from the same commit'
	@echo 'make deb          Debian packages, in build/deb'
	@echo 'make sbom         build/dist/tlsgate-VERSION.spdx.json: what the build has, as SPDX'
	@echo 'make reproducible builds twice, in two folders, and compares the bytes'
	@echo 'make clean        removes build/'
	@echo 'V=1 shows the commands. check and demo install the Debian packages they need.'
