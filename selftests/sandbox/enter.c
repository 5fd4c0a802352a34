// SPDX-License-Identifier: MIT
#include "enter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/log.h"
#include "daemon/filter.h"
#include "engine/crypto/crypto.h"

static enum filter_role role(void)
{
	static const char *const names[] = { "worker", "keyd", "answerer" };
	const char *name = getenv("SANDBOX_ROLE");
	size_t i;

	for (i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], name))
			return (enum filter_role)i;
	fprintf(stderr, "SANDBOX_ROLE must be worker, keyd or answerer\n");
	exit(2);
}

void sandbox_enter(void)
{
	enum filter_role mine = role();

	log_init("sandbox", false);
	if (tls_crypto_init() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    (mine == FILTER_ANSWERER && filter_load(FILTER_KEYD, false)) ||
	    filter_load(mine, false))
		exit(2);
}
