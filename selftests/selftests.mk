# SPDX-License-Identifier: MIT
# kselftests: selftests/X.c -> build/selftests/X, run inside guests by selftests/check.sh.

KST_SRC := $(sort $(wildcard selftests/*.c))
KST_PROGS := $(KST_SRC:selftests/%.c=$(BUILD)/selftests/%)
KST_LINUX := $(BUILD)/linux/.stamp
KST_TARBALL := /usr/src/linux-source-6.12.tar.xz

# From the kernel's own tree, never copied into ours.
KST_MEMBERS := tools/testing/selftests/kselftest.h tools/testing/selftests/kselftest_harness.h \
	scripts/checkpatch.pl scripts/spelling.txt scripts/const_structs.checkpatch

.PHONY: kselftests linux-tools
kselftests: $(KST_PROGS) $(BUILD)/vm/init

linux-tools: $(KST_LINUX)

$(KST_LINUX):
	$(call say,UNPACK,$(KST_TARBALL))
	@test -r '$(KST_TARBALL)' || { \
		echo "$(KST_TARBALL) is missing: run selftests/deps.sh check" >&2; exit 1; }
	@mkdir -p $(@D)
	$(Q)tar -C $(@D) --strip-components=1 -xJf '$(KST_TARBALL)' \
		$(addprefix linux-source-6.12/,$(KST_MEMBERS))
	@touch $@

$(BUILD)/selftests/%: selftests/%.c $(KST_LINUX) $(GATE_LIB)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(US_CPPFLAGS) -I$(BUILD)/linux/tools/testing/selftests $(PKG_CFLAGS) \
		-std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers \
		-Wno-sign-compare -MMD -MP $(CFLAGS) -o $@ $< $(GATE_LIB) $(LIBS_lib) $(LIBS_engine) -lpthread

$(BUILD)/vm/init: selftests/vm/init.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=c11 -Wall -Wextra -Werror $(CFLAGS) -static -o $@ $<

-include $(wildcard $(BUILD)/selftests/*.d)
