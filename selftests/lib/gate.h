/* SPDX-License-Identifier: MIT */
/*
 * A gate and a server behind it, both in the test, on loopback: what the gate
 * accepts gets keys and goes into the server's accept queue.
 */
#ifndef TLSGATE_SELFTESTS_GATE_H
#define TLSGATE_SELFTESTS_GATE_H

#include "pair.h"

struct gate {
	struct tg *tg;
	int listener;		/* the gate's */
	int server;		/* the server's */
	int handle;
};

/* One connection of it. */
struct gated {
	int fd;			/* as the gate accepted it, -1 once that has closed it */
	uint32_t id;
	struct ref_keys tx, rx;	/* as installed */
	struct peer peer;
};

/* False: no family, or no loopback. */
bool gate_open(struct gate *g, int family);
/* The same with these listening sockets, which it closes in the end; -1: failed. */
bool gate_open_with(struct gate *g, int listener, int server);
void gate_free(struct gate *g);

/* A connection of TLS 1.3 to the gate, accepted, keys made, nothing installed. */
bool gate_accept(struct gate *g, struct gated *c);
/* The same of another version and suite. */
bool gate_accept_as(struct gate *g, struct gated *c, uint16_t version, uint16_t suite);
/* SESSION_NEW with the handle; 0 or negative errno. */
int gate_install(struct gate *g, struct gated *c);
/* The same with bytes that the gate has read already. */
int gate_install_pending(struct gate *g, struct gated *c, const void *data, size_t len);
/* The gate's close, which delivers. */
void gate_close(struct gated *c);
/* All three. */
bool gate_deliver(struct gate *g, struct gated *c);
bool gate_deliver_as(struct gate *g, struct gated *c, uint16_t version, uint16_t suite);
/* Closes what is left. */
void gated_free(struct gated *c);

/* What accept() gives within NET_DEADLINE, with time-outs; or -1. */
int gate_server_accept(int listener);
/* enum tlsgate_delivery of a session, -1: it has ended. */
int gate_delivery(struct gate *g, const struct gated *c);

/* A line each way, of which each byte is checked. */
bool gate_talks(struct gated *c, int app);
/* True once the machine has so many sessions. */
bool gate_sessions(int counters, long n);

#endif
