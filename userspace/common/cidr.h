/* SPDX-License-Identifier: MIT */
/* Networks as settings write them: 10.0.0.0/8, 2001:db8::/32, one address alone, or the word unix. */
#ifndef TLSGATE_COMMON_CIDR_H
#define TLSGATE_COMMON_CIDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct cidr {
	sa_family_t family;		/* AF_INET, AF_INET6, or AF_UNIX: every UNIX socket */
	uint8_t bits;			/* of address that count */
	struct in6_addr address;	/* or in_addr, in its first bytes */
};

/*
 * A mapped network, ::ffff:A.B.C.D/96 or more, is one of IPv4.  0, or -1 and *why is a static
 * sentence: also where bits are set that do not count, since such a text may be a mistake.
 */
int cidr_parse(const char *text, struct cidr *out, const char **why);

/* Is sa in it?  A mapped address is one of IPv4, so ::/0 has no IPv4 client of an IPv6 socket. */
bool cidr_has(const struct cidr *cidr, const struct sockaddr *sa);

#endif
