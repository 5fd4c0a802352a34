// SPDX-License-Identifier: MIT
/* Names of the ABI's numbers, and addresses as text. */
#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#include "lib/libtlsgate.h"

#include "tap.h"

static void test_reasons(void)
{
	const struct tlsgate_reason_info *row = tlsgate_reasons();
	unsigned int n;

	for (n = 0; row[n].name; n++) {
		if (row[n].reason != n || !*row[n].name || strlen(row[n].text) < 10)
			break;
	}
	tap_equal(n, __TLSGATE_REASON_MAX, "every reason has a row with name and sentence");
	tap_ok(strcmp(tlsgate_reason_name(TLSGATE_REASON_TRUNCATED), "truncated") == 0,
	       "a reason is called by its name");
	tap_ok(strcmp(tlsgate_reason_name(TLSGATE_REASON_MAX), "refused_server") == 0,
	       "so is the last one");
	tap_ok(strcmp(tlsgate_reason_name(TLSGATE_REASON_MAX + 1), "unknown") == 0 &&
	       *tlsgate_reason_text(0xffff), "a number from a newer module is unknown, no crash");
}

static void test_others(void)
{
	tap_ok(strcmp(tlsgate_state_name(TLSGATE_STATE_RX_CLOSED), "rx-closed") == 0 &&
	       strcmp(tlsgate_state_name(200), "unknown") == 0, "states");
	tap_ok(strcmp(tlsgate_role_name(TLSGATE_ROLE_SERVER), "server") == 0 &&
	       strcmp(tlsgate_role_name(2), "unknown") == 0, "roles");
	tap_ok(strcmp(tlsgate_version_name(TLSGATE_TLS_1_2), "TLS 1.2") == 0 &&
	       strcmp(tlsgate_version_name(0x0302), "unknown") == 0, "versions");
	tap_ok(strcmp(tlsgate_event_name(TLSGATE_CMD_NTF_AUTH_FAILED), "auth-failed") == 0 &&
	       strcmp(tlsgate_event_name(TLSGATE_CMD_SESSION_NEW), "unknown") == 0, "events");
}

static void test_address(const struct tlsgate_address *address, const char *want)
{
	char text[TLSGATE_ADDRESS_TEXT_MAX];

	tap_ok(strcmp(tlsgate_address_text(address, text), want) == 0, "address %s is \"%s\"", want,
	       text);
}

static void test_inet(const char *host, const char *want)
{
	struct tlsgate_address address = { 0 };

	if (inet_pton(AF_INET, host, &address.in.sin_addr) == 1) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(443);
		address.len = sizeof(address.in);
	} else {
		inet_pton(AF_INET6, host, &address.in6.sin6_addr);
		address.in6.sin6_family = AF_INET6;
		address.in6.sin6_port = htons(443);
		address.len = sizeof(address.in6);
	}
	test_address(&address, want);
}

static void test_unix(const char *path, size_t len, const char *want)
{
	struct tlsgate_address address = { .un = { .sun_family = AF_UNIX } };

	memcpy(address.un.sun_path, path, len);
	address.len = offsetof(struct sockaddr_un, sun_path) + len;
	test_address(&address, want);
}

static void test_addresses(void)
{
	static const char longest[sizeof(((struct sockaddr_un *)0)->sun_path)] = { 0 };
	struct tlsgate_address address = { 0 };
	char path[sizeof(longest)];
	char want[TLSGATE_ADDRESS_TEXT_MAX] = "unix:";
	size_t i;

	test_inet("192.0.2.1", "192.0.2.1:443");
	test_inet("2001:db8::1", "[2001:db8::1]:443");
	test_inet("::ffff:192.0.2.1", "192.0.2.1:443");
	test_unix("/run/x", 7, "unix:/run/x");
	test_unix("", 0, "unix:");
	test_unix("\0name", 5, "unix:@name");
	test_unix("\0a\0b", 4, "unix:@a\\x00b");
	test_unix("\0", 1, "unix:@");
	test_unix("/run/\x1b[2J\n\xff\\", 12, "unix:/run/\\x1b[2J\\x0a\\xff\\x5c");
	memset(path, 'p', sizeof(path));
	memcpy(want + 5, path, sizeof(path));
	test_unix(path, sizeof(path), want);
	memset(path, 0xff, sizeof(path));
	for (i = 0; i < sizeof(path); i++)
		strcpy(want + 5 + 4 * i, "\\xff");
	test_unix(path, sizeof(path), want);
	test_address(&address, "-");
	address.len = 1;
	test_address(&address, "-");
	address.len = sizeof(address.in) - 1;
	address.sa.sa_family = AF_INET;
	test_address(&address, "-");
}

int main(void)
{
	test_reasons();
	test_others();
	test_addresses();
	return tap_done();
}
