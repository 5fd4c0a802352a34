/* SPDX-License-Identifier: MIT */
/*
 * libtlsgate: talk to the tlsgate kernel module over generic netlink.
 *
 * A handle is two sockets: one for questions and answers, one (opened by
 * tlsgate_subscribe()) for events.  It belongs to one thread and one process
 * at a time: open a new one after fork().  Every call blocks until the kernel
 * has answered that very call; the kernel answers in the caller's context, so
 * that is as long as the call itself takes.  A call is counted as a success
 * only when the kernel's reply with the call's sequence number says so.
 *
 *	const char *why;
 *	struct tlsgate *tg;
 *	struct tlsgate_session_params params = TLSGATE_SESSION_PARAMS_INIT;
 *	uint32_t id;
 *
 *	if (tlsgate_open(&tg, &why))
 *		die("%s", why);
 *	params.fd = socket; params.version = TLSGATE_TLS_1_3; ... keys ...
 *	if (tlsgate_session_new(tg, &params, &id))
 *		die("%s", tlsgate_error(tg));
 *	tlsgate_wipe(&params, sizeof(params));
 *
 * Results: 0, or a negative errno:
 *	-ENOENT		no such session (tlsgate_open(): module not loaded)
 *	-EPERM		needs CAP_NET_ADMIN; to install: of who opened the socket, or a
 *			group that net.tlsgate.install_group_range names; or
 *			net.tlsgate.allow_install is 0
 *	-EBUSY		another descriptor or a call of another thread has the socket, or
 *			it is in use otherwise
 *	-EINVAL, -ERANGE, -EBADF, -ENOTSOCK, -ENOTCONN, -EEXIST, -EOPNOTSUPP,
 *	-ENOMEM, -ENOSPC...  as the kernel says; tlsgate_error() has its sentence
 *	-EPROTO		the kernel's answer cannot be understood
 *	-ENODEV		the module went away, or was loaded anew: open again
 */
#ifndef LIBTLSGATE_H
#define LIBTLSGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>

#include "tlsgate.h"		/* the netlink ABI */
#include "tlsgate_version.h"	/* TLSGATE_VERSION, this library's release */

#ifdef __cplusplus
extern "C" {
#endif

struct tlsgate;

/*
 * Finds the family.  On failure *out is NULL and *why (if why is not NULL) a
 * static sentence.  -ENOENT: the module is not loaded.  -EPFNOSUPPORT: it is of
 * another release, whose netlink interface is not the one of this library.
 */
int tlsgate_open(struct tlsgate **out, const char **why);

/*
 * The same in two steps, for a process that gives up its privilege between
 * them, or gets the socket from one that has some: who opened the socket
 * decides whether keys and relays may be installed by it (see tlsgate.h, "Who
 * may call"); who uses it needs none.
 *
 * tlsgate_socket() returns a netlink socket of the calling process's network
 * namespace, close-on-exec, or a negative errno.  tlsgate_open_fd() finds the
 * family by a duplicate of it: fd stays the caller's, to be closed at any time.
 * -EBADF, -ENOTSOCK, -EPROTOTYPE: fd is not what tlsgate_socket() returns.  One
 * socket is for one handle.
 */
int tlsgate_socket(void);
int tlsgate_open_fd(struct tlsgate **out, int fd, const char **why);

void tlsgate_close(struct tlsgate *tg);		/* NULL is fine */

/*
 * Would the kernel take keys by this handle?  0, or -EPERM, and then
 * tlsgate_error() says what is missing.  Installs nothing.
 */
int tlsgate_may_install(struct tlsgate *tg);

/* Version of the family as the loaded module announces it. */
unsigned int tlsgate_family_version(const struct tlsgate *tg);
/* The number that the kernel gave the family: a module that is loaded anew has another. */
unsigned int tlsgate_family_id(const struct tlsgate *tg);

/*
 * Why the last call on this handle failed, in one line: the kernel's own
 * sentence with the attribute it named in front ("rx: key: wrong length..."),
 * or strerror().  "" after a success.  Valid until the next call.
 */
const char *tlsgate_error(const struct tlsgate *tg);

/* ---- sessions ----------------------------------------------------------- */

/* One direction's keys; lengths as CIPHER_GET tells (see tlsgate.h). */
struct tlsgate_keys {
	uint8_t key[TLSGATE_KEY_MAX], iv[TLSGATE_IV_MAX], secret[TLSGATE_SECRET_MAX];
	uint8_t key_len, iv_len, secret_len;	/* secret_len 0 in TLS 1.2 */
	uint64_t seq;				/* of the next record */
};

/*
 * The keys of one direction of TLS 1.3 from its traffic secret (RFC 9846 section 7.3), as the key
 * log's CLIENT_TRAFFIC_SECRET_0 and SERVER_TRAFFIC_SECRET_0 have it: the client seals with the first.
 * keys->seq is 0: set it to the number of records already sealed with them, such as session tickets.
 *
 * The keys of both directions of TLS 1.2 from its master secret and the randoms of ClientHello and
 * ServerHello (RFC 5246 section 6.3).  seq is 1: the Finished of each side was the first record.
 *
 * 0, -EOPNOTSUPP: the module has no such suite in this version of TLS; -EINVAL: the secret is not as
 * long as the suite's hash; -ENOMEM.  On failure no key is left in them.  Both use libcrypto, and no
 * other call does.  The caller wipes the keys (tlsgate_wipe()).
 */
#define TLSGATE_MASTER_LEN	48		/* bytes */
#define TLSGATE_RANDOM_LEN	32
int tlsgate_keys_from_secret(struct tlsgate_keys *keys, uint16_t suite, const void *secret,
			     size_t secret_len);
int tlsgate_keys_from_master(struct tlsgate_keys *client, struct tlsgate_keys *server,
			     uint16_t suite, const uint8_t master[TLSGATE_MASTER_LEN],
			     const uint8_t client_random[TLSGATE_RANDOM_LEN],
			     const uint8_t server_random[TLSGATE_RANDOM_LEN]);

/* Only what "set" names is sent; the rest keeps its value, or its default. */
#define TLSGATE_SET_RECORD_SIZE		1u
#define TLSGATE_SET_PADDING		2u
#define TLSGATE_SET_IDLE_TIMEOUT	4u
struct tlsgate_options {
	unsigned int set;
	uint16_t record_size;			/* bytes, 63..16384; 0 = 16384 */
	uint16_t padding;			/* bytes, 0..4096 */
	uint32_t idle_timeout;			/* ms, relay only; 0 = none */
};

struct tlsgate_session_params {
	int fd;					/* the TLS peer's TCP socket */
	uint16_t version, suite;		/* TLSGATE_TLS_1_3, IANA number */
	enum tlsgate_role role;
	struct tlsgate_keys tx, rx;
	const void *rx_pending;			/* TLS bytes read beyond the handshake */
	size_t rx_pending_len;			/* 0..TLSGATE_RX_PENDING_MAX */
	int relay_fd;				/* plain socket to join, or -1 */
	struct tlsgate_options options;
	const void *label;			/* any bytes that name the session */
	size_t label_len;			/* 0..TLSGATE_LABEL_MAX; 0: none */
};
#define TLSGATE_SESSION_PARAMS_INIT	{ .fd = -1, .relay_fd = -1 }

/*
 * Makes params->fd a TLS socket, and with relay_fd joins the two, in one step: on
 * failure both sockets are as they were.  The fds must be the sockets' only
 * descriptors, with no other thread in a call on them, poll() included (-EBUSY);
 * an epoll may watch them.  -EMSGSIZE: rx_pending or label is too long.  The fds
 * stay the caller's.  With a relay both sockets
 * are the kernel's from then on: whoever still holds a descriptor can close it,
 * and nothing else.  The message with the keys is wiped before this returns;
 * params is the caller's to wipe (tlsgate_wipe()).
 */
int tlsgate_session_new(struct tlsgate *tg, const struct tlsgate_session_params *params,
			uint32_t *id);

/*
 * Delivery: the keyed socket goes into the accept queue of the TCP socket that listens at
 * "server", whose program accepts a connection from the TLS peer's address and reads and writes
 * plaintext.
 *
 * tlsgate_deliver_new() makes a handle for the connections that are accepted at "local", whose
 * address may be 0.0.0.0 for any IPv4 one and :: for any, and that go to "server".  It needs
 * CAP_NET_ADMIN, of the caller and of who opened tg's socket.  Returns a descriptor, close-on-exec, or a negative errno.
 * Whoever has it may deliver; it ends when its last copy is closed.
 *
 * tlsgate_session_deliver() is tlsgate_session_new() by such a handle: role server, and neither
 * relay_fd nor an idle time-out.  After it params->fd can be closed, and nothing else; the close
 * of its last descriptor delivers.  Refused for what is configured: -EADDRNOTAVAIL: server is no
 * address of this network namespace; -ESOCKTNOSUPPORT: its socket cannot take the connection; for
 * what may be otherwise soon: -ECONNREFUSED: nobody listens; -EAGAIN: its backlog is full.  -EACCES,
 * -EXDEV: the handle is not for this socket; -EBADF: it is none.  No other refusal has one of the
 * first four.
 */
int tlsgate_deliver_new(struct tlsgate *tg, const struct sockaddr *local, socklen_t local_len,
			const struct sockaddr *server, socklen_t server_len);
int tlsgate_session_deliver(struct tlsgate *tg, const struct tlsgate_session_params *params,
			    int handle, uint32_t *id);

/*
 * Which session is meant: by id, which needs CAP_NET_ADMIN, or by a socket of the
 * caller's, which needs that or a handle that may install.
 */
struct tlsgate_target {
	uint32_t id;				/* 0: by fd */
	int fd;
};

static inline struct tlsgate_target tlsgate_by_id(uint32_t id)
{
	struct tlsgate_target target = { id, -1 };

	return target;
}

static inline struct tlsgate_target tlsgate_by_fd(int fd)
{
	struct tlsgate_target target = { 0, fd };

	return target;
}

/* An address as the kernel gave it; len 0: not reported (e.g. no relay). */
struct tlsgate_address {
	socklen_t len;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

struct tlsgate_session {
	uint32_t id;
	uint16_t version, suite;
	uint8_t role;				/* enum tlsgate_role */
	uint8_t state;				/* enum tlsgate_state */
	uint16_t reason;			/* enum tlsgate_reason */
	int alert;				/* last sent or received, -1: none */
	struct tlsgate_address local, peer, relay_local, relay_peer;
	struct tlsgate_address server;		/* it is delivered to; len 0: it is not */
	uint8_t delivery;			/* enum tlsgate_delivery, with a server */
	uint64_t tx_bytes, rx_bytes, tx_records, rx_records;
	uint32_t tx_epoch, rx_epoch;
	uint64_t age, idle;			/* ms */
	uint32_t idle_timeout;			/* ms, 0: none */
	uint16_t record_size, padding;
	uint32_t uid;
	uint64_t cookie;
	uint32_t netns;				/* inode number of its network namespace */
	char label[TLSGATE_LABEL_MAX + 1];	/* as installed, and a NUL; escape it before printing */
	uint8_t label_len;			/* without that NUL; 0: none */
	uint8_t tx_past_limit;			/* 1: a TLS 1.2 key sealed more than its limit */
};

int tlsgate_session_get(struct tlsgate *tg, struct tlsgate_target target,
			struct tlsgate_session *session);

/*
 * Calls each() for every session of this network namespace; needs CAP_NET_ADMIN.
 * A result other than 0 from it ends the calls and becomes the result.  A session that is
 * there from the first call to the last is seen once; one that comes or goes meanwhile is
 * seen once or not at all.  each() must not call on tg.
 */
int tlsgate_session_dump(struct tlsgate *tg,
			 int (*each)(void *arg, const struct tlsgate_session *session), void *arg);

/*
 * The same for the network namespace with this inode number, or with
 * TLSGATE_ALL_NETNS for every one of the machine; needs CAP_NET_ADMIN in the
 * initial user namespace, with which every other call takes the ids it tells.
 */
#define TLSGATE_ALL_NETNS	0u
int tlsgate_session_dump_netns(struct tlsgate *tg, uint32_t netns,
			       int (*each)(void *arg, const struct tlsgate_session *session),
			       void *arg);

int tlsgate_session_set(struct tlsgate *tg, struct tlsgate_target target,
			const struct tlsgate_options *options);
/* KeyUpdate for what we send; TLS 1.3 only. */
int tlsgate_session_rekey(struct tlsgate *tg, struct tlsgate_target target);
int tlsgate_session_del(struct tlsgate *tg, struct tlsgate_target target,
			enum tlsgate_close_how how);

/*
 * Joins an established session with a plain stream socket: as relay_fd of
 * tlsgate_session_new() does, with a handle that may install, and of both sockets
 * the caller has the only descriptor.  options may be NULL; only its idle_timeout
 * is looked at.
 */
int tlsgate_relay_new(struct tlsgate *tg, int fd, int plain_fd,
		      const struct tlsgate_options *options);

/* ---- ciphers -------------------------------------------------------------- */

struct tlsgate_cipher {
	uint16_t version, suite;
	char name[64];				/* IANA */
	char driver[128];			/* crypto driver; "": the kernel has none */
	uint8_t key_len, iv_len, tag_len, secret_len;
};

/* As tlsgate_session_dump(); a handle that may install does as well. */
int tlsgate_cipher_dump(struct tlsgate *tg,
			int (*each)(void *arg, const struct tlsgate_cipher *cipher), void *arg);

/* ---- events ---------------------------------------------------------------- */

struct tlsgate_event {
	enum tlsgate_cmd kind;			/* TLSGATE_CMD_NTF_... */
	/*
	 * session.id always.  OPENED, CLOSED: all of it.  REKEYED: the epochs.
	 * AUTH_FAILED: rx_records is the number of the record that failed.
	 */
	struct tlsgate_session session;
	const void *message;			/* NTF_MESSAGE, else NULL; valid in the call */
	size_t message_len;
};

/* Joins the group "events" (CAP_NET_ADMIN); what happens from now on is queued. */
int tlsgate_subscribe(struct tlsgate *tg);
/* Readable when an event waits; -1 before tlsgate_subscribe().  Poll only. */
int tlsgate_event_fd(const struct tlsgate *tg);
/*
 * Calls each() for every event that waits, without blocking.  A result other
 * than 0 from it ends the calls and becomes the result (events read in the
 * same datagram are lost).  -ENOBUFS: the kernel dropped events, since the
 * queue was full or memory short; list the sessions anew and go on.  -ENODEV:
 * the module was unloaded, and no more events come.  each() must not call on tg.
 */
int tlsgate_event_receive(struct tlsgate *tg,
			  int (*each)(void *arg, const struct tlsgate_event *event), void *arg);

/* ---- names ------------------------------------------------------------------ */

struct tlsgate_reason_info {
	enum tlsgate_reason reason;
	const char *name;			/* "bad_record_mac", as in /proc/net/tlsgate_stat */
	const char *text;			/* one sentence: what happened, what to do */
};

/* One row for each enum tlsgate_reason, in its order; ends with name NULL. */
const struct tlsgate_reason_info *tlsgate_reasons(void);
/* Static; "unknown" for a number this library does not know. */
const char *tlsgate_reason_name(uint16_t reason);
const char *tlsgate_reason_text(uint16_t reason);
const char *tlsgate_state_name(uint8_t state);		/* "established" */
const char *tlsgate_delivery_name(uint8_t delivery);	/* "queued" */
const char *tlsgate_role_name(uint8_t role);		/* "client" */
const char *tlsgate_version_name(uint16_t version);	/* "TLS 1.3" */
const char *tlsgate_event_name(enum tlsgate_cmd kind);	/* "opened" */

#define TLSGATE_ADDRESS_TEXT_MAX	448
/*
 * "192.0.2.1:443", "[2001:db8::1]:443", "unix:/run/x", "unix:@abstract", "unix:" (unnamed),
 * "-" (none).  Printable ASCII only: other bytes, and a backslash, as \xNN.
 */
const char *tlsgate_address_text(const struct tlsgate_address *address,
				 char text[TLSGATE_ADDRESS_TEXT_MAX]);

/* Clears memory in a way the compiler keeps. */
void tlsgate_wipe(void *p, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* LIBTLSGATE_H */
