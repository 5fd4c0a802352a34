// SPDX-License-Identifier: MIT
/* The header Accept of whoever scrapes metrics. */
#include <stdlib.h>
#include <string.h>

#include "daemon/negotiate.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* as libmicrohttpd gives it: a text of its own, with its NUL */
	char *text = strndup((const char *)data, size);
	enum metrics_format format = text ? negotiate(text) : METRICS_PROMETHEUS;

	if (format != METRICS_PROMETHEUS && format != METRICS_OPENMETRICS)
		abort();
	if (format == METRICS_OPENMETRICS && size < strlen("application/openmetrics-text"))
		abort();
	free(text);
	return 0;
}
