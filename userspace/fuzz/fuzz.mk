# SPDX-License-Identifier: MIT
# Fuzz targets: userspace/fuzz/fuzz_X.c -> build/fuzz/X (clang, libFuzzer) and build/fuzz/corpus/X
# (gcc, runs files). What ships is never compiled for this: the engine's objects are, once more,
# and the linker exchanges the functions named here for those of transparent.c.

FUZZ_CC := clang
FUZZ_SANITIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all
FUZZ_LINK := -fsanitize=fuzzer,address,undefined
FUZZ_WRAP := tls_random tls_equal tls_aead_new tls_aead_free tls_aead_seal tls_aead_open \
	tls_groups tls_group_find tls_kex_initiate tls_kex_respond tls_kex_accept \
	tls_kex_agree tls_kex_finish tls_kex_free tls_path_find tls_ocsp_check \
	tls_certificate_check_signature \
	tls_certificate_encrypt tls_certificate_from_der tls_message_end file_read log_error
FUZZ_LDFLAGS := $(US_LDFLAGS) $(FUZZ_WRAP:%=-Wl,--wrap=%)

FUZZ_SRC := $(sort $(wildcard userspace/fuzz/fuzz_*.c))
FUZZ_TARGETS := $(FUZZ_SRC:userspace/fuzz/fuzz_%.c=%)
FUZZ_HELPERS := userspace/fuzz/pair.c userspace/fuzz/message.c userspace/fuzz/transparent.c
# What a target needs beside the engine.
FUZZ_MORE_settings := $(addprefix userspace/daemon/,config.c route.c setting_table.c settings.c \
		settings_check.c together.c unix_listen.c) \
	$(wildcard userspace/daemon/starttls/*.c)
FUZZ_MORE_accept := userspace/daemon/negotiate.c
FUZZ_MORE_starttls := $(wildcard userspace/daemon/starttls/*.c)
FUZZ_MORE_proxy_header := userspace/daemon/proxy_parse.c
FUZZ_MORE_explain := userspace/ctl/handshake_decode.c

fuzz_obj = $(patsubst userspace/%.c,$(BUILD)/$(1)/%.o,$(2))

$(BUILD)/clang/%.o: userspace/%.c
	$(call say,CLANG,$<)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(US_CPPFLAGS) $(PKG_CFLAGS) $(US_CFLAGS) $(FUZZ_SANITIZE) -c -o $@ $<

$(foreach dir,engine common,$(eval \
	$(call us_archive,$(BUILD)/clang/lib$(dir).a,$(call us_obj,clang,$(dir)))))

# fuzz_program PROGRAM OBJECT-FOLDER TARGET FURTHER-SOURCES LINK-COMMAND
define fuzz_program
$(1): $(call fuzz_obj,$(2),userspace/fuzz/fuzz_$(3).c $(FUZZ_HELPERS) $(4) \
		$(FUZZ_MORE_$(3))) \
		$(BUILD)/$(2)/libcommon.a $(BUILD)/$(2)/libengine.a userspace/fuzz/fuzz.mk
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$(5) $$(FUZZ_LDFLAGS) -o $$@ $$(filter %.o %.a,$$^) $$(LIBS_engine)
endef
$(foreach t,$(FUZZ_TARGETS),\
	$(eval $(call fuzz_program,$(BUILD)/fuzz/$(t),clang,$(t),,\
		$$(FUZZ_CC) $$(FUZZ_LINK))) \
	$(eval $(call fuzz_program,$(BUILD)/fuzz/corpus/$(t),asan,$(t),userspace/fuzz/main.c,\
		$$(CC) $$(SANITIZE))))

# Writes the seeds that the engine makes itself anew: after a change of what it sends.
$(BUILD)/fuzz/seeds: $(call fuzz_obj,asan,userspace/fuzz/seeds.c $(FUZZ_HELPERS)) \
		$(BUILD)/asan/libengine.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) $(FUZZ_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS_engine)

fuzz-seeds: $(BUILD)/fuzz/seeds
	$(Q)mkdir -p $(FUZZ_TARGETS:%=userspace/fuzz/corpus/%)
	$(Q)$(BUILD)/fuzz/seeds userspace/fuzz/corpus

# Not by the environment: SECONDS is bash's own.
fuzz:
	$(Q)selftests/fuzz.sh run '$(SECONDS)' $(TARGETS)

.PHONY: fuzz fuzz-targets fuzz-corpus fuzz-seeds
fuzz-targets: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%)
fuzz-corpus: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/corpus/%)

-include $(shell find $(BUILD)/clang -name '*.d' 2>/dev/null)
