// SPDX-License-Identifier: MIT
/* tlsgate version: program, netlink interface, module and kernel. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "tlsgate_version.h"

#include "ctl.h"

#define MODULE_VERSION_FILE	"/sys/module/tlsgate/version"

/* What the loaded module calls itself; "unknown" where sysfs is not there. */
static const char *module_version(char text[CTL_TEXT_MAX])
{
	FILE *file = fopen(MODULE_VERSION_FILE, "re");

	snprintf(text, CTL_TEXT_MAX, "unknown");
	if (file) {
		if (fgets(text, CTL_TEXT_MAX, file))
			text[strcspn(text, "\n")] = 0;
		fclose(file);
	}
	return text;
}

static void print_module(struct tlsgate *tg, int err, const char *why)
{
	char text[CTL_TEXT_MAX];

	if (tg)
		printf("module     %s, netlink interface %u\n", module_version(text),
		       tlsgate_family_version(tg));
	else
		printf("module     %s\n", err == -ENOENT ? "not loaded" : why);
}

int cmd_version(int argc, char **argv)
{
	const char *why = "";
	struct utsname kernel;
	struct tlsgate *tg;
	int err;

	if (ctl_arguments(argc, argv, NULL, NULL))
		return CTL_USAGE;
	if (uname(&kernel)) {
		ctl_error("version: cannot ask the kernel its name: %s", strerror(errno));
		return CTL_FAILED;
	}
	printf("tlsgate    %s, netlink interface %u\n", TLSGATE_VERSION, TLSGATE_GENL_VERSION);
	err = tlsgate_open(&tg, &why);
	print_module(tg, err, why);
	printf("kernel     %s %s\n", kernel.sysname, kernel.release);
	tlsgate_close(tg);
	return CTL_DONE;
}
