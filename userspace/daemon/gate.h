/* SPDX-License-Identifier: MIT */
/*
 * A gate ready to run: settings turned into an engine configuration and
 * addresses.  The monitor builds it, so that whatever is wrong is found before
 * anything changes; children inherit it by fork and only read it.
 */
#ifndef TLSGATE_DAEMON_GATE_H
#define TLSGATE_DAEMON_GATE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/cidr.h"
#include "daemon/certdir.h"
#include "daemon/detour.h"
#include "daemon/listener.h"
#include "daemon/pool.h"
#include "daemon/settings.h"
#include "daemon/tickets.h"
#include "engine/engine.h"

struct gate {
	const struct gate_settings *settings;
	struct tls_config *config;
	bool sound;			/* gate_build() found nothing wrong */
	struct cert_files files;	/* of its certificates */
	struct tls_certificate **certs;	/* files.count of them; NULL: refused */
	int64_t *staple_until;		/* of certs[i]: when its OCSP response ends; 0: has none */
	int64_t *crl_until;		/* of settings->crls: when it ends; 0: has, and it was said */
	struct addr *listens;		/* of settings->listen */
	struct cidr *proxies;		/* of settings->accept_proxy */
	size_t proxy_count;
	uint32_t first_key_id;		/* of certs[0]; the others follow */
	struct pool *pools;		/* of the gate's own backend; then of settings->blocks */
	size_t pool_count;
	size_t address_count;		/* of its backends, each once; in the monitor */
	char host[HOST_NAME_MAX + 1];	/* this machine's name, for greetings */
	struct listener **listeners;	/* settings->listen.count of them; NULL once put */
	struct binding binding;		/* of session tickets */
	struct tickets *tickets;	/* serve */
	int *handles;			/* by settings->listen; NULL: nothing is delivered */
	size_t handle_count;
	struct detour *detour;		/* with handles */
	char why_not[DETOURS][256];	/* the last cause, by kind; without handles [0]; the monitor's */
	bool passes;			/* the TLS of some clients is somebody else's */
	bool kernel;			/* hand over to the kernel, when it is there */
	bool limited;			/* some limit of limits.h is set, and census is its number (census.h) */
	size_t census;
	bool counted;			/* the monitor counts what the kernel carries for it (ledger.h) */
	bool adaptive;			/* ... what is worth it; what it refuses goes on here */
};

/*
 * Builds everything but the listeners.  keylog_fd: -1, or where key log lines
 * go.  *next_key_id counts on over gates.  0, or -1 and a line was logged for each
 * error; gate_clear() is due in both cases.
 */
int gate_build(struct gate *gate, const struct gate_settings *settings, int keylog_fd,
	       uint32_t *next_key_id);

/*
 * Versions, suites, groups, ALPN and the message limit of a gate, for any configuration.
 * 0, or -1 and a line was logged for each that the engine does not take.
 */
int gate_set_protocol(const struct gate_settings *settings, struct tls_config *config);

/*
 * Gets the listeners for so many workers: bound, not listening.  0, or -1 and
 * a line was logged for each that cannot be had.
 */
int gate_bind(struct gate *gate, struct listeners *all, size_t workers);
/* Says what gate_bind() would, as far as dry_listen.h finds it.  0, or -1 and a line was logged for each refusal. */
int gate_try_bind(const struct gate *gate);
/* Gives the listeners back; allowed twice. */
void gate_unbind(struct gate *gate, struct listeners *all);

/* The backend of all connections, where there is but one; else NULL. */
struct member *gate_only_member(const struct gate *gate);

/* In the monitor: reads the files of ticket-keys again, for all processes that use the gate. */
void gate_read_tickets(struct gate *gate);
/* In a child that resolves names: it has no use for the ticket keys. */
void gate_forget(struct gate *gate);

/*
 * What time does to a gate: the ticket keys of this hour, OCSP responses and
 * CRLs that end.  Now and then in each process that uses them.
 */
void gate_refresh(struct gate *gate);

#define GATE_DATE_MAX	32

/* "2026-01-31 00:00:00 UTC", for log lines. */
const char *gate_date(int64_t when, char text[GATE_DATE_MAX]);

/* Frees all but the settings; the listeners must have been given back. */
void gate_clear(struct gate *gate);

#endif
