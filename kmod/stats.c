// SPDX-License-Identifier: GPL-2.0-only
/* Counters of a network namespace and the file that shows them. */
#include <linux/capability.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "stats.h"

#define TG_STATS_FILE	"tlsgate_stat"

static const char *const tg_stat_names[] = {
#define X(_stat, _name) _name,
	TG_STATS(X)
#undef X
};

static u64 sum(const u64 __percpu *counter)
{
	u64 total = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		total += *per_cpu_ptr(counter, cpu);
	return total;
}

static int show(struct seq_file *seq, void *v)
{
	const struct tg_net *tn = tg_net(seq->private);
	unsigned int i;

	seq_printf(seq, "%-32s%d\n", "sessions_current", atomic_read(&tn->count));
	for (i = 0; i < __TG_STAT_MAX; i++)
		seq_printf(seq, "%-32s%llu\n", tg_stat_names[i], sum(&tn->stats->stat[i]));
	for (i = 0; i < __TLSGATE_REASON_MAX; i++)
		seq_printf(seq, "reason_%-25s%llu\n", tg_reasons[i].name,
			   sum(&tn->stats->reason[i]));
	return 0;
}

/* To who may list sessions: the figures tell lengths of what others send. */
static int stats_open(struct inode *inode, struct file *file)
{
	struct net *net = pde_data(inode);

	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	return single_open(file, show, net);
}

/* Its end waits for calls under way, and none begins later: @net is there in each. */
static const struct proc_ops tg_stats_ops = {
	.proc_open = stats_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

int tg_stats_net_init(struct net *net, struct tg_net *tn)
{
	tn->stats = alloc_percpu(struct tg_stats);
	if (!tn->stats)
		return -ENOMEM;
	if (proc_create_data(TG_STATS_FILE, 0444, net->proc_net, &tg_stats_ops, net))
		return 0;
	free_percpu(tn->stats);
	return -ENOMEM;
}

void tg_stats_net_exit(struct net *net, struct tg_net *tn)
{
	remove_proc_entry(TG_STATS_FILE, net->proc_net);
	free_percpu(tn->stats);
}
