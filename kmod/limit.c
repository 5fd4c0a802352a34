// SPDX-License-Identifier: GPL-2.0-only
/* Counts relays for users and for the owners of their user namespaces, and keeps their queues. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <linux/xarray.h>

#include "relay.h"

/* Relays by user: uid to xa_value, absent for none; changed under its xa_lock. */
static DEFINE_XARRAY(tg_relay_users);

static DEFINE_XARRAY(tg_queues);
static struct workqueue_struct *tg_queues_wq;
static DEFINE_MUTEX(tg_queues_lock);	/* finding, making and freeing one; xa_lock inside */

static unsigned long tg_relay_limit(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE) ||
	       ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN) ? LONG_MAX : rlimit(RLIMIT_NOFILE);
}

/* Changes a user's number by one, unless it is at @max and would grow. */
static bool tg_relay_count(kuid_t uid, int change, unsigned long max)
{
	void *old, *seen, *new;
	unsigned long n;

	seen = xa_load(&tg_relay_users, __kuid_val(uid));
	do {
		old = seen;
		n = old ? xa_to_value(old) : 0;
		if (change > 0 && n >= max)
			return false;
		new = n + change ? xa_mk_value(n + change) : NULL;
		seen = xa_cmpxchg(&tg_relay_users, __kuid_val(uid), old, new, GFP_KERNEL);
		if (xa_is_err(seen))
			return false;
	} while (seen != old);
	return true;
}

/*
 * From a user to the owner of its namespace, past owners that were just counted
 * and past the machine's root, which has no limit.  False at the top.
 */
static bool tg_payer_next(struct tg_payer *p)
{
	kuid_t counted = p->uid;

	while (p->ns != &init_user_ns) {
		p->uid = p->ns->owner;
		p->ns = p->ns->parent;
		if (!uid_eq(p->uid, counted) && !uid_eq(p->uid, GLOBAL_ROOT_UID))
			return true;
	}
	return false;
}

bool tg_relay_charge(struct tg_payer *payer)
{
	struct tg_payer done = { current_user_ns(), current_uid() };
	unsigned long max = tg_relay_limit();
	struct tg_payer p = done;

	do {
		if (!tg_relay_count(p.uid, 1, max))
			goto undo;
	} while (tg_payer_next(&p));
	*payer = (struct tg_payer){ get_user_ns(done.ns), done.uid };
	return true;
undo:
	for (; done.ns != p.ns; tg_payer_next(&done))
		tg_relay_count(done.uid, -1, 0);
	return false;
}

void tg_relay_uncharge(struct tg_payer *payer)
{
	struct tg_payer p = *payer;

	do {
		tg_relay_count(p.uid, -1, 0);
	} while (tg_payer_next(&p));
	put_user_ns(payer->ns);
}

/* --- queues ---------------------------------------------------------------------- */

/* By the user; in user namespaces by the first one's owner, or by itself if that is root. */
static unsigned long tg_queue_key(const struct tg_payer *payer)
{
	u64 key = __kuid_val(payer->uid);
	const struct user_namespace *ns;

	for (ns = payer->ns; ns != &init_user_ns; ns = ns->parent)
		key = uid_eq(ns->owner, GLOBAL_ROOT_UID) ? BIT_ULL(32) | ns->ns.inum
							 : __kuid_val(ns->owner);
	return key;
}

static void tg_queue_free_work(struct work_struct *work)
{
	struct tg_queue *q = container_of(work, struct tg_queue, free_work);
	bool last;

	mutex_lock(&tg_queues_lock);
	last = refcount_dec_and_test(&q->refs);
	if (last)
		xa_erase(&tg_queues, q->key);
	mutex_unlock(&tg_queues_lock);
	if (!last)
		return;
	/* Outside the mutex: its works close files, whose locks netlink has inside its own. */
	destroy_workqueue(q->wq);
	kfree(q);
}

static struct tg_queue *tg_queue_new(unsigned long key)
{
	struct tg_queue *q = kzalloc(sizeof(*q), GFP_KERNEL);

	if (!q)
		return NULL;
	q->key = key;
	refcount_set(&q->refs, 1);
	INIT_WORK(&q->free_work, tg_queue_free_work);
	q->wq = alloc_workqueue("tlsgate-%lu", WQ_MEM_RECLAIM | WQ_PERCPU, 0, key);
	if (q->wq && !xa_err(xa_store(&tg_queues, key, q, GFP_KERNEL)))
		return q;
	if (q->wq)
		destroy_workqueue(q->wq);
	kfree(q);
	return NULL;
}

struct tg_queue *tg_queue_get(const struct tg_payer *payer)
{
	unsigned long key = tg_queue_key(payer);
	struct tg_queue *q;

	mutex_lock(&tg_queues_lock);
	q = xa_load(&tg_queues, key);
	if (q)
		refcount_inc(&q->refs);
	else
		q = tg_queue_new(key);
	mutex_unlock(&tg_queues_lock);
	return q;
}

void tg_queue_put(struct tg_queue *q)
{
	do {
		if (refcount_dec_not_one(&q->refs))
			return;
		/* The last one passes to the work; it is queued already only until it runs. */
	} while (!queue_work(tg_queues_wq, &q->free_work));
}

int __init tg_limit_init(void)
{
	tg_queues_wq = alloc_workqueue("tlsgate", WQ_MEM_RECLAIM | WQ_PERCPU, 0);
	return tg_queues_wq ? 0 : -ENOMEM;
}

/* No relay is left, so that each queue's work is queued. */
void tg_limit_exit(void)
{
	destroy_workqueue(tg_queues_wq);
}
