// SPDX-License-Identifier: MIT
/* The daemon's configuration file, by its own reader; the linker has it read the input. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "daemon/config.h"
#include "fuzz.h"

static struct tls_slice file;
static unsigned int complaints;

extern __typeof__(file_read) __wrap_file_read;
char *__wrap_file_read(const char *path, size_t max, size_t *len)
{
	char *text = file.len <= max ? malloc(file.len + 1) : NULL;

	(void)path;
	if (!text)
		return NULL;
	memcpy(text, file.p, file.len);
	text[file.len] = '\0';
	*len = file.len;
	return text;
}

extern __typeof__(log_error) __wrap_log_error;
void __wrap_log_error(const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	complaints++;
	if (getenv("FUZZ_VERBOSE"))
		fprintf(stderr, "%s\n", line);
}

static void check_gates(const struct settings *settings)
{
	if (!settings->gate_count || settings->gate_count > SETTINGS_MAX_GATES ||
	    settings->workers > SETTINGS_MAX_WORKERS)
		abort();
	for (size_t i = 0; i < settings->gate_count; i++) {
		if (gate_settings_check(&settings->gates[i]))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings *settings = NULL;
	enum config_result result;

	file = (struct tls_slice){ data, size };
	complaints = 0;
	result = config_read("fuzz.conf", &settings);
	/* refused with a line that says why, or taken without a word */
	if ((result == CONFIG_OK) != !!settings || (result == CONFIG_OK) != !complaints)
		abort();
	if (settings)
		check_gates(settings);
	settings_free(settings);
	return 0;
}
