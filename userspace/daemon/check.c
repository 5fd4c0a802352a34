// SPDX-License-Identifier: MIT
#include "daemon/check.h"

#include <errno.h>
#include <ev.h>
#include <string.h>

#include "common/log.h"
#include "daemon/config.h"
#include "daemon/generation.h"

enum { CHECK_GOOD, CHECK_REFUSED, CHECK_WARNED };

int check_run(const struct options *options)
{
	struct settings *settings;
	int status = CHECK_REFUSED;

	if (!ev_default_loop(EVFLAG_AUTO | EVFLAG_NOENV)) {
		log_error("no event loop: %s", strerror(errno));
		return CHECK_REFUSED;
	}
	if (config_read(options->config_file, &settings) != CONFIG_OK)
		return CHECK_REFUSED;
	if (!generation_try(settings)) {
		status = log_has_warned() ? CHECK_WARNED : CHECK_GOOD;
		log_info("%s: gates: %zu, nothing is refused%s", options->config_file,
			 settings->gate_count,
			 status == CHECK_WARNED ? "; see the warnings" : "");
	}
	settings_free(settings);
	return status;
}
