// SPDX-License-Identifier: MIT
/* Sections are those of proxy-protocol.txt. */
#include "daemon/proxy_parse.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define V1_MAX		107u	/* section 2.1, with CRLF */
#define V2_FIXED	16u	/* signature, command, family, length */
#define TYPE_CRC32C	0x03
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static const uint8_t v1_begin[] = { 'P', 'R', 'O', 'X', 'Y', ' ' };
static const uint8_t v2_begin[] = { '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n' };

static long refuse(const char **why, const char *text)
{
	*why = text;
	return -1;
}

/* As far as data goes. */
static bool begins(const uint8_t *data, size_t len, const uint8_t *begin, size_t begin_len)
{
	return !memcmp(data, begin, len < begin_len ? len : begin_len);
}

/* ---- version 1 ---- */

/* Section 2.1: decimal, without leading zeros.  False: it is none. */
static bool parse_port(const char *text, in_port_t *out)
{
	size_t digits = strspn(text, "0123456789");
	long n = strtol(text, NULL, 10);

	if (!digits || text[digits] || (text[0] == '0' && text[1]) || n > 65535)
		return false;
	*out = htons((uint16_t)n);
	return true;
}

/* The port is at the same place in both families. */
static bool parse_end(int family, const char *host, const char *port, struct sockaddr_in6 *out)
{
	void *address = family == AF_INET ? (void *)&((struct sockaddr_in *)out)->sin_addr :
					    (void *)&out->sin6_addr;

	*out = (struct sockaddr_in6){ .sin6_family = (sa_family_t)family };
	return inet_pton(family, host, address) == 1 && parse_port(port, &out->sin6_port);
}

/* "1.2.3.4 5.6.7.8 1000 443" */
static bool parse_ends(int family, char *text, struct proxy_ends *out)
{
	char *words[4];
	size_t i;

	for (i = 0; i < COUNT(words); i++)
		words[i] = strsep(&text, " ");
	out->known = words[3] && !text && parse_end(family, words[0], words[2], &out->client) &&
		     parse_end(family, words[1], words[3], &out->server);
	return out->known;
}

/* text: what is between "PROXY " and CRLF. */
static bool parse_line(char *text, struct proxy_ends *out)
{
	char *protocol = strsep(&text, " ");

	/* section 2.1: whatever follows is ignored */
	if (!strcmp(protocol, "UNKNOWN"))
		return true;
	if (!text)
		return false;
	return (!strcmp(protocol, "TCP4") && parse_ends(AF_INET, text, out)) ||
	       (!strcmp(protocol, "TCP6") && parse_ends(AF_INET6, text, out));
}

static long parse_v1(const uint8_t *data, size_t len, struct proxy_ends *out, const char **why)
{
	const uint8_t *end = memchr(data, '\n', len < V1_MAX ? len : V1_MAX);
	char line[V1_MAX] = "";
	size_t line_len;

	if (!end)
		return len < V1_MAX ? 0 : refuse(why, "its line does not end within 107 bytes");
	line_len = (size_t)(end - data) - 1;
	if (data[line_len] != '\r')
		return refuse(why, "its line does not end in CR LF");
	memcpy(line, data, line_len);
	if (line_len < sizeof(v1_begin) || strlen(line) != line_len ||
	    !parse_line(line + sizeof(v1_begin), out))
		return refuse(why, "its line has no addresses as version 1 writes them");
	return (long)line_len + 2;
}

/* ---- version 2 ---- */

/* Section 2.2.2. */
static const struct family {
	uint8_t code;
	uint8_t addresses;		/* their bytes, with ports */
	bool tcp;			/* else "automatically falls back to the UNSPEC mode" */
	sa_family_t family;
} families[] = {
	{ 0x00, 0, false, AF_UNSPEC },
	{ 0x11, 12, true, AF_INET },
	{ 0x12, 12, false, AF_INET },
	{ 0x21, 36, true, AF_INET6 },
	{ 0x22, 36, false, AF_INET6 },
	{ 0x31, 216, false, AF_UNIX },
	{ 0x32, 216, false, AF_UNIX },
};

static const struct family *find_family(uint8_t code)
{
	size_t i;

	for (i = 0; i < COUNT(families); i++)
		if (families[i].code == code)
			return &families[i];
	return NULL;
}

static size_t get_u16(const uint8_t *p)
{
	return (size_t)(p[0] << 8 | p[1]);
}

/* Castagnoli's polynomial, reflected: RFC 3720 appendix B.4.  from to to counts as zero. */
static uint32_t crc32c(const uint8_t *data, size_t len, size_t from, size_t to)
{
	uint32_t crc = 0xffffffff;
	unsigned int bit;
	size_t i;

	for (i = 0; i < len; i++) {
		crc ^= i >= from && i < to ? 0 : data[i];
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* Section 2.2.3; its value is at. */
static bool checksum_fits(const uint8_t *data, size_t len, size_t at)
{
	const uint32_t crc = crc32c(data, len, at, at + 4);
	const uint8_t want[4] = { (uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc };

	return !memcmp(data + at, want, sizeof(want));
}

/* NULL: all from at on is right. */
static const char *check_tlvs(const uint8_t *data, size_t len, size_t at)
{
	bool checked = false;
	size_t end;

	for (; at < len; at = end) {
		if (len - at < 3 || len - at - 3 < get_u16(data + at + 1))
			return "a TLV in it is longer than the header";
		end = at + 3 + get_u16(data + at + 1);
		if (data[at] != TYPE_CRC32C)
			continue;
		/* one: each costs a pass over the header */
		if (checked || end != at + 7 || !checksum_fits(data, len, at + 3))
			return "its checksum is wrong";
		checked = true;
	}
	return NULL;
}

static void copy_ends(const struct family *family, const uint8_t *p, struct proxy_ends *out)
{
	struct sockaddr_in6 *const ends[] = { &out->client, &out->server };
	const size_t size = family->family == AF_INET ? 4 : 16;
	size_t i;

	for (i = 0; i < COUNT(ends); i++) {
		*ends[i] = (struct sockaddr_in6){ .sin6_family = family->family };
		memcpy(size == 4 ? (void *)&((struct sockaddr_in *)ends[i])->sin_addr :
				   (void *)&ends[i]->sin6_addr, p + i * size, size);
		memcpy(&ends[i]->sin6_port, p + 2 * size + 2 * i, 2);
	}
	out->known = true;
}

/* len: of the whole header. */
static long parse_proxied(const uint8_t *data, size_t len, struct proxy_ends *out, const char **why)
{
	const struct family *family = find_family(data[13]);

	if (!family)
		return refuse(why, "its address family is unknown");
	/* section 2.2.2, UNSPEC: whatever follows is ignored */
	if (!family->addresses)
		return (long)len;
	if (len - V2_FIXED < family->addresses)
		return refuse(why, "it is shorter than its addresses");
	*why = check_tlvs(data, len, V2_FIXED + family->addresses);
	if (*why)
		return -1;
	if (family->tcp)
		copy_ends(family, data + V2_FIXED, out);
	return (long)len;
}

static long parse_v2(const uint8_t *data, size_t len, struct proxy_ends *out, const char **why)
{
	size_t total;

	if (len >= 13 && data[12] != 0x20 && data[12] != 0x21)
		return refuse(why, "its version or command is unknown");
	if (len < V2_FIXED)
		return 0;
	total = V2_FIXED + get_u16(data + 14);
	if (total > PROXY_PARSE_MAX)
		return refuse(why, "it is longer than 16 KiB");
	if (len < total)
		return 0;
	/* section 2.2, LOCAL: "must discard the protocol block including the family" */
	return data[12] == 0x20 ? (long)total : parse_proxied(data, total, out, why);
}

/* ---- either ---- */

long proxy_parse(const uint8_t *data, size_t len, struct proxy_ends *out, const char **why)
{
	*out = (struct proxy_ends){ 0 };
	if (begins(data, len, v2_begin, sizeof(v2_begin)))
		return parse_v2(data, len, out, why);
	if (begins(data, len, v1_begin, sizeof(v1_begin)))
		return parse_v1(data, len, out, why);
	return refuse(why, "what came is none: have the proxy send one, or take it out of accept-proxy");
}
