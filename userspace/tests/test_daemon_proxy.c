// SPDX-License-Identifier: MIT
/* daemon/proxy: the header that a backend gets, byte by byte. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/proxy.h"
#include "tests/tap.h"

#define SIGNATURE	"0d0a0d0a000d0a515549540a"
/* TLS 1.2, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, x25519, no certificate */
#define TLS_PART	"200040 01 00000001 210007 544c5376312e32"			\
			"230025 544c535f45434448455f5253415f574954485f4145535f3132385f47434d5f534841323536" \
			"260006 783235353139"

static const struct tls_conn_info plain = {
	.version = TLS_1_2,
	.suite = 0xc02f,
	.group = 29,
};

static struct sockaddr_in6 v4(const char *text, uint16_t port)
{
	struct sockaddr_in6 addr = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	inet_pton(AF_INET, text, &in->sin_addr);
	return addr;
}

static struct sockaddr_in6 v6(const char *text, uint16_t port)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	inet_pton(AF_INET6, text, &addr.sin6_addr);
	return addr;
}

static void header_is(struct sockaddr_in6 client, struct sockaddr_in6 server,
		      const struct tls_conn_info *info, const char *hex, const char *what)
{
	static uint8_t out[PROXY_HEADER_MAX];
	size_t len = proxy_header(&client, &server, info, out);
	struct tls_slice want = tap_hex(hex);

	if (tap_equal((long)len, (long)want.len, "%s: length", what))
		tap_bytes(out, len, hex, "%s", what);
}

static void test_addresses(void)
{
	header_is(v4("192.0.2.1", 4660), v4("192.0.2.2", 443), &plain,
		  SIGNATURE "21 11 004f c0000201 c0000202 1234 01bb" TLS_PART, "IPv4");
	header_is(v6("2001:db8::1", 4660), v6("2001:db8::2", 443), &plain,
		  SIGNATURE "21 21 0067 20010db8000000000000000000000001"
		  "20010db8000000000000000000000002 1234 01bb" TLS_PART, "IPv6");
	header_is(v6("::ffff:192.0.2.1", 4660), v6("::ffff:192.0.2.2", 443), &plain,
		  SIGNATURE "21 11 004f c0000201 c0000202 1234 01bb" TLS_PART, "IPv4 over IPv6's listener");
}

/* A client of a UNIX socket has no address that a header could carry. */
static void test_no_addresses(void)
{
	const struct sockaddr_in6 none = { .sin6_family = AF_UNIX };

	header_is(none, none, &plain, SIGNATURE "21 00 0043" TLS_PART, "a UNIX socket");
}

static void line_is(struct sockaddr_in6 client, struct sockaddr_in6 server, const char *want)
{
	char line[PROXY_LINE_MAX + 1];
	size_t len = proxy_line(&client, &server, line);

	tap_ok(len == strlen(want) && !strcmp(line, want), "%.*s", (int)strcspn(want, "\r"), want);
}

static void test_lines(void)
{
	const struct sockaddr_in6 none = { .sin6_family = AF_UNIX };
	const char *longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

	line_is(v4("192.0.2.1", 4660), v4("192.0.2.2", 443), "PROXY TCP4 192.0.2.1 192.0.2.2 4660 443\r\n");
	line_is(v6("::ffff:192.0.2.1", 4660), v6("::ffff:192.0.2.2", 443),
		"PROXY TCP4 192.0.2.1 192.0.2.2 4660 443\r\n");
	line_is(v6("2001:db8::1", 1), v6("2001:db8::2", 65535), "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
	line_is(v6(longest, 65535), v6(longest, 65535),
		"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n");
	line_is(none, none, "PROXY UNKNOWN\r\n");
}

static void test_names(void)
{
	struct tls_conn_info info = plain;

	info.alpn = "h2";
	info.server_name = "a.test";
	header_is(v4("192.0.2.1", 4660), v4("192.0.2.2", 443), &info,
		  SIGNATURE "21 11 005d c0000201 c0000202 1234 01bb 010002 6832 020006 612e74657374"
		  TLS_PART, "names");
}

/* What is no certificate has no name either, and is handed on as it is. */
static void test_certificates(void)
{
	static const uint8_t junk[3] = { 0x30, 0x01, 0x00 };
	static uint8_t out[PROXY_HEADER_MAX];
	struct sockaddr_in6 client = v4("192.0.2.1", 1), server = v4("192.0.2.2", 2);
	struct tls_conn_info info = plain;
	size_t without, with;
	uint8_t *large;

	without = proxy_header(&client, &server, &info, out);
	info.peer_certificate = junk;
	info.peer_certificate_len = sizeof(junk);
	with = proxy_header(&client, &server, &info, out);
	tap_equal((long)(with - without), 3 + sizeof(junk), "a certificate without a name");
	tap_bytes(out + 28 + 3, 5, "07 00000000", "shown on this connection");
	info.resumed = true;
	(void)proxy_header(&client, &server, &info, out);
	tap_bytes(out + 28 + 3, 5, "05 00000000", "shown when the session began");
	large = calloc(1, PROXY_HEADER_MAX);
	if (!large)
		tap_bail("out of memory");
	info.peer_certificate = large;
	info.peer_certificate_len = PROXY_HEADER_MAX - without - 3;
	tap_equal((long)proxy_header(&client, &server, &info, out), PROXY_HEADER_MAX,
		  "a certificate that just fits");
	info.peer_certificate_len++;
	tap_equal((long)proxy_header(&client, &server, &info, out), 0, "one that is too long");
	free(large);
}

int main(void)
{
	test_addresses();
	test_no_addresses();
	test_lines();
	test_names();
	test_certificates();
	return tap_done();
}
