// SPDX-License-Identifier: MIT
/* tlsgate: shows and controls what the kernel module serves, as wg does for WireGuard. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/fds.h"
#include "ctl.h"

static int cmd_help(int argc, char **argv);

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *what;
	bool asks_daemon;		/* on its control socket, which -S names */
} commands[] = {
	{ "show", cmd_show, "[--json|--watch] [--all-namespaces] [--gate NAME] [--sort COLUMN] | ID [--json]",
	  "connections, in the kernel and in tlsgated; with ID, all about one", true },
	{ "monitor", cmd_monitor, "[--json]", "events as they happen", false },
	{ "rekey", cmd_rekey, "ID", "send KeyUpdate and use the next key (TLS 1.3)", false },
	{ "close", cmd_close, "ID|--all|--gate NAME [--reset]", "end sessions by a fatal alert, or by RST", false },
	{ "ciphers", cmd_ciphers, "[--json]", "suites, and the kernel's driver for each", false },
	{ "handshake", cmd_handshake, "HOST:PORT [--explain] [--json] [--ca F] [--server-name N]",
	  "one client handshake, each step shown", false },
	{ "reload", cmd_reload, "", "have tlsgated read its configuration anew, and say what came of it", true },
	{ "pause", cmd_pause, "", "have tlsgated keep new connections, so that the module can be replaced", true },
	{ "resume", cmd_resume, "", "have tlsgated hand new connections to the kernel again", true },
	{ "drain", cmd_drain, "[--gate NAME]", "have tlsgated accept no more; what is open goes on", true },
	{ "undrain", cmd_undrain, "[--gate NAME]", "have tlsgated accept again", true },
	{ "gates", cmd_gates, "[--json]", "what tlsgated serves", true },
	{ "stats", cmd_stats, "[--json|--openmetrics]", "what tlsgated's gates have done so far", true },
	{ "version", cmd_version, "", "versions of program, interface, module and kernel", false },
	{ "help", cmd_help, "", "this", false },
};

#define HELP_ARGUMENTS	16	/* columns; longer ones have a line of their own */
#define COMMANDS	(sizeof(commands) / sizeof(*commands))

static int print_help(FILE *out)
{
	size_t i;

	fprintf(out, "usage: tlsgate [-S PATH] COMMAND [ARGUMENT...]\n\n");
	for (i = 0; i < COMMANDS; i++) {
		const char *arguments = commands[i].arguments;
		bool fits = strlen(arguments) <= HELP_ARGUMENTS;

		fprintf(out, "  %-9s %-*s%s%*s %s\n", commands[i].name, HELP_ARGUMENTS, arguments,
			fits ? "" : "\n", fits ? 0 : 12 + HELP_ARGUMENTS, "", commands[i].what);
	}
	fprintf(out, "\nreload, pause, resume, drain, undrain, gates and stats talk to tlsgated on its control\n"
		     "socket; -S names another than /run/tlsgate/control. The other commands take no -S.\n");
	fprintf(out, "show, monitor, rekey and close need CAP_NET_ADMIN in the network namespace, and in the\n"
		     "initial user namespace for other network namespaces.\n"
		     "Exit status: 0 done, 1 failed, 2 bad usage.\n");
	return ferror(out) ? CTL_FAILED : CTL_DONE;
}

static int cmd_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return print_help(stdout);
}

static const struct command *find_command(const char *name)
{
	size_t i;

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0)
		name = "version";
	for (i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* -S, before the command or behind it.  0, or CTL_USAGE after an error line. */
static int take_control(const struct command *command, int *argc, char **argv)
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

static int run(const struct command *command, int argc, char **argv)
{
	int status = take_control(command, &argc, argv);

	if (status == CTL_DONE)
		status = command->run(argc, argv);
	if (status == CTL_USAGE)
		fprintf(stderr, "usage: tlsgate %s%s%s%s\n", command->asks_daemon ? "[-S PATH] " : "",
			command->name, *command->arguments ? " " : "", command->arguments);
	return status;
}

int main(int argc, char **argv)
{
	const struct command *command;
	int status;

	fds_open_standard();
	if (argc == 2 && strcmp(argv[1], "-S") == 0) {
		ctl_error("-S: no path is given: tlsgate -S PATH COMMAND");
		return CTL_USAGE;
	}
	if (argc > 2 && strcmp(argv[1], "-S") == 0) {
		ctl_control = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc < 2) {
		print_help(stderr);
		return CTL_USAGE;
	}
	command = find_command(argv[1]);
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
