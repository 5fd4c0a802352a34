# SPDX-License-Identifier: MIT
# Programs under the daemon's own system call filters, hence without sanitizers:
# selftests/sandbox/X.c -> build/sandbox/X, linked with the objects that ship and the unit tests'
# helpers.

SANDBOX_HELPERS := $(UT_HELPERS:userspace/%.c=$(BUILD)/obj/%.o)
SANDBOX_PROGS := $(BUILD)/sandbox/calls

$(BUILD)/sandbox/obj/%.o: selftests/sandbox/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(US_CPPFLAGS) $(PKG_CFLAGS) $(US_CFLAGS) $(CFLAGS) -c -o $@ $<

$(SANDBOX_PROGS): $(BUILD)/sandbox/%: $(BUILD)/sandbox/obj/%.o $(SANDBOX_HELPERS) \
		$(filter-out %/main.o,$(call us_obj,obj,daemon)) $(call us_obj,obj,common) \
		$(GATE_LIB) $(ENGINE_LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(US_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS_daemon) $(LIBS_lib) $(LIBS_engine)

.PHONY: sandbox
sandbox: $(SANDBOX_PROGS)

-include $(shell find $(BUILD)/sandbox -name '*.d' 2>/dev/null)
