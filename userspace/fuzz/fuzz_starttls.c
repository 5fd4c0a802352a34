// SPDX-License-Identifier: MIT
/*
 * What a peer says before TLS.  The first byte chooses protocol and role.  The rest comes twice, all
 * at once and byte by byte: both ways the answers are the same, but for what is behind the start of TLS.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/starttls/starttls.h"
#include "fuzz.h"

#define OUTPUT_MAX	(1 << 17)

struct outcome {
	enum starttls_result result;
	size_t used, said;
	uint8_t *output;
};

static void collect(struct starttls *talk, struct outcome *outcome)
{
	size_t len;
	const uint8_t *out = starttls_output(talk, &len);

	if (len > OUTPUT_MAX - outcome->said)
		abort();
	memcpy(outcome->output + outcome->said, out, len);
	outcome->said += len;
	starttls_output_done(talk, len);
}

static void check_end(const struct starttls *talk, const struct outcome *outcome)
{
	size_t len;

	if (outcome->result == STARTTLS_BAD && !*starttls_why(talk))
		abort();
	(void)starttls_greeting(talk, &len);
	if (len > 512)
		abort();
}

static void converse(uint8_t choice, const uint8_t *data, size_t size, size_t piece,
		     struct outcome *outcome)
{
	const enum starttls_protocol protocol = choice % 8 % (STARTTLS_PROTOCOLS - 1) + 1;
	enum starttls_role role = choice / 8 % STARTTLS_ROLES;
	struct starttls *talk;
	size_t used;

	if (role == STARTTLS_GREETING && !starttls_server_begins(protocol))
		role = STARTTLS_CLIENT;
	talk = starttls_new(protocol, role, "host.test");
	*outcome = (struct outcome){ .output = malloc(OUTPUT_MAX) };
	if (!talk || !outcome->output)
		abort();
	collect(talk, outcome);
	while (outcome->result == STARTTLS_MORE && outcome->used < size) {
		const size_t left = size - outcome->used;

		outcome->result = starttls_input(talk, data + outcome->used, left < piece ? left : piece, &used);
		if (used > left)
			abort();
		outcome->used += used;
		collect(talk, outcome);
	}
	check_end(talk, outcome);
	starttls_free(talk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, bytes;

	if (!size)
		return 0;
	converse(data[0], data + 1, size - 1, size, &whole);
	converse(data[0], data + 1, size - 1, 1, &bytes);
	if (bytes.result == STARTTLS_DONE && whole.result == STARTTLS_BAD) {
		if (bytes.used >= size - 1)
			abort();
	} else if (whole.result != bytes.result || whole.used != bytes.used || whole.said != bytes.said ||
		   memcmp(whole.output, bytes.output, whole.said)) {
		abort();
	}
	free(whole.output);
	free(bytes.output);
	return 0;
}
