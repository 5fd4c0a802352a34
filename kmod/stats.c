// SPDX-License-Identifier: GPL-2.0-only
/* Counters of a network namespace and the file that shows them. */
#include <linux/capability.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "stats.h"

#define TG_STATS_FILE	"tlsgate_stat"

/* Offset of a counter in struct tg_stats, and its name. */
struct tg_stat_row {
	const char *name;
	size_t offset;
};

#define STAT(id, text)		{ text, offsetof(struct tg_stats, stat[TG_STAT_##id]) }
#define REASON(id, text)	{ "reason_" text, \
				  offsetof(struct tg_stats, reason[TLSGATE_REASON_##id]) }

static const struct tg_stat_row tg_stat_rows[] = {
	STAT(SESSIONS_OPENED, "sessions_opened"),
	STAT(SESSIONS_CLOSED, "sessions_closed"),
	STAT(RELAYS_OPENED, "relays_opened"),
	STAT(RELAYS_CLOSED, "relays_closed"),
	STAT(TX_RECORDS, "tx_records"),
	STAT(TX_BYTES, "tx_bytes"),
	STAT(RX_RECORDS, "rx_records"),
	STAT(RX_BYTES, "rx_bytes"),
	STAT(TX_REKEYS, "tx_rekeys"),
	STAT(RX_REKEYS, "rx_rekeys"),
	STAT(TX_PAST_LIMIT, "tx_past_limit"),
	STAT(RELAY_DIRECT, "relay_direct"),
	STAT(RX_STASHED, "rx_stashed"),
	STAT(EVENTS_LOST, "events_lost"),
	REASON(NONE, "none"),
	REASON(FINISHED, "finished"),
	REASON(LOCAL_CLOSE, "local_close"),
	REASON(ADMIN_CLOSE, "admin_close"),
	REASON(ADMIN_RESET, "admin_reset"),
	REASON(IDLE_TIMEOUT, "idle_timeout"),
	REASON(AEAD_LIMIT, "aead_limit"),
	REASON(TRUNCATED, "truncated"),
	REASON(PEER_RESET, "peer_reset"),
	REASON(PEER_ALERT, "peer_alert"),
	REASON(BAD_RECORD_MAC, "bad_record_mac"),
	REASON(RECORD_OVERFLOW, "record_overflow"),
	REASON(BAD_RECORD, "bad_record"),
	REASON(BAD_VERSION, "bad_version"),
	REASON(UNEXPECTED_MESSAGE, "unexpected_message"),
	REASON(BAD_KEY_UPDATE, "bad_key_update"),
	REASON(KEY_UPDATE_FLOOD, "key_update_flood"),
	REASON(EMPTY_RECORD_FLOOD, "empty_record_flood"),
	REASON(ALERT_FLOOD, "alert_flood"),
	REASON(MESSAGE_FLOOD, "message_flood"),
	REASON(PLAIN_RESET, "plain_reset"),
	REASON(PLAIN_ERROR, "plain_error"),
	REASON(NO_MEMORY, "no_memory"),
	REASON(CRYPTO_ERROR, "crypto_error"),
	REASON(SEQ_EXHAUSTED, "seq_exhausted"),
	REASON(REFUSED_FD, "refused_fd"),
	REASON(REFUSED_STATE, "refused_state"),
	REASON(REFUSED_ULP, "refused_ulp"),
	REASON(REFUSED_NETNS, "refused_netns"),
	REASON(REFUSED_SUITE, "refused_suite"),
	REASON(REFUSED_KEYS, "refused_keys"),
	REASON(REFUSED_LIMIT, "refused_limit"),
	REASON(REFUSED_USER_LIMIT, "refused_user_limit"),
	REASON(REFUSED_PERM, "refused_perm"),
	REASON(REFUSED_BUSY, "refused_busy"),
	REASON(NETNS_END, "netns_end"),
};

static_assert(ARRAY_SIZE(tg_stat_rows) == __TG_STAT_MAX + __TLSGATE_REASON_MAX,
	      "a counter has no name");

static u64 sum(const struct tg_stats __percpu *stats, size_t offset)
{
	u64 total = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		total += *(const u64 *)((const char *)per_cpu_ptr(stats, cpu) + offset);
	return total;
}

static int show(struct seq_file *seq, void *v)
{
	const struct tg_net *tn = tg_net(seq->private);
	unsigned int i;

	seq_printf(seq, "%-32s%d\n", "sessions_current", atomic_read(&tn->count));
	for (i = 0; i < ARRAY_SIZE(tg_stat_rows); i++)
		seq_printf(seq, "%-32s%llu\n", tg_stat_rows[i].name,
			   sum(tn->stats, tg_stat_rows[i].offset));
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
