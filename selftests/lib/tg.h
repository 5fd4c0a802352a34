/* SPDX-License-Identifier: MIT */
/*
 * The netlink family as the tests see it: messages laid out by hand from
 * kmod/uapi/tlsgate.h over libnl, apart from libtlsgate so that the two do not
 * share a mistake.  Calls return 0 or a negative errno as the kernel gave it.
 */
#ifndef TLSGATE_SELFTESTS_TG_H
#define TLSGATE_SELFTESTS_TG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <tlsgate.h>

#include "ref.h"

#define TG_REPLY_MAX	16384

/* What the last call was told. */
struct tg_ack {
	char msg[256];		/* extended ack, "" if there was none */
	int at;			/* type of the attribute it points at, -1: none */
	int at_parent;		/* the nest that attribute is in, 0: top level */
	int missing;		/* type of the attribute it misses, -1: none */
};

struct tg {
	struct nl_sock *sk;
	int family;
	int group;		/* of multicast group "events" */
	struct tg_ack ack;
	uint8_t raw[TG_REPLY_MAX];	/* every byte the last call received */
	size_t raw_len;
};

/* One message of the family, attributes by type. */
struct tg_info {
	uint8_t cmd;
	uint32_t len;
	uint8_t buf[TG_REPLY_MAX];
	struct nlattr *attr[TLSGATE_A_MAX + 1];
};

/* NULL: no such family (the module is not loaded), or no memory. */
struct tg *tg_open(void);
/* The same with family and group known: for a process in another namespace. */
struct tg *tg_open_like(const struct tg *tg);
/* The same over a netlink socket that somebody opened; it is closed with it. */
struct tg *tg_open_fd(const struct tg *tg, int fd);
void tg_close(struct tg *tg);

/* True if the ack carries a sentence and names the attribute, by place or by name. */
bool tg_names(const struct tg *tg, int parent, int attr);

struct nl_msg *tg_msg(struct tg *tg, int cmd, int flags);
/* Sends and frees msg; each() may be NULL and sees every message of the family. */
int tg_call(struct tg *tg, struct nl_msg *msg, void (*each)(const struct tg_info *, void *),
	    void *arg);

/* Attribute values; 0 where it is absent. */
bool tg_has(const struct tg_info *in, int attr);
uint64_t tg_num(const struct tg_info *in, int attr);	/* any integer width */

struct tg_install {
	int fd;
	uint16_t version, suite;
	uint8_t role;
	const struct ref_keys *tx, *rx;
	const void *pending;
	size_t pending_len;
	int relay_fd;		/* -1: none */
	int deliver_fd;		/* -1: none */
	int idle_timeout;	/* -1: attribute absent, as in the next two */
	int record_size;
	int padding;
	const void *label;	/* NULL: attribute absent */
	size_t label_len;
};

enum tg_edit_op {
	TG_EDIT_NONE,
	TG_OMIT,
	TG_REPLACE,
	TG_APPEND,
};

/* Makes one attribute of the message wrong; parent 0, TLSGATE_A_TX or TLSGATE_A_RX. */
struct tg_edit {
	enum tg_edit_op op;
	int parent;
	int attr;
	const void *data;
	size_t len;
};

/* What SESSION_NEW needs for keys tx (ours, sealing) and rx on fd, nothing optional. */
struct tg_install tg_install_on(int fd, const struct ref_keys *tx, const struct ref_keys *rx);
struct nl_msg *tg_install_msg(struct tg *tg, const struct tg_install *in,
			      const struct tg_edit *edit);
int tg_session_new(struct tg *tg, const struct tg_install *in, uint32_t *id);

/* Whom a command is about: by id, or by fd where id is 0. */
struct tg_who {
	uint32_t id;
	int fd;
};
#define BY_ID(n)	((struct tg_who){ .id = (n) })
#define BY_FD(n)	((struct tg_who){ .fd = (n) })

int tg_session_get(struct tg *tg, struct tg_who who, struct tg_info *out);
/* Counts sessions; out, if not NULL, gets the one called id. */
int tg_session_dump(struct tg *tg, uint32_t id, struct tg_info *out, int *count);
/* The same of the network namespace with this inode number, 0: of all. */
int tg_session_dump_of(struct tg *tg, uint32_t netns, uint32_t id, struct tg_info *out, int *count);
/* An integer of 1, 2 or 4 bytes with that value, in this machine's byte order. */
const void *tg_of_width(const uint32_t *value, int width);
/* attr of width bytes (0: none) */
int tg_session_set(struct tg *tg, struct tg_who who, int attr, uint32_t value, int width);
int tg_session_rekey(struct tg *tg, struct tg_who who);
int tg_session_del(struct tg *tg, struct tg_who who, int how);	/* how < 0: absent */
int tg_relay_new(struct tg *tg, int fd, int relay_fd, int idle_timeout);
/* A handle for what is accepted at one address and goes to another, or negative errno. */
int tg_deliver_new(struct tg *tg, const void *local, size_t local_len, const void *server,
		   size_t server_len);

/* How many hold the module; -1: it is not loaded. */
long tg_module_refs(void);
/* The counters of this process's network namespace, opened; -1 if there are none. */
int tg_counters(void);
/* One of them by its name in /proc/net/tlsgate_stat; aborts if there is none such. */
uint64_t tg_counter(int counters, const char *name);

/* Joins "events" on this socket, which should then serve nothing else. */
int tg_listen(struct tg *tg);
/* A socket of its own that has joined; NULL as tg_open(), or this user may not. */
struct tg *tg_open_ear(void);
/* The next event of command cmd about session id (0: any), others skipped; 0 or -ETIMEDOUT. */
int tg_event(struct tg *tg, int cmd, uint32_t id, struct tg_info *out, int ms);

#endif
