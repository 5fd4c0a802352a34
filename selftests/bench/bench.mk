# SPDX-License-Identifier: MIT
# What `make bench`, `bench-native` and `bench-profile` run: programs, and count.so, a plugin for
# QEMU itself.

BENCH_PROGS := $(addprefix $(BUILD)/bench/,client backend splice sockets growth aead handshake)
BENCH_CFLAGS := -std=gnu11 $(US_WARN) -Wno-missing-field-initializers

.PHONY: bench bench-native bench-profile bench-programs
bench-programs: $(BENCH_PROGS) $(BUILD)/bench/count.so

$(BENCH_PROGS): $(BUILD)/bench/%: selftests/bench/%.c selftests/bench/busy.c selftests/bench/busy.h \
	selftests/bench/pair.c selftests/bench/pair.h \
	$(GATE_LIB) $(ENGINE_LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(US_CPPFLAGS) $(PKG_CFLAGS) $(BENCH_CFLAGS) $(CFLAGS) -o $@ $(filter %.c %.a,$^) \
		$(LIBS_lib) -lssl $(LIBS_engine)

$(BUILD)/bench/count.so: selftests/bench/count.c
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BENCH_CFLAGS) $(CFLAGS) -fPIC -shared -o $@ $<

bench:
	$(Q)KERNEL='$(KERNEL)' BULK='$(BULK)' TIMES='$(TIMES)' ROWS='$(ROWS)' SUBJECTS='$(SUBJECTS)' \
		selftests/bench.sh

bench-native:
	$(Q)selftests/bench/native.sh

bench-profile:
	$(Q)KERNEL='$(KERNEL)' BULK='$(BULK)' TIMES='$(TIMES)' ROWS='$(ROWS)' SUBJECTS='$(SUBJECTS)' \
		selftests/bench/profile.sh
