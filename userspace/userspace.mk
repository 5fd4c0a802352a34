# SPDX-License-Identifier: MIT
# Userspace: libtlsengine.a, libtlsgate.a, tlsgated, tlsgate, and the unit tests under ASan+UBSan.
# Sources are picked up by wildcard, one folder per component, with its folders.

# Packagers' variables, from the environment or the command line. What make sets by itself is nobody's wish.
ifeq ($(origin CC),default)
CC = $(CROSS_COMPILE)gcc
endif
ifeq ($(origin AR),default)
AR = $(CROSS_COMPILE)ar
endif
PKG_CONFIG ?= $(CROSS_COMPILE)pkg-config
CFLAGS ?= -O2 -g
# WERROR=1 where we test: a warning that only a newer compiler knows stops nobody's build.
WERROR ?= 0

US_DIRS := engine lib common daemon ctl
US_CPPFLAGS := -D_GNU_SOURCE -Iuserspace -Iuserspace/engine -Iuserspace/lib -Iuserspace/common -Ikmod/uapi
US_WARN := -Wall -Wextra $(if $(filter-out 0,$(WERROR)),-Werror)
# Debug information names no folder of this machine.
US_MAP := -ffile-prefix-map=$(CURDIR)=.
US_CFLAGS := -std=c11 $(US_WARN) $(US_MAP) -fstack-protector-strong -fPIE -MMD -MP
US_LDFLAGS := -pie -Wl,-z,relro,-z,now
SANITIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

US_PKGS := libcrypto libsodium libnl-3.0 libnl-genl-3.0 libseccomp libcap-ng libsystemd json-c libmicrohttpd libcares

# Asked once, and only when something is compiled: `make help` needs no library.
us_pkg = $(eval us_pkg_$(1) := $(shell $(PKG_CONFIG) --$(1) $(2)))$(if $(filter 0,$(.SHELLSTATUS)),,\
	$(error libraries are missing: run selftests/deps.sh build))$(us_pkg_$(1))
PKG_CFLAGS = $(eval PKG_CFLAGS := $(call us_pkg,cflags,$(US_PKGS)))$(PKG_CFLAGS)

pkg_libs = $(shell $(PKG_CONFIG) --libs $(1))
LIBS_engine = $(call pkg_libs,libcrypto libsodium)
LIBS_lib = $(call pkg_libs,libnl-genl-3.0 libnl-3.0)
LIBS_common = $(call pkg_libs,json-c)
LIBS_daemon = $(call pkg_libs,libseccomp libcap-ng libsystemd json-c libcares) -lev -lm
LIBS_ctl = $(call pkg_libs,json-c)

us_src = $(sort $(wildcard userspace/$(1)/*.c userspace/$(1)/*/*.c))
us_obj = $(patsubst userspace/%.c,$(BUILD)/$(1)/%.o,$(call us_src,$(2)))

ENGINE_LIB := $(BUILD)/libtlsengine.a
GATE_LIB := $(BUILD)/libtlsgate.a

# ---- objects: build/obj for what ships, build/asan for what is tested ------------------------

$(BUILD)/obj/%.o: userspace/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(US_CPPFLAGS) $(PKG_CFLAGS) $(US_CFLAGS) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/asan/%.o: userspace/%.c
	$(call say,CC,$< (sanitized))
	@mkdir -p $(@D)
	$(Q)$(CC) $(US_CPPFLAGS) $(PKG_CFLAGS) $(US_CFLAGS) $(SANITIZE) -c -o $@ $<

# ---- libraries -------------------------------------------------------------------------------
# Rebuilt from nothing, so that the object of a deleted source does not live on in the archive.
# By q, not r: objects of two folders may have one name.

define us_archive
$(1): $(2)
	$$(call say,AR,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) qcs $$@ $$(filter %.o,$$^)
endef
$(eval $(call us_archive,$(ENGINE_LIB),$(call us_obj,obj,engine)))
$(eval $(call us_archive,$(GATE_LIB),$(call us_obj,obj,lib)))
$(foreach dir,engine lib common,$(eval \
	$(call us_archive,$(BUILD)/asan/lib$(dir).a,$(call us_obj,asan,$(dir)))))

# ---- programs --------------------------------------------------------------------------------

$(BUILD)/tlsgated: $(call us_obj,obj,daemon) $(call us_obj,obj,common) $(GATE_LIB) $(ENGINE_LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(US_LDFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS_daemon) $(LIBS_lib) $(LIBS_engine)

$(BUILD)/tlsgate: $(call us_obj,obj,ctl) $(call us_obj,obj,common) $(GATE_LIB) $(ENGINE_LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(US_LDFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS_ctl) $(LIBS_lib) $(LIBS_engine)

# A component without a source yet is left out.
US_PROGS := $(if $(call us_src,daemon),$(BUILD)/tlsgated) $(if $(call us_src,ctl),$(BUILD)/tlsgate)

userspace: $(ENGINE_LIB) $(GATE_LIB) $(US_PROGS)

# ---- completion: a script for each shell and program, which asks the program -------------------

COMPLETION := $(foreach prog,tlsgate tlsgated,$(BUILD)/completion/bash/$(prog) \
	$(BUILD)/completion/fish/$(prog).fish) $(BUILD)/completion/zsh/_tlsgate

.PHONY: completion
completion: $(COMPLETION)
userspace: completion

$(BUILD)/completion/bash/%: packaging/completion/bash
	@mkdir -p $(@D)
	$(Q)sed 's/PROGRAM/$*/g' $< >$@

$(BUILD)/completion/fish/%.fish: packaging/completion/fish
	@mkdir -p $(@D)
	$(Q)sed 's/PROGRAM/$*/g' $< >$@

$(BUILD)/completion/zsh/_tlsgate: packaging/completion/zsh
	@mkdir -p $(@D)
	$(Q)cp $< $@

# ---- unit tests: userspace/tests/test_X.c is a program, every other .c there is linked to all --
# test_common_* also see common/, test_lib_* also see lib/, test_daemon_* and test_ctl_* their
# folder without its main.c.

UT_SRC := $(sort $(wildcard userspace/tests/test_*.c))
UT_HELPERS := $(filter-out $(UT_SRC),$(call us_src,tests))
UT_PROGS := $(UT_SRC:userspace/tests/%.c=$(BUILD)/tests/%)

us_no_main = $(filter-out %/main.o,$(call us_obj,asan,$(1)))
UT_LIBS_daemon = $(call us_no_main,daemon) $(BUILD)/asan/libcommon.a $(BUILD)/asan/liblib.a
UT_LIBS_ctl = $(call us_no_main,ctl) $(BUILD)/asan/libcommon.a $(BUILD)/asan/liblib.a
UT_LIBS_common = $(BUILD)/asan/libcommon.a $(BUILD)/asan/liblib.a
UT_LIBS_lib = $(BUILD)/asan/liblib.a
ut_component = $(word 2,$(subst _, ,$(notdir $(1))))

define ut_program
$(1): $(1:$(BUILD)/%=$(BUILD)/asan/%).o $(UT_HELPERS:userspace/%.c=$(BUILD)/asan/%.o) \
		$(UT_LIBS_$(call ut_component,$(1))) $(BUILD)/asan/libengine.a
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(US_LDFLAGS) $$(SANITIZE) -o $$@ $$(filter %.o %.a,$$^) \
		$$(if $$(UT_LIBS_$(call ut_component,$(1))),$$(LIBS_$(call ut_component,$(1))) $$(LIBS_lib)) \
		$$(LIBS_engine) -lpthread
endef
$(foreach prog,$(UT_PROGS),$(eval $(call ut_program,$(prog))))

.PHONY: unit-tests
unit-tests: $(UT_PROGS)

-include $(shell find $(BUILD)/obj $(BUILD)/asan -name '*.d' 2>/dev/null)
