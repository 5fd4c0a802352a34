/* SPDX-License-Identifier: MIT */
/*
 * A name's addresses, and for how long they are good: by c-ares, from /etc/hosts and the name
 * servers of /etc/resolv.conf.  Where the line "hosts" of /etc/nsswitch.conf has anything but
 * the services files and dns (resolve, myhostname, mdns, an action in brackets), libc is asked
 * instead: its modules are what the operator of this machine chose, and libc tells no time to
 * live.
 */
#ifndef TLSGATE_DAEMON_HOSTS_H
#define TLSGATE_DAEMON_HOSTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/addr.h"

#define HOSTS_NO_TTL	UINT32_MAX
#define HOSTS_SECONDS	30

/*
 * Asks for backend, NAME:PORT, and blocks: HOSTS_SECONDS at most, or as long as libc takes, which
 * may be for ever.  In a process for this one question, under FILTER_NAMES; it is under FILTER_ASKER from then on,
 * unless libc is asked.  Returns how many addresses, of both families, in the order of RFC 6724;
 * what is more than ADDR_LIST_MAX is left out.  *ttl: seconds, the least of these addresses and
 * the aliases (CNAME) on the way to them; 0 of those in /etc/hosts; HOSTS_NO_TTL: not known.
 * Without any, -1 or 0, and *why, which the caller has set, is a sentence, static or the resolver's.
 */
int hosts_find(const char *backend, struct addr out[ADDR_LIST_MAX], uint32_t *ttl, const char **why);

/* Does the hosts line of a file like nsswitch.conf have no service but files and dns? */
bool hosts_are_plain(FILE *nsswitch);

#endif
