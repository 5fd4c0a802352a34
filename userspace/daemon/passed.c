// SPDX-License-Identifier: MIT
#include "daemon/passed.h"

#include <stdlib.h>
#include <systemd/sd-daemon.h>

#define BATCH	128	/* of SCM_MAX_FD, what one message may carry */

void passed_read(void (*take)(void *arg, int fd, const char *name), void *arg)
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(1, &names), i;

	for (i = 0; i < count; i++) {
		take(arg, SD_LISTEN_FDS_START + i, names[i]);
		free(names[i]);
	}
	free(names);
}

static void keep(const int *fds, size_t count)
{
	if (count)
		(void)sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" PASSED_LISTENER, fds,
					     (unsigned int)count);
}

void passed_keep(const struct listeners *listeners)
{
	const struct listener *listener;
	int batch[BATCH];
	size_t count = 0, i;

	(void)sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" PASSED_LISTENER);
	for (listener = listeners->first; listener; listener = listener->next) {
		for (i = 0; !listener->activated && i < listener->served; i++) {
			batch[count++] = listener->fds[i];
			if (count < BATCH)
				continue;
			keep(batch, count);
			count = 0;
		}
	}
	keep(batch, count);
}
