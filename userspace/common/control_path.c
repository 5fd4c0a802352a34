// SPDX-License-Identifier: MIT
#include "common/control_path.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define FOLDER	"/run/tlsgate"

char *control_default_path(void)
{
	const char *folder = getenv("RUNTIME_DIRECTORY");

	if (!folder || !*folder)
		folder = FOLDER;
	/* the first of several, which have ':' between */
	return xprintf("%.*s/control", (int)strcspn(folder, ":"), folder);
}
