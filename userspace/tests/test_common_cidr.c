// SPDX-License-Identifier: MIT
/* common/cidr: what is a network, and which addresses it has. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "common/cidr.h"
#include "tests/tap.h"

static void parses(const char *text, bool taken)
{
	const char *why = NULL;
	struct cidr cidr;
	int ret = cidr_parse(text, &cidr, &why);

	if (taken)
		tap_ok(!ret, "a network: '%s'", text);
	else
		tap_ok(ret && why && *why, "none: '%s'", text);
}

static void test_texts(void)
{
	static const char * const networks[] = {
		"0.0.0.0/0", "10.0.0.0/8", "192.0.2.1", "192.0.2.1/32", "192.0.2.128/25", "::/0", "::1",
		"2001:db8::/32", "2001:db8::1/128", "::ffff:10.0.0.0/104", "unix",
	};
	static const char * const others[] = {
		"", "/", "/8", "10/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/ 8",
		"10.0.0.0/08", "10.0.0.0/8/8", "10.0.0.0/8x", "10.0.0.1/8", "192.0.2.128/24", "256.0.0.0/8",
		"010.0.0.0/8", "::/129", "2001:db8::1/127", "[::1]", "[::]/0", "localhost", "10.0.0.1:80",
		"unix:", "unix/0", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/0",
		"10.0.0.0/99999999999999999999",
	};
	size_t i;

	for (i = 0; i < sizeof(networks) / sizeof(networks[0]); i++)
		parses(networks[i], true);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		parses(others[i], false);
}

static bool has(const char *network, const char *address)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	const char *why;
	struct cidr cidr;

	if (cidr_parse(network, &cidr, &why))
		tap_bail("%s: %s", network, why);
	if (inet_pton(AF_INET, address, &sin.sin_addr) == 1)
		return cidr_has(&cidr, (const struct sockaddr *)&sin);
	if (inet_pton(AF_INET6, address, &sin6.sin6_addr) == 1)
		return cidr_has(&cidr, (const struct sockaddr *)&sin6);
	tap_bail("%s", address);
}

static const struct {
	const char *network, *address;
	bool is;
} members[] = {
	{ "10.0.0.0/8", "10.255.255.255", true },
	{ "10.0.0.0/8", "11.0.0.0", false },
	{ "10.0.0.0/8", "::ffff:10.1.2.3", true },
	{ "192.0.2.128/25", "192.0.2.128", true },
	{ "192.0.2.128/25", "192.0.2.127", false },
	{ "192.0.2.0/31", "192.0.2.1", true },
	{ "192.0.2.0/31", "192.0.2.2", false },
	{ "192.0.2.1", "192.0.2.1", true },
	{ "192.0.2.1", "192.0.2.0", false },
	{ "0.0.0.0/0", "203.0.113.9", true },
	{ "0.0.0.0/0", "::ffff:203.0.113.9", true },
	{ "0.0.0.0/0", "2001:db8::1", false },
	{ "0.0.0.0/0", "::1", false },
	{ "::/0", "2001:db8::1", true },
	{ "::/0", "203.0.113.9", false },
	{ "::/0", "::ffff:203.0.113.9", false },
	{ "::ffff:10.0.0.0/104", "10.9.9.9", true },
	{ "::ffff:10.0.0.0/104", "11.9.9.9", false },
	{ "2001:db8::/33", "2001:db8:7fff::1", true },
	{ "2001:db8::/33", "2001:db8:8000::1", false },
	{ "::1", "::1", true },
	{ "::1", "::2", false },
	{ "unix", "127.0.0.1", false },
	{ "unix", "::1", false },
};

static void test_unix(void)
{
	const struct sockaddr_un un = { .sun_family = AF_UNIX };
	const char *why;
	struct cidr cidr;

	tap_ok(!cidr_parse("unix", &cidr, &why) && cidr_has(&cidr, (const struct sockaddr *)&un),
	       "unix has UNIX sockets");
	tap_ok(!cidr_parse("0.0.0.0/0", &cidr, &why) && !cidr_has(&cidr, (const struct sockaddr *)&un),
	       "no other network has");
}

int main(void)
{
	size_t i;

	test_texts();
	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		tap_ok(has(members[i].network, members[i].address) == members[i].is, "%s %s %s",
		       members[i].network, members[i].is ? "has" : "does not have", members[i].address);
	test_unix();
	return tap_done();
}
