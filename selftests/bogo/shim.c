// SPDX-License-Identifier: MIT
/*
 * The program that BoringSSL's test runner drives: it connects to the runner
 * as often as told and does TLS with the engine there, in userspace.  Exit
 * status 0: all went as the flags say; EXIT_UNIMPLEMENTED: they ask for what
 * the engine does not have; else the reason is on stderr.
 */
#include <stdio.h>
#include <stdlib.h>

#include "shim.h"

static int connect_and_run(struct exchange *x, bool resumption)
{
	int status;

	x->fd = transport_connect(x->options->port, x->options->shim_id);
	if (x->fd < 0) {
		perror("the runner");
		return EXIT_FAILURE;
	}
	status = exchange_run(x, resumption);
	transport_close(x->fd);
	return status;
}

static int run_one(const struct options *options, bool resumption)
{
	struct exchange x = { .options = options };
	int status = setup_config(&x, resumption);

	if (!status)
		status = setup_connection(&x, resumption);
	if (!status)
		status = connect_and_run(&x, resumption);
	if (!status)
		setup_keep_session(&x);
	setup_advance_clock(options->resumption_delay);
	tls_conn_free(x.conn);
	tls_private_key_free(x.key);
	tls_config_unref(x.config);
	return status;
}

static int run(const struct option_sets *sets)
{
	int status = run_one(&sets->initial, false);

	for (int i = 0; !status && i < sets->initial.resume_count; i++)
		status = run_one(&sets->resume, true);
	return status;
}

int main(int argc, char **argv)
{
	struct option_sets sets;
	int status = options_parse(&sets, argc, argv);

	if (status)
		return status;
	if (sets.initial.handshaker_supported) {
		puts("No");
		return 0;
	}
	malloc_set_up();
	return malloc_exit_status(run(&sets));
}
