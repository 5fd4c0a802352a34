// SPDX-License-Identifier: MIT
/* daemon/negotiate: the format that a scraper asks for. */
#include "daemon/negotiate.h"
#include "tests/tap.h"

static const struct {
	const char *accept;
	enum metrics_format want;
} rows[] = {
	{ NULL, METRICS_PROMETHEUS },
	{ "", METRICS_PROMETHEUS },
	{ "*/*", METRICS_PROMETHEUS },
	{ "text/html", METRICS_PROMETHEUS },
	{ "application/openmetrics-text", METRICS_OPENMETRICS },
	{ "Application/OpenMetrics-Text ; Version=1.0.0", METRICS_OPENMETRICS },
	/* Prometheus 2 and 3 */
	{ "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
	  "text/plain;version=0.0.4;q=0.3,*/*;q=0.2", METRICS_OPENMETRICS },
	{ "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
	  "text/plain;version=0.0.4;q=0.3,*/*;q=0.1", METRICS_OPENMETRICS },
	{ "text/plain;version=0.0.4;q=0.5, application/openmetrics-text;version=1.0.0;q=0.3", METRICS_PROMETHEUS },
	{ "application/openmetrics-text;version=0.0.1", METRICS_PROMETHEUS },
	{ "application/openmetrics-text;q=0", METRICS_PROMETHEUS },
	{ "application/openmetrics-text;q=0.0001", METRICS_PROMETHEUS },
	{ "application/openmetrics-text;q=many", METRICS_PROMETHEUS },
	{ "application/openmetrics-text;q=-1", METRICS_PROMETHEUS },
	{ "application/openmetrics-text;q=nan", METRICS_PROMETHEUS },
	{ "application/openmetrics-text;;; ,,", METRICS_OPENMETRICS },
	{ ",;=,q=1", METRICS_PROMETHEUS },
};

int main(void)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tap_equal(negotiate(rows[i].accept), rows[i].want, "Accept: %s", rows[i].accept ? rows[i].accept : "(none)");
	return tap_done();
}
