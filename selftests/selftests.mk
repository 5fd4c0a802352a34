# SPDX-License-Identifier: MIT
# kselftests: selftests/kmod/X.c -> build/selftests/X, run inside guests by selftests/check.sh;
# selftests/native/X.c -> build/selftests/native/X, run on the build machine. Each is one program,
# linked with selftests/lib/.

KST_SRC := $(sort $(wildcard selftests/kmod/*.c))
KST_PROGS := $(KST_SRC:selftests/kmod/%.c=$(BUILD)/selftests/%)
KST_NATIVE := $(patsubst selftests/%.c,$(BUILD)/selftests/%,$(sort $(wildcard selftests/native/*.c)))
KST_LINUX := $(BUILD)/linux/.stamp
KST_TARBALL := /usr/src/linux-source-6.12.tar.xz

# From the kernel's own tree, never copied into ours.
KST_MEMBERS := tools/testing/selftests/kselftest.h tools/testing/selftests/kselftest_harness.h \
	scripts/checkpatch.pl scripts/spelling.txt scripts/const_structs.checkpatch \
	scripts/coccinelle \
	Documentation/netlink/genetlink-c.yaml tools/net/ynl/lib

.PHONY: kselftests linux-tools
kselftests: $(KST_PROGS) $(KST_NATIVE) $(BUILD)/vm/init

linux-tools: $(KST_LINUX)

# Unpacked again when the list of members changes.
$(KST_LINUX): selftests/selftests.mk
	$(call say,UNPACK,$(KST_TARBALL))
	@test -r '$(KST_TARBALL)' || { \
		echo "$(KST_TARBALL) is missing: run selftests/deps.sh check" >&2; exit 1; }
	@mkdir -p $(@D)
	$(Q)tar -C $(@D) --strip-components=1 -xJf '$(KST_TARBALL)' \
		$(addprefix linux-source-6.12/,$(KST_MEMBERS))
	@touch $@

KST_CFLAGS := -std=gnu11 $(US_WARN) -Wno-unused-parameter -Wno-missing-field-initializers \
	-Wno-sign-compare -Wno-clobbered -MMD -MP
KST_CPPFLAGS := $(US_CPPFLAGS) -Iselftests -I$(BUILD)/linux/tools/testing/selftests
KST_LIB := $(BUILD)/selftests/lib.a

$(BUILD)/selftests/obj/%.o: selftests/%.c $(KST_LINUX)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(KST_CPPFLAGS) $(PKG_CFLAGS) $(KST_CFLAGS) $(CFLAGS) -c -o $@ $<

$(eval $(call us_archive,$(KST_LIB),\
	$(patsubst selftests/%.c,$(BUILD)/selftests/obj/%.o,$(sort $(wildcard selftests/lib/*.c)))))

$(KST_PROGS): $(BUILD)/selftests/%: $(BUILD)/selftests/obj/kmod/%.o $(KST_LIB) $(GATE_LIB)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(LIBS_lib) $(KST_LIBS) $(LIBS_engine) -lpthread

# Whose handshake is OpenSSL's.
$(BUILD)/selftests/deliver_example: KST_LIBS := -lssl

# Whose handshake is GnuTLS's.
$(BUILD)/selftests/gnutls_example: KST_LIBS := -lgnutls

# Its TLS peer's handshake is the engine's, and the daemon is run.
$(BUILD)/selftests/after_handshake: $(ENGINE_LIB) $(BUILD)/tlsgated
# The tool is run.
$(BUILD)/selftests/control: $(BUILD)/tlsgate

$(KST_NATIVE): $(BUILD)/selftests/%: $(BUILD)/selftests/obj/%.o $(KST_LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(LIBS_lib) -lssl $(LIBS_engine) -lpthread

$(BUILD)/vm/init: selftests/vm/init.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=c11 $(US_WARN) $(CFLAGS) -static -o $@ $<

# ---- peers for interop.sh, in their own languages; without the compiler they are left out ------

INTEROP := $(BUILD)/selftests/interop

.PHONY: interop-peers
interop-peers: $(if $(shell command -v go),$(INTEROP)/peer) \
	$(if $(shell command -v javac),$(INTEROP)/Peer.class)

$(INTEROP)/peer: selftests/interop/peer.go
	$(call say,GO,$@)
	@mkdir -p $(@D)
	$(Q)GO111MODULE=off GOCACHE='$(abspath $(INTEROP))/gocache' go build -o $@ $<

$(INTEROP)/Peer.class: selftests/interop/Peer.java
	$(call say,JAVAC,$@)
	@mkdir -p $(@D)
	$(Q)javac -d $(@D) $<
	@touch $@

# ---- BoringSSL's test runner: the shim it drives is linked with the sanitized engine ----------

BOGO_SHIM := $(BUILD)/selftests/bogo-shim
BOGO_OBJ := $(patsubst selftests/%.c,$(BUILD)/selftests/asan/%.o,$(sort $(wildcard selftests/bogo/*.c)))

$(BUILD)/selftests/asan/%.o: selftests/%.c
	$(call say,CC,$< (sanitized))
	@mkdir -p $(@D)
	$(Q)$(CC) $(US_CPPFLAGS) $(PKG_CFLAGS) $(US_CFLAGS) $(SANITIZE) -c -o $@ $<

BOGO_WRAPPED := tls_path_find tls_ocsp_check tls_ocsp_demanded tls_trust_put_names malloc calloc realloc reallocarray

$(BOGO_SHIM): $(BOGO_OBJ) $(BUILD)/asan/libengine.a
	$(call say,LD,$@)
	$(Q)$(CC) $(US_LDFLAGS) $(SANITIZE) $(BOGO_WRAPPED:%=-Wl,--wrap=%) -o $@ $(filter %.o %.a,$^) \
		$(LIBS_engine)

.PHONY: bogo-shim check-bogo
bogo-shim: $(BOGO_SHIM)

check-bogo:
	$(Q)selftests/bogo.sh; first=$$?; selftests/bogo.sh --sid && exit $$first

-include $(shell find $(BUILD)/selftests -name '*.d' 2>/dev/null)
