// SPDX-License-Identifier: MIT
#include "daemon/passed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/mem.h"

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
		/* who starts next makes those of UNIX anew, since their files go with this daemon */
		if (listener->activated || unix_listen_is(&listener->addr))
			continue;
		for (i = 0; i < listener->served; i++) {
			batch[count++] = listener->fds[i];
			if (count < BATCH)
				continue;
			keep(batch, count);
			count = 0;
		}
	}
	keep(batch, count);
}

void passing_add(struct passing *passing, int fd, const char *name)
{
	passing->fds = xrealloc(passing->fds, passing->count + 1, sizeof(*passing->fds));
	passing->names = xrealloc(passing->names, passing->count + 1, sizeof(*passing->names));
	passing->fds[passing->count] = fd;
	passing->names[passing->count++] = name;
}

static char *join(const struct passing *passing)
{
	size_t len = 0, i;
	char *text, *end;

	for (i = 0; i < passing->count; i++)
		len += strlen(passing->names[i]) + 1;
	text = end = xcalloc(len + 1, 1);
	for (i = 0; i < passing->count; i++)
		end = stpcpy(stpcpy(end, i ? ":" : ""), passing->names[i]);
	return text;
}

static int set_number(const char *name, unsigned long number)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", number);
	return setenv(name, text, 1);
}

/* Descriptors from SD_LISTEN_FDS_START on, without a hole.  0 or -1. */
static int arrange(const struct passing *passing)
{
	const int start = SD_LISTEN_FDS_START, end = start + (int)passing->count;
	size_t i;

	/* none may lie where another is to come */
	for (i = 0; i < passing->count; i++) {
		passing->fds[i] = fcntl(passing->fds[i], F_DUPFD_CLOEXEC, end);
		if (passing->fds[i] < 0)
			return -1;
	}
	for (i = 0; i < passing->count; i++)
		if (dup2(passing->fds[i], start + (int)i) < 0)
			return -1;
	return close_range((unsigned int)end, ~0u, CLOSE_RANGE_CLOEXEC);
}

void passing_exec(const struct passing *passing, char **argv)
{
	if (arrange(passing) || setenv("LISTEN_FDNAMES", join(passing), 1) ||
	    set_number("LISTEN_FDS", passing->count) ||
	    set_number("LISTEN_PID", (unsigned long)getpid()))
		return;
	(void)execvp(argv[0], argv);
}
