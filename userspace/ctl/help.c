// SPDX-License-Identifier: MIT
/* tlsgate help: all commands, or one. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"

#define LEFT_MAX	32	/* columns of an option with its argument */

static void print_options(FILE *out, const struct ctl_option *option)
{
	for (; option->name; option++)
		fprintf(out, " [%s%s%s]", option->name, ctl_takes_value(option) ? " " : "",
			option->argument ? option->argument : "");
}

void ctl_print_usage(FILE *out, const struct ctl_command *command)
{
	fprintf(out, "usage: tlsgate %s%s%s%s", command->asks_daemon ? "[-S PATH] " : "", command->name,
		*command->operand ? " " : "", command->operand);
	if (command->options == ctl_handshake_options)
		fprintf(out, " [OPTION...]");
	else
		print_options(out, command->options);
	fputc('\n', out);
}

int ctl_print_help(FILE *out)
{
	const struct ctl_command *command;

	fprintf(out, "usage: tlsgate [-S PATH] COMMAND [ARGUMENT...]\n\n");
	for (command = ctl_commands; command->name; command++)
		fprintf(out, "  %-10s %s\n", command->name, command->what);
	fprintf(out, "\nWhat asks tlsgated does so on its control socket: /run/tlsgate/control, or -S PATH.\n"
		     "tlsgate help COMMAND explains one with its options.\n"
		     "Exit status: 0 done, 1 failed, 2 bad usage.\n");
	return ferror(out) ? CTL_FAILED : CTL_DONE;
}

static void print_option(const struct ctl_option *option)
{
	char left[LEFT_MAX];

	snprintf(left, sizeof(left), "%s%s%s", option->name, ctl_takes_value(option) ? " " : "",
		 option->argument ? option->argument : "");
	printf("  %-28s %s\n", left, option->what);
}

int ctl_print_command(const struct ctl_command *command)
{
	static const struct ctl_option control = {
		"-S", "PATH", "the control socket of tlsgated (default: /run/tlsgate/control)", 0,
	};
	const struct ctl_option *option;

	ctl_print_usage(stdout, command);
	printf("\n%s\n", command->what);
	if (command->options->name || command->asks_daemon)
		putchar('\n');
	for (option = command->options; option->name; option++)
		print_option(option);
	if (command->asks_daemon)
		print_option(&control);
	if (command->more)
		printf("\n%s\n", command->more);
	printf("\nExit status: 0 done, 1 failed, 2 bad usage.\n");
	return ferror(stdout) ? CTL_FAILED : CTL_DONE;
}

int cmd_help(int argc, char **argv)
{
	const struct ctl_command *command;
	const char *name;

	if (ctl_arguments(argc, argv, NULL, &name))
		return CTL_USAGE;
	if (!name)
		return ctl_print_help(stdout);
	command = ctl_find_command(name);
	if (command)
		return ctl_print_command(command);
	ctl_error("help: no command '%s': tlsgate help lists them", name);
	return CTL_USAGE;
}
