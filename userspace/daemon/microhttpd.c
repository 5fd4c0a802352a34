// SPDX-License-Identifier: MIT
#include "daemon/microhttpd.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

/* The ABI of 0.9.75 and 1.0. */
#define LIBRARY		"libmicrohttpd.so.12"

static const struct {
	const char *name;
	size_t offset;			/* of the function's address */
} functions[] = {
	{ "MHD_start_daemon", offsetof(struct microhttpd, start_daemon) },
	{ "MHD_get_daemon_info", offsetof(struct microhttpd, get_daemon_info) },
	{ "MHD_get_timeout", offsetof(struct microhttpd, get_timeout) },
	{ "MHD_run", offsetof(struct microhttpd, run) },
	{ "MHD_get_connection_info", offsetof(struct microhttpd, get_connection_info) },
	{ "MHD_lookup_connection_value", offsetof(struct microhttpd, lookup_connection_value) },
	{ "MHD_create_response_from_buffer", offsetof(struct microhttpd, create_response_from_buffer) },
	{ "MHD_add_response_header", offsetof(struct microhttpd, add_response_header) },
	{ "MHD_queue_response", offsetof(struct microhttpd, queue_response) },
	{ "MHD_destroy_response", offsetof(struct microhttpd, destroy_response) },
};

int microhttpd_load(struct microhttpd *http, const char **why)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL), *function;
	size_t i;

	for (i = 0; library && i < sizeof(functions) / sizeof(functions[0]); i++) {
		function = dlsym(library, functions[i].name);
		if (!function)
			break;
		memcpy((char *)http + functions[i].offset, &function, sizeof(function));
	}
	if (i == sizeof(functions) / sizeof(functions[0]))
		return 0;
	*why = dlerror();
	return -1;
}
