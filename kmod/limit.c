// SPDX-License-Identifier: GPL-2.0-only
/* Counts relays for users and for the owners of their user namespaces, and keeps their queues. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/sched/signal.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "compat.h"
#include "limit.h"

/* Relays by user: uid to xa_value, absent for none; changed under its xa_lock. */
static DEFINE_XARRAY(tg_relay_users);
/* Queues by user; only ever added to. */
static DEFINE_XARRAY(tg_relay_queues);

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

struct workqueue_struct *tg_relay_queue(const struct tg_payer *payer)
{
	struct workqueue_struct *queue, *other;
	const struct user_namespace *ns;
	kuid_t uid = payer->uid;

	for (ns = payer->ns; ns != &init_user_ns; ns = ns->parent)
		uid = ns->owner;
	queue = xa_load(&tg_relay_queues, __kuid_val(uid));
	if (queue)
		return queue;
	queue = alloc_workqueue("tlsgate-%u", WQ_MEM_RECLAIM | WQ_PERCPU, 0, __kuid_val(uid));
	if (!queue)
		return NULL;
	other = xa_cmpxchg(&tg_relay_queues, __kuid_val(uid), NULL, queue, GFP_KERNEL);
	if (!other)
		return queue;
	destroy_workqueue(queue);
	return xa_is_err(other) ? NULL : other;
}

void tg_limit_exit(void)
{
	struct workqueue_struct *queue;
	unsigned long uid;

	xa_for_each(&tg_relay_queues, uid, queue)
		destroy_workqueue(queue);
	xa_destroy(&tg_relay_queues);
}
