// SPDX-License-Identifier: GPL-2.0-only
/* Who may reach the module, and the two sysctls that say so; see access.h. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/netlink.h>
#include <linux/nsproxy.h>
#include <linux/slab.h>
#include <linux/sysctl.h>
#include <net/sock.h>

#include "access.h"
#include "stats.h"

#define TG_SYSCTLS	2

/**
 * struct tg_settings - the settings of a network namespace
 * @header: of the registered @table
 * @table: the sysctls; one more row ends it for kernels that do not count
 * @groups: who may install besides CAP_NET_ADMIN: group ids from the upper half to the
 *	lower; none if that is less
 * @allowed: sysctl allow_install
 */
struct tg_settings {
	struct ctl_table_header *header;
	struct ctl_table table[TG_SYSCTLS + 1];
	atomic64_t groups;
	int allowed;
};

/* ---- the question --------------------------------------------------------------- */

/* A group unknown in @ns is -1 there, which is in no range. */
static bool tg_group_in(u64 groups, struct user_namespace *ns, kgid_t kgid)
{
	gid_t gid = from_kgid(ns, kgid);

	return gid >= upper_32_bits(groups) && gid <= lower_32_bits(groups);
}

static bool tg_cred_in(u64 groups, struct user_namespace *ns, const struct cred *cred)
{
	const struct group_info *more = cred->group_info;
	int i;

	if (tg_group_in(groups, ns, cred->egid))
		return true;
	for (i = 0; i < more->ngroups; i++)
		if (tg_group_in(groups, ns, more->gid[i]))
			return true;
	return false;
}

/* The sender is inside its call on the file, which so stays; a kernel socket has none. */
static bool tg_opener_may_install(const struct sk_buff *skb, const struct net *net,
				  struct tg_settings *a)
{
	const struct socket *sock = NETLINK_CB(skb).sk->sk_socket;
	const struct file *file = sock ? sock->file : NULL;
	u64 groups = atomic64_read(&a->groups);

	/* The groups first: that a member lacks the capability is nothing to audit. */
	return file && (tg_cred_in(groups, net->user_ns, file->f_cred) ||
			file_ns_capable(file, net->user_ns, CAP_NET_ADMIN));
}

int tg_access_check(struct sk_buff *skb, struct net *net, enum tg_access to,
		    struct netlink_ext_ack *extack)
{
	struct tg_settings *a = tg_net(net)->settings;
	bool allowed = READ_ONCE(a->allowed);
	struct user_namespace *ns = allowed ? net->user_ns : &init_user_ns;

	/* Not by the opener alone: who was passed the socket could deliver anything. */
	if (allowed && to != TG_GRANT && tg_opener_may_install(skb, net, a))
		return 0;
	if (to != TG_INSTALL && netlink_ns_capable(skb, ns, CAP_NET_ADMIN))
		return 0;
	tg_stat_reason(net, TLSGATE_REASON_REFUSED_PERM);
	if (allowed && to != TG_INSTALL)
		NL_SET_ERR_MSG(extack,
			       "needs CAP_NET_ADMIN in the user namespace that owns this network namespace");
	else if (allowed)
		NL_SET_ERR_MSG(extack,
			       "the socket's opener needs CAP_NET_ADMIN or a group of net.tlsgate.install_group_range");
	else
		NL_SET_ERR_MSG(extack,
			       "off in this network namespace: root of the machine can set net.tlsgate.allow_install to 1");
	return -EPERM;
}

/* ---- the settings ------------------------------------------------------------------ */

/* Both values are taken or neither: what is not written stays above the greatest. */
static int tg_sysctl_groups(TG_CTL_TABLE *table, int write, void *buf, size_t *len, loff_t *pos)
{
	static unsigned long max = U32_MAX - 1;		/* -1 is no group */
	struct tg_settings *a = table->data;
	u64 groups = write ? U64_MAX : atomic64_read(&a->groups);
	unsigned long range[] = { upper_32_bits(groups), lower_32_bits(groups) };
	struct ctl_table both = {
		.data = range, .maxlen = sizeof(range), .mode = table->mode, .extra2 = &max,
	};
	int err = proc_doulongvec_minmax(&both, write, buf, len, pos);

	if (err || !write)
		return err;
	if (range[0] > max || range[1] > max)
		return -EINVAL;
	atomic64_set(&a->groups, (u64)range[0] << 32 | range[1]);
	return 0;
}

/*
 * The namespace's owner may write its other settings, but not this one, nor have a
 * set-user-ID program write it to a descriptor of the owner's: such a program is not
 * in the namespace, since who is there has only the owner's user namespace.
 */
static int tg_sysctl_allow(TG_CTL_TABLE *table, int write, void *buf, size_t *len, loff_t *pos)
{
	struct tg_settings *a = container_of(table->data, struct tg_settings, allowed);

	if (write && (tg_net(current->nsproxy->net_ns)->settings != a || !capable(CAP_NET_ADMIN)))
		return -EPERM;
	return proc_dointvec_minmax(table, write, buf, len, pos);
}

int tg_access_net_init(struct net *net, struct tg_net *tn)
{
	struct tg_settings *a = kzalloc(sizeof(*a), GFP_KERNEL_ACCOUNT);

	if (!a)
		return -ENOMEM;
	atomic64_set(&a->groups, 1ULL << 32);
	a->allowed = net->user_ns == &init_user_ns;
	a->table[0] = (struct ctl_table){
		.procname = "install_group_range", .data = a, .maxlen = 2 * sizeof(unsigned long),
		.mode = 0644, .proc_handler = tg_sysctl_groups,
	};
	a->table[1] = (struct ctl_table){
		.procname = "allow_install", .data = &a->allowed, .maxlen = sizeof(a->allowed),
		.mode = 0644, .proc_handler = tg_sysctl_allow,
		.extra1 = SYSCTL_ZERO, .extra2 = SYSCTL_ONE,
	};
	a->header = register_net_sysctl_sz(net, "net/tlsgate", a->table, TG_SYSCTLS);
	if (!a->header) {
		kfree(a);
		return -ENOMEM;
	}
	tn->settings = a;
	return 0;
}

void tg_access_net_exit(struct tg_net *tn)
{
	unregister_net_sysctl_table(tn->settings->header);
	kfree(tn->settings);
}
