// SPDX-License-Identifier: MIT
/* tlsgate: shows and controls what the kernel module serves, as wg does for WireGuard. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/fds.h"
#include "ctl.h"

/* -S, before the command or behind it.  0, or CTL_USAGE after an error line. */
static int take_control(const struct ctl_command *command, int *argc, char **argv)
{
	if (!ctl_control)
		ctl_control = ctl_option(argc, argv, "-S");
	if (ctl_control && !command->asks_daemon) {
		ctl_error("%s: -S refused: it names tlsgated's control socket, and %s asks no tlsgated; leave it out",
			  command->name, command->name);
		return CTL_USAGE;
	}
	return CTL_DONE;
}

static bool takes_value(const struct ctl_command *command, const char *name)
{
	const struct ctl_option *option = ctl_find_option(command, name);

	return option && ctl_takes_value(option);
}

/* What the table does not have is refused, whatever the command would say to it; getopt sees to handshake's. */
static int check_options(const struct ctl_command *command, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && command->options != ctl_handshake_options; i++) {
		if (strncmp(argv[i], "--", 2) || ctl_find_option(command, argv[i]) ||
		    (i > 1 && takes_value(command, argv[i - 1])))
			continue;
		ctl_error("%s: '%s' is not understood, or lacks its value", command->name, argv[i]);
		return CTL_USAGE;
	}
	return CTL_DONE;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
	int status;

	if (ctl_flag(&argc, argv, "--help"))
		return ctl_print_command(command);
	status = take_control(command, &argc, argv);
	if (status == CTL_DONE)
		status = check_options(command, argc, argv);
	if (status == CTL_DONE)
		status = command->run(argc, argv);
	if (status == CTL_USAGE)
		ctl_print_usage(stderr, command);
	return status;
}

int main(int argc, char **argv)
{
	const struct ctl_command *command;
	int status;

	fds_open_standard();
	if (argc == 2 && strcmp(argv[1], "-S") == 0) {
		ctl_error("-S: no path is given: tlsgate -S PATH COMMAND");
		return CTL_USAGE;
	}
	if (argc > 1 && strcmp(argv[1], "complete") == 0)
		return cmd_complete(argc - 1, argv + 1);
	if (argc > 2 && strcmp(argv[1], "-S") == 0) {
		ctl_control = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc < 2) {
		ctl_print_help(stderr);
		return CTL_USAGE;
	}
	command = ctl_find_command(argv[1]);
	if (!command) {
		ctl_error("no command '%s': tlsgate help lists them", argv[1]);
		return CTL_USAGE;
	}
	status = run(command, argc - 1, argv + 1);
	if (fflush(stdout) && status == CTL_DONE) {
		ctl_error("cannot write the output: disk full or pipe closed?");
		return CTL_FAILED;
	}
	return status;
}
