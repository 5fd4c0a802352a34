// SPDX-License-Identifier: MIT
/* daemon/hosts: which nsswitch.conf leaves nothing to libc that c-ares does not know. */
#include <stdio.h>
#include <string.h>

#include "daemon/hosts.h"
#include "tests/tap.h"

static const struct {
	const char *text;
	bool plain;
} files[] = {
	{ "\n", true },
	{ "passwd: files systemd\nhosts: files dns\nnetworks: files\n", true },
	{ "hosts:\tdns files", true },
	{ "hosts:files dns\n", true },
	{ "hosts: files dns # mdns\n", true },
	{ "# hosts: mdns\nhosts: dns\n", true },
	{ "hosts: files myhostname dns\n", false },
	{ "hosts: files mdns4_minimal [NOTFOUND=return] dns\n", false },
	{ "hosts: resolve [!UNAVAIL=return] files\n", false },
	{ "hosts: dns [!UNAVAIL=return] files\n", false },
	{ "hosts : files ldap\n", false },
	{ "passwd: files\n \thosts: files nis", false },
	{ "xhosts: nis\nhostsx: nis\n", true },
};

int main(void)
{
	FILE *file;
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		file = fmemopen((void *)files[i].text, strlen(files[i].text), "r");
		if (!file)
			tap_bail("no memory");
		tap_ok(hosts_are_plain(file) == files[i].plain, "%.*s: %s", (int)strcspn(files[i].text, "\n"),
		       files[i].text, files[i].plain ? "c-ares" : "libc");
		fclose(file);
	}
	return tap_done();
}
