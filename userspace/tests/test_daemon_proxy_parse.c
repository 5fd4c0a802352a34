// SPDX-License-Identifier: MIT
/* daemon/proxy_parse: headers as proxy-protocol.txt has them, good and bad, whole and in pieces. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "daemon/proxy.h"
#include "daemon/proxy_parse.h"
#include "tests/tap.h"

#define SIGNATURE	"0d0a0d0a000d0a515549540a"
#define V4		"c0000201 c0000202 1234 01bb"
#define V6		"20010db8000000000000000000000001 20010db8000000000000000000000002 1234 01bb"
#define UNIX_ENDS	"2f61" ZEROS_106 "2f62" ZEROS_106
#define ZEROS_106	ZEROS_50 ZEROS_50 "000000000000"
#define ZEROS_50	ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10
#define ZEROS_10	"00000000000000000000"

#define V4_SAYS		"192.0.2.1:4660 to 192.0.2.2:443"
#define V6_SAYS		"[2001:db8::1]:4660 to [2001:db8::2]:443"
#define OWN		"the connection's own"

static const char *says(const struct proxy_ends *ends)
{
	static char text[2 * ADDR_TEXT_MAX + 8];
	char client[ADDR_TEXT_MAX], server[ADDR_TEXT_MAX];

	if (!ends->known)
		return OWN;
	snprintf(text, sizeof(text), "%s to %s",
		 addr_format((const struct sockaddr *)&ends->client, sizeof(ends->client), client),
		 addr_format((const struct sockaddr *)&ends->server, sizeof(ends->server), server));
	return text;
}

/* An exact copy, so that a byte too far is found. */
static long parse(const uint8_t *data, size_t len, struct proxy_ends *ends, const char **why)
{
	uint8_t *copy = malloc(len);
	long ret;

	if (!copy && len)
		tap_bail("out of memory");
	memcpy(copy, data, len);
	ret = proxy_parse(copy, len, ends, why);
	free(copy);
	return ret;
}

/* Whole, with something behind it; and each beginning of it has not ended. */
static void takes_bytes(const uint8_t *data, size_t len, const char *want, const char *what)
{
	uint8_t *more = calloc(1, len + 5);
	struct proxy_ends ends;
	const char *why = "";
	size_t i = 0;
	long ret;

	if (!more)
		tap_bail("out of memory");
	while (i < len && !parse(data, i, &ends, &why))
		i++;
	tap_equal((long)i, (long)len, "%s: no beginning is more, nor refused", what);
	memcpy(more, data, len);
	more[len] = 0x16;
	ret = parse(more, len + 5, &ends, &why);
	free(more);
	tap_equal(ret, (long)len, "%s: nothing behind it belongs to it", what);
	tap_ok(ret > 0 && !strcmp(says(&ends), want), "%s: %s", what, ret > 0 ? says(&ends) : why);
}

static void takes(const char *hex, const char *want, const char *what)
{
	struct tls_slice data = tap_hex(hex);

	takes_bytes(data.p, data.len, want, what);
}

/* Without CR LF, which would end the test's name. */
static const char *name_of(const char *line)
{
	static char name[128];

	snprintf(name, sizeof(name), "'%.*s'", (int)strcspn(line, "\r\n"), line);
	return name;
}

static void takes_line(const char *line, const char *want)
{
	takes_bytes((const uint8_t *)line, strlen(line), want, name_of(line));
}

/* At once or when more of it comes, and in the same way for each beginning from then on. */
static void refuses_bytes(const uint8_t *data, size_t len, const char *what)
{
	struct proxy_ends ends;
	const char *why = NULL;
	size_t i = 0, first;

	while (i <= len && !parse(data, i, &ends, &why))
		i++;
	first = i;
	while (i <= len && parse(data, i, &ends, &why) == -1 && !ends.known && why && *why)
		i++;
	tap_ok(first <= len && i > len, "refused after %zu bytes of %zu: %s: %s", first, len, what,
	       why ? why : "it is not");
}

static void refuses(const char *hex, const char *what)
{
	struct tls_slice data = tap_hex(hex);

	refuses_bytes(data.p, data.len, what);
}

static void refuses_line(const char *line)
{
	refuses_bytes((const uint8_t *)line, strlen(line), name_of(line));
}

static void test_lines(void)
{
	static const char * const bad[] = {
		"PROXY\r\n", "PROXY \r\n", "PROXY TCP4\r\n", "PROXY TCP4 \r\n", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 +2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2x\r\n", "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.256 1 2\r\n", "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
		"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP6 fe80::1%1 fe80::2%1 1 2\r\n",
		"PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY UNKNOWNX\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "PROXY UNKNOWN\n",
		"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXX", "GET / HTTP/1.1\r\n", "\r\n\r\n\r\n",
	};
	size_t i;

	takes_line("PROXY TCP4 192.0.2.1 192.0.2.2 4660 443\r\n", V4_SAYS);
	takes_line("PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n", V6_SAYS);
	takes_line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
		   "255.255.255.255:65535 to 255.255.255.255:65535");
	takes_line("PROXY TCP4 192.0.2.1 192.0.2.2 0 443\r\n", "192.0.2.1:0 to 192.0.2.2:443");
	takes_line("PROXY UNKNOWN\r\n", OWN);
	takes_line("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", OWN);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses_line(bad[i]);
	refuses_bytes((const uint8_t *)"PROXY UNKNOWN\0\r\n", 16, "a NUL byte in the line");
}

/* Section 2.1: 107 bytes with CR LF. */
static void test_line_length(void)
{
	char line[120];

	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	line[105] = '\r';
	line[106] = '\n';
	takes_bytes((const uint8_t *)line, 107, OWN, "the longest line");
	line[105] = 'x';
	line[106] = '\r';
	line[107] = '\n';
	refuses_bytes((const uint8_t *)line, 108, "a longer one");
}

static void test_version_2(void)
{
	takes(SIGNATURE "21 11 000c" V4, V4_SAYS, "IPv4");
	takes(SIGNATURE "21 21 0024" V6, V6_SAYS, "IPv6");
	takes(SIGNATURE "20 00 0000", OWN, "LOCAL");
	takes(SIGNATURE "20 11 000c" V4, OWN, "LOCAL with addresses");
	takes(SIGNATURE "20 ff 0003 ffffff", OWN, "LOCAL with anything");
	takes(SIGNATURE "21 00 0000", OWN, "UNSPEC");
	takes(SIGNATURE "21 00 0003 ffffff", OWN, "UNSPEC with anything");
	takes(SIGNATURE "21 12 000c" V4, OWN, "UDP over IPv4");
	takes(SIGNATURE "21 22 0024" V6, OWN, "UDP over IPv6");
	takes(SIGNATURE "21 31 00d8" UNIX_ENDS, OWN, "a UNIX stream");
	takes(SIGNATURE "21 32 00d8" UNIX_ENDS, OWN, "a UNIX datagram");
	refuses(SIGNATURE "11 11 000c" V4, "version 1 in a header of version 2");
	refuses(SIGNATURE "31 11 000c" V4, "version 3");
	refuses(SIGNATURE "22 11 000c" V4, "another command");
	refuses(SIGNATURE "21 10 000c" V4, "IPv4 without a transport");
	refuses(SIGNATURE "21 13 000c" V4, "another transport");
	refuses(SIGNATURE "21 41 000c" V4, "another family");
	refuses("0d0a0d0a000d0a515549540b", "another signature");
}

static void test_lengths(void)
{
	static uint8_t header[PROXY_PARSE_MAX + 1] = "\r\n\r\n\0\r\nQUIT\n\x21\x11";
	const size_t longest = PROXY_PARSE_MAX - 16;

	refuses(SIGNATURE "21 11 000b c0000201 c0000202 1234 01", "shorter than IPv4");
	refuses(SIGNATURE "21 11 0000", "no addresses");
	refuses(SIGNATURE "21 21 000c" V4, "shorter than IPv6");
	refuses(SIGNATURE "21 31 000c" V4, "shorter than UNIX");
	refuses(SIGNATURE "21 11 ffff", "64 KiB");
	refuses(SIGNATURE "20 00 ffff", "64 KiB of LOCAL");
	header[14] = (uint8_t)(longest >> 8);
	header[15] = (uint8_t)longest;
	header[28] = 0x04;	/* NOOP */
	header[29] = (uint8_t)((longest - 15) >> 8);
	header[30] = (uint8_t)(longest - 15);
	takes_bytes(header, PROXY_PARSE_MAX, "0.0.0.0:0 to 0.0.0.0:0", "the longest header");
	header[15]++;
	refuses_bytes(header, PROXY_PARSE_MAX + 1, "a longer one");
}

static void test_tlvs(void)
{
	takes(SIGNATURE "21 11 0015" V4 "020006 612e74657374", V4_SAYS, "a TLV");
	takes(SIGNATURE "21 11 0012" V4 "040000 040000", V4_SAYS, "two without a value");
	takes(SIGNATURE "21 11 0013" V4 "030004 0027802c", V4_SAYS, "a checksum");
	takes(SIGNATURE "21 11 0017" V4 "040001 00 030004 e6d23440", V4_SAYS, "a checksum behind another");
	refuses(SIGNATURE "21 11 0013" V4 "030004 0027802d", "a wrong checksum");
	refuses(SIGNATURE "21 11 0012" V4 "030003 002780", "a short checksum");
	refuses(SIGNATURE "21 11 000d" V4 "04", "a byte that is no TLV");
	refuses(SIGNATURE "21 11 000e" V4 "0400", "two of them");
	refuses(SIGNATURE "21 11 0010" V4 "040002 00", "a TLV that is longer than the header");
	refuses(SIGNATURE "21 11 0010" V4 "04ffff 00", "one that is much longer");
	refuses(SIGNATURE "21 31 00d9" UNIX_ENDS "04", "behind addresses that are not used");
}

/* What a gate sends, a gate takes. */
static void test_own(void)
{
	static uint8_t header[PROXY_HEADER_MAX], der[8000];
	const struct tls_conn_info info = {
		.version = TLS_1_3, .suite = 0x1301, .group = 29, .server_name = "a.test", .alpn = "h2",
		.peer_certificate = der, .peer_certificate_len = sizeof(der),
	};
	struct proxy_ends ends;
	const char *why;
	size_t len;

	if (proxy_parse((const uint8_t *)"PROXY TCP4 192.0.2.1 192.0.2.2 4660 443\r\n", 41, &ends, &why) != 41)
		tap_bail("addresses");
	len = proxy_header(&ends.client, &ends.server, &info, header);
	takes_bytes(header, len, V4_SAYS, "what a gate sends");
}

int main(void)
{
	test_lines();
	test_line_length();
	test_version_2();
	test_lengths();
	test_tlvs();
	test_own();
	return tap_done();
}
