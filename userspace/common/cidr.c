// SPDX-License-Identifier: MIT
#include "common/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX	64
#define MAPPED_BITS	96u		/* before the IPv4 address in ::ffff:A.B.C.D */

static uint8_t width(const struct cidr *cidr)
{
	return cidr->family == AF_INET ? 32 : 128;
}

/* 0, or -1: text is no number up to most, as printf() would write it. */
static int parse_bits(const char *text, uint8_t most, uint8_t *out)
{
	char *end;
	long n = strtol(text, &end, 10);

	/* strtol() would take blanks and signs */
	if (text[0] < '0' || text[0] > '9' || (text[0] == '0' && text[1]) || *end || n > most)
		return -1;
	*out = (uint8_t)n;
	return 0;
}

static bool has_host_bits(const struct cidr *cidr)
{
	unsigned int i;

	for (i = cidr->bits; i < width(cidr); i++)
		if (cidr->address.s6_addr[i / 8] & (0x80u >> i % 8))
			return true;
	return false;
}

static void unmap(struct cidr *cidr)
{
	uint8_t *bytes = cidr->address.s6_addr;

	if (cidr->family != AF_INET6 || cidr->bits < MAPPED_BITS || !IN6_IS_ADDR_V4MAPPED(&cidr->address))
		return;
	cidr->family = AF_INET;
	cidr->bits -= MAPPED_BITS;
	memmove(bytes, bytes + MAPPED_BITS / 8, sizeof(struct in_addr));
}

int cidr_parse(const char *text, struct cidr *out, const char **why)
{
	size_t len = strcspn(text, "/");
	char host[TEXT_MAX] = "";

	*out = (struct cidr){ .family = AF_UNIX };
	if (!strcmp(text, "unix"))
		return 0;
	*why = "it must be a network such as 10.0.0.0/8 or 2001:db8::/32, an address, or unix";
	if (len >= sizeof(host))
		return -1;
	memcpy(host, text, len);
	out->family = strchr(host, ':') ? AF_INET6 : AF_INET;
	out->bits = width(out);
	if (inet_pton(out->family, host, &out->address) != 1 ||
	    (text[len] && parse_bits(text + len + 1, width(out), &out->bits)))
		return -1;
	*why = "bits behind the network's are set: clear them, or give more bits";
	if (has_host_bits(out))
		return -1;
	unmap(out);
	return 0;
}

/* Where sa's address is, as cidr_parse() has it; *family is the one it belongs to. */
static const uint8_t *address_of(const struct sockaddr *sa, sa_family_t *family)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)(const void *)sa;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)(const void *)sa;

	*family = sa->sa_family;
	if (sa->sa_family == AF_INET)
		return (const uint8_t *)&sin->sin_addr;
	if (sa->sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr))
		return (const uint8_t *)&sin6->sin6_addr;
	*family = AF_INET;
	return &sin6->sin6_addr.s6_addr[MAPPED_BITS / 8];
}

bool cidr_has(const struct cidr *cidr, const struct sockaddr *sa)
{
	sa_family_t family;
	const uint8_t *address = address_of(sa, &family), *network = cidr->address.s6_addr;
	const size_t whole = cidr->bits / 8;
	const uint8_t mask = (uint8_t)(0xff00u >> cidr->bits % 8);	/* of the byte behind those */

	if (family != cidr->family || memcmp(address, network, whole))
		return false;
	return !mask || !((address[whole] ^ network[whole]) & mask);
}
