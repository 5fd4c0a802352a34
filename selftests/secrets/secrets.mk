# SPDX-License-Identifier: MIT
# Proofs about secrets, for valgrind: selftests/secrets/X.c -> build/secrets/X, linked with the
# engine that ships and the unit tests' helpers. selftests/secrets.sh runs them.

SECRETS_WRAP_poison := tls_kex_respond tls_kex_agree tls_kex_finish EVP_PKEY_decrypt \
	tls_session_read tls_record_set_keys tls_conn_output tls_equal
SECRETS_WRAP_rsa_count := EVP_PKEY_decrypt
SECRETS_HELPERS := $(UT_HELPERS:userspace/%.c=$(BUILD)/obj/%.o)
SECRETS_PROGS := $(patsubst selftests/secrets/%.c,$(BUILD)/secrets/%,\
	$(sort $(wildcard selftests/secrets/*.c)))

$(BUILD)/secrets/%.o: selftests/secrets/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(US_CPPFLAGS) $(PKG_CFLAGS) $(US_CFLAGS) $(CFLAGS) -c -o $@ $<

$(SECRETS_PROGS): $(BUILD)/secrets/%: $(BUILD)/secrets/%.o $(SECRETS_HELPERS) $(ENGINE_LIB) \
		selftests/secrets/secrets.mk
	$(call say,LD,$@)
	$(Q)$(CC) $(US_LDFLAGS) $(SECRETS_WRAP_$*:%=-Wl,--wrap=%) -o $@ \
		$(filter %.o %.a,$^) $(LIBS_engine) -lpthread

.PHONY: secrets
secrets: $(SECRETS_PROGS)

-include $(wildcard $(BUILD)/secrets/*.d)
