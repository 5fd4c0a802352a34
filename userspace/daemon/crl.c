// SPDX-License-Identifier: MIT
#include "daemon/crl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"

#define MAX_CRL_FILE	(64u << 20)

static void warn_expired(struct gate *gate, size_t index)
{
	const char *consequence = gate->settings->crl_expired == CRL_EXPIRED_WARN ?
				  "crl-expired = warn: whom it covers is taken" :
				  "whom it covers is refused";
	char why[SETTINGS_WHY_MAX], text[GATE_DATE_MAX];

	snprintf(why, sizeof(why), "it has expired on %s (%s): get a new one and reload",
		 gate_date(gate->crl_until[index], text), consequence);
	gate_warn(gate->settings, "crl", gate->settings->crls.items[index], why);
}

void crl_refresh(struct gate *gate, int64_t now)
{
	size_t i;

	for (i = 0; i < gate->settings->crls.count; i++) {
		if (!gate->crl_until[i] || gate->crl_until[i] > now)
			continue;
		warn_expired(gate, i);
		gate->crl_until[i] = 0;
	}
}

static int load(struct gate *gate, size_t index)
{
	const char *path = gate->settings->crls.items[index];
	const char *why = "out of memory";
	size_t len;
	char *data;
	int ret;

	data = file_read(path, MAX_CRL_FILE, &len);
	if (!data)
		return gate_refuse(gate->settings, "crl", path, file_strerror(errno));
	ret = tls_config_add_crl(gate->config, data, len, &gate->crl_until[index], &why);
	free(data);
	return ret ? gate_refuse(gate->settings, "crl", path, why) : 0;
}

int crl_load(struct gate *gate, int64_t now)
{
	const struct gate_settings *set = gate->settings;
	int ret = 0;
	size_t i;

	gate->crl_until = xcalloc(set->crls.count, sizeof(*gate->crl_until));
	if (set->crls.count && set->mode == GATE_SERVE && !set->client_ca)
		return gate_refuse(set, "crl", NULL,
				   "it needs client-ca: without, no client is asked for a certificate");
	for (i = 0; i < set->crls.count; i++)
		ret |= load(gate, i);
	if (set->crl_expired == CRL_EXPIRED_WARN)
		tls_config_take_expired_crls(gate->config);
	crl_refresh(gate, now);
	return ret;
}
