// SPDX-License-Identifier: MIT
#include "daemon/check.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/log.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/logd.h"
#include "daemon/start.h"

enum { CHECK_GOOD, CHECK_REFUSED, CHECK_WARNED };

/* A gate starts without its backend's address: a warning, then. */
static void check_name(const struct gate_settings *gate, const char *backend)
{
	struct addr unused[ADDR_LIST_MAX];
	char text[SETTINGS_WHY_MAX];
	const char *why = "no address";

	if (!addr_is_name(backend) || addr_resolve(backend, unused, &why) > 0)
		return;
	snprintf(text, sizeof(text), "%s: connections wait until it is resolved", why);
	gate_warn(gate, "backend", backend, text);
}

static void check_names(const struct gate_settings *gate)
{
	size_t i;

	for (i = 0; i < gate->backend.list.count; i++)
		check_name(gate, gate->backend.list.items[i]);
	for (i = 0; i < gate->block_count; i++)
		check_names(&gate->blocks[i]);
}

/* Lines wait for their target, too. */
static void check_log(const struct settings *settings)
{
	int fd = settings->log == LOG_TO_STDERR ? -1 : logd_open(settings->log);
	char why[SETTINGS_WHY_MAX];

	if (fd >= 0)
		close(fd);
	if (fd >= 0 || settings->log == LOG_TO_STDERR)
		return;
	snprintf(why, sizeof(why), "%s: %s: lines wait until it is there", logd_path(settings->log),
		 strerror(-fd));
	settings_warn(settings, "log", NULL, why);
}

/* What a start would refuse, as far as that can be seen without one. */
static int check_start(struct settings *settings)
{
	gid_t unused;
	int ret = control_find_group(settings, &unused);

	return ret | generation_try(settings);
}

int check_run(const struct options *options)
{
	struct settings *settings;
	int status = CHECK_REFUSED;
	size_t i;

	if (!ev_default_loop(EVFLAG_AUTO | EVFLAG_NOENV)) {
		log_error("no event loop: %s: raise the limit of open files", strerror(errno));
		return CHECK_REFUSED;
	}
	if (config_read(options->config_file, &settings) != CONFIG_OK)
		return CHECK_REFUSED;
	check_log(settings);
	for (i = 0; i < settings->gate_count; i++)
		check_names(&settings->gates[i]);
	if (!check_start(settings)) {
		status = log_has_warned() ? CHECK_WARNED : CHECK_GOOD;
		log_info("%s: gates: %zu, nothing is refused%s", options->config_file,
			 settings->gate_count,
			 status == CHECK_WARNED ? "; see the warnings" : "");
	}
	settings_free(settings);
	return status;
}
