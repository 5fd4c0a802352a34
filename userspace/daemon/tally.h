/* SPDX-License-Identifier: MIT */
/*
 * The kinds of things that workers count apart: why a handshake failed, why the kernel refused a
 * session, how long something took, what a handshake agreed on.  Workers turn an event into the
 * number of its kind, the monitor a number into the names that metrics have (metrics.h).
 */
#ifndef TLSGATE_DAEMON_TALLY_H
#define TLSGATE_DAEMON_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

/* Why a handshake failed. */
enum failure {
	FAILURE_TIMEOUT,
	FAILURE_TOO_MANY,		/* younger handshakes took its place */
	FAILURE_PEER_CLOSED,
	FAILURE_NETWORK,
	FAILURE_PROTOCOL_ERROR,		/* what came is no TLS, or breaks its rules */
	FAILURE_NO_COMMON_VERSION,
	FAILURE_NO_COMMON_PARAMETERS,	/* suite, group or signature scheme */
	FAILURE_NO_COMMON_ALPN,
	FAILURE_UNKNOWN_NAME,
	FAILURE_INTEGRITY,		/* a record or a Finished that does not authenticate */
	FAILURE_CERTIFICATE_MISSING,	/* the peer's, as those that follow */
	FAILURE_CERTIFICATE_EXPIRED,
	FAILURE_CERTIFICATE_REVOKED,
	FAILURE_CERTIFICATE_UNKNOWN_CA,
	FAILURE_CERTIFICATE_BAD,
	FAILURE_CERTIFICATE_NOT_ALLOWED,	/* by allow-client */
	FAILURE_PEER_REJECTED_CERTIFICATE,	/* ours */
	FAILURE_PEER_NO_COMMON_PARAMETERS,
	FAILURE_PEER_ALERT,		/* another one */
	FAILURE_KEY,			/* keyd did not sign or decrypt */
	FAILURE_PROXY_HEADER,		/* none came from accept-proxy, or a bad one */
	FAILURE_INTERNAL,
	FAILURES,
};

/* Of a result of the engine. */
enum failure tally_failure(int err);
extern const char * const tally_failures[FAILURES];	/* their names */

/* Why the kernel refused a session. */
enum refusal {
	REFUSAL_NO_MODULE,
	REFUSAL_PERMISSION,
	REFUSAL_SESSION_LIMIT,		/* of the network namespace */
	REFUSAL_RELAY_LIMIT,		/* of the user */
	REFUSAL_MEMORY,
	REFUSAL_BUSY,			/* somebody else has the socket */
	REFUSAL_NOT_CONNECTED,		/* the peer was gone first */
	REFUSAL_SUITE,
	REFUSAL_SERVER_SOCKET,		/* cannot take the connection */
	REFUSAL_SERVER_DOWN,		/* nobody listens, or the backlog is full */
	REFUSAL_HANDLE,			/* of the delivery */
	REFUSAL_OTHER,
	REFUSALS,
};

/* Of an error of libtlsgate. */
enum refusal tally_refusal(int err);
extern const char * const tally_refusals[REFUSALS];

/* How long something took: counters of the buckets, and one of the sum in microseconds. */
#define TALLY_BUCKETS	14u		/* the last one has no bound */
#define TALLY_SUM	TALLY_BUCKETS
#define TALLY_TIMES	(TALLY_BUCKETS + 1u)

unsigned int tally_bucket(uint64_t us);
/* The upper bound in seconds, as metrics write it: "0.001", "+Inf". */
const char *tally_bound(unsigned int bucket);

/* What a handshake agreed on. */
#define TALLY_SUITES	16u
#define TALLY_GROUPS	8u
#define TALLY_KINDS	(TALLY_SUITES * TALLY_GROUPS * 4u)

struct tally_kind {
	const char *version, *suite, *group;	/* "1.3", IANA names; group "none": RSA, or by PSK alone */
	bool resumed, client_certificate;
};

unsigned int tally_kind(const struct tls_conn_info *info, bool client_certificate);
/* kind: below TALLY_KINDS.  False: no handshake is of that kind, so a worker that was taken over counted it. */
bool tally_kind_names(unsigned int kind, struct tally_kind *out);

#endif
