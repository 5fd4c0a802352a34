/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many relays a user may have, and whose workers move them.  A relay counts
 * for the user that made it and for the owner of each user namespace which that
 * user is in, up to the initial one, on the whole machine: neither namespaces nor
 * subordinate ids multiply the limit.
 */
#ifndef TG_LIMIT_H
#define TG_LIMIT_H

#include <linux/refcount.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>

struct user_namespace;

/**
 * struct tg_queue - where the relays of a user, or of a container, have their works
 * @key: in tg_queues, see tg_queue_key()
 * @refs: one for each relay that has it, one for a queued @free_work
 * @wq: the queue
 * @free_work: frees it if nobody has taken it meanwhile
 */
struct tg_queue {
	unsigned long key;
	refcount_t refs;
	struct workqueue_struct *wq;
	struct work_struct free_work;
};

/**
 * struct tg_payer - whom a relay counts for
 * @ns: the user namespace it was made in, with a reference
 * @uid: the user who made it
 */
struct tg_payer {
	struct user_namespace *ns;
	kuid_t uid;
};

/**
 * tg_relay_charge() - count one relay more for the calling user
 * @payer: filled, for tg_relay_uncharge()
 *
 * The limit is the caller's RLIMIT_NOFILE, as for descriptors in flight over
 * AF_UNIX: what outlives the descriptors is bounded by their limit.  Who has
 * CAP_SYS_RESOURCE or CAP_SYS_ADMIN in the initial user namespace has none,
 * and the machine's root owns namespaces without one.  Process context.
 *
 * Return: false if a limit is reached, or memory is short; then nothing counts.
 */
bool tg_relay_charge(struct tg_payer *payer);
/* The reverse, once.  Process context. */
void tg_relay_uncharge(struct tg_payer *payer);

/**
 * tg_queue_get() - the queue for the works of a relay that is charged
 * @payer: whom it is charged to
 *
 * Each user has one, and each container that the machine's root has made, so
 * that nobody waits for another's works.  Process context.
 *
 * Return: the queue, for tg_queue_put(), or NULL: no memory.
 */
struct tg_queue *tg_queue_get(const struct tg_payer *payer);
/* None of its works is queued, nor running.  Any context. */
void tg_queue_put(struct tg_queue *q);

/* No relay is left. */
int tg_limit_init(void);
void tg_limit_exit(void);

#endif /* TG_LIMIT_H */
