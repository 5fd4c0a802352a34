/* SPDX-License-Identifier: MIT */
/* Addresses as the command line writes them: ADDR:PORT, [V6]:PORT, :PORT, unix:/path, unix:@abstract. */
#ifndef TLSGATE_COMMON_ADDR_H
#define TLSGATE_COMMON_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ADDR_TEXT_MAX	(sizeof(struct sockaddr_un) + 8)
#define ADDR_HOST_MAX	256
#define ADDR_LIST_MAX	8

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_storage storage;
		struct sockaddr_un un;
	};
	socklen_t len;
};

/*
 * An address to listen on: ADDR:PORT and [V6]:PORT, numeric; :PORT is every
 * address, IPv6 and IPv4; an IPv4-mapped address is one of IPv4; unix:/path, up to a comma, and
 * unix:@name.  0, or -1 and *why is a static sentence.
 */
int addr_parse_listen(const char *text, struct addr *out, const char **why);

/*
 * Where to connect: numeric as above (:PORT is this host, 127.0.0.1, as are 0.0.0.0 and
 * [::], ::1, and localhost, both), NAME:PORT, resolved now (this may block), unix:/path or unix:@name.  Fills at most ADDR_LIST_MAX, to be tried
 * in order, and returns how many, or -1 and *why is a sentence, static or the
 * resolver's.
 */
int addr_resolve(const char *text, struct addr out[ADDR_LIST_MAX], const char **why);

/*
 * An address that a resolver found, of IPv4 or IPv6, whose port is port already, in the form
 * that addr_resolve() gives: an IPv4-mapped one is one of IPv4, 0.0.0.0 and [::] are this host.
 */
void addr_take(struct addr *out, const struct sockaddr *sa, socklen_t len, const char *port);

/* Of a text that addr_is_valid() takes: may addr_resolve() have to ask a server for its name? */
bool addr_is_name(const char *text);

/* Is the syntax one that addr_resolve() takes?  Resolves nothing. */
bool addr_is_valid(const char *text, const char **why);

/*
 * Splits HOST:PORT, [V6]:PORT or :PORT (host then ""), without resolving.
 * *port points into text.  0, or -1 and *why is a static sentence.
 */
int addr_split(const char *text, char host[ADDR_HOST_MAX], const char **port, const char **why);

/* Is it unix:@name, which is of the network namespace and no file? */
bool addr_is_abstract(const char *text);

/* Its port, in the host's order; 0: it is a UNIX socket.  text: one that addr_is_valid() takes. */
uint16_t addr_port(const char *text);

/* In the host's order; 0: it has none. */
uint16_t addr_port_of(const struct addr *addr);

/* "1.2.3.4:443", "[::1]:443", "unix:/path", "unix:@name"; IPv4-mapped addresses as IPv4.  Returns buf. */
const char *addr_format(const struct sockaddr *sa, socklen_t len, char buf[ADDR_TEXT_MAX]);

/* On this host for sure: a UNIX socket or a loopback address. */
bool addr_is_local(const struct addr *addr);

/* An address of this host, as the network namespace has them now, or addr_is_local(). */
bool addr_is_own(const struct addr *addr);

/* Does what comes to addr reach who listens on listen: it, or every address and the port? */
bool addr_covers(const struct addr *listen, const struct addr *addr);

/* Same address and port, or the file of a UNIX socket (unix_path_same())? */
bool addr_equal(const struct addr *a, const struct addr *b);

#endif
