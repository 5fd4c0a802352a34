# SPDX-License-Identifier: MIT
# What runs under the daemon's own system call filters, hence without sanitizers, built from the
# objects that ship: build/sandbox/X for a program selftests/sandbox/X.c, test_X for a unit test,
# corpus_X for a fuzz target's corpus. selftests/sandbox.sh runs them.

SANDBOX_UNITS := alerts_flight alerts_hello client_auth crypto handshake key_share mutations ocsp \
	record resumption states
SANDBOX_TARGETS := $(filter-out settings accept explain,$(FUZZ_TARGETS))
SANDBOX_OWN := $(BUILD)/sandbox/calls $(BUILD)/sandbox/zoo
SANDBOX_TESTS := $(SANDBOX_UNITS:%=$(BUILD)/sandbox/test_%)
SANDBOX_CORPORA := $(SANDBOX_TARGETS:%=$(BUILD)/sandbox/corpus_%)

comma := ,
SANDBOX_FILTER := $(BUILD)/sandbox/obj/enter.o $(BUILD)/obj/daemon/filter.o \
	$(call us_obj,obj,common) $(ENGINE_LIB)
# Two that only the target settings takes the place of stay as they are.
SANDBOX_WRAP := $(addprefix -Wl$(comma)--wrap=,$(filter-out file_read log_error,$(FUZZ_WRAP)))
SANDBOX_HELPERS := $(UT_HELPERS:userspace/%.c=$(BUILD)/obj/%.o)

$(BUILD)/sandbox/obj/%.o: selftests/sandbox/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(US_CPPFLAGS) $(PKG_CFLAGS) $(US_CFLAGS) $(CFLAGS) -c -o $@ $<

define sandbox_link
	$(call say,LD,$@)
	$(Q)$(CC) $(US_LDFLAGS) $(1) -o $@ $(filter %.o %.a,$^) $(call pkg_libs,libseccomp) $(LIBS_engine)
endef

$(SANDBOX_OWN): $(BUILD)/sandbox/%: $(BUILD)/sandbox/obj/%.o $(SANDBOX_HELPERS) $(SANDBOX_FILTER)
	$(call sandbox_link)

$(SANDBOX_TESTS): $(BUILD)/sandbox/test_%: $(BUILD)/obj/tests/test_%.o $(SANDBOX_HELPERS) \
		$(BUILD)/sandbox/obj/constructor.o $(SANDBOX_FILTER)
	$(call sandbox_link)

$(SANDBOX_CORPORA): $(BUILD)/sandbox/corpus_%: $(BUILD)/obj/fuzz/fuzz_%.o \
		$(FUZZ_HELPERS:userspace/%.c=$(BUILD)/obj/%.o) $(BUILD)/sandbox/obj/corpus.o \
		$(SANDBOX_FILTER)
	$(call sandbox_link,$(SANDBOX_WRAP))
$(foreach t,$(SANDBOX_TARGETS),$(if $(FUZZ_MORE_$(t)),$(eval \
	$(BUILD)/sandbox/corpus_$(t): $(call fuzz_obj,obj,$(FUZZ_MORE_$(t))))))

.PHONY: sandbox sandbox-names
sandbox: $(SANDBOX_OWN) $(SANDBOX_TESTS) $(SANDBOX_CORPORA)

# What sandbox.sh is to run: the folder may hold older programs.
sandbox-names:
	@echo $(SANDBOX_TESTS) $(SANDBOX_CORPORA)

-include $(shell find $(BUILD)/sandbox -name '*.d' 2>/dev/null)
