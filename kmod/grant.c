// SPDX-License-Identifier: GPL-2.0-only
/* Delivery handles: a file that stands for the right to deliver. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>

#include "deliver.h"

static struct tg_end tg_end_of(const struct sock *sk, __be32 v4, const struct in6_addr *v6,
			       __be16 port)
{
	struct tg_end end = { .port = port };

	if (sk->sk_family == AF_INET6)
		end.addr = *v6;
	else
		ipv6_addr_set_v4mapped(v4, &end.addr);
	return end;
}

struct tg_end tg_end_local(const struct sock *sk)
{
	return tg_end_of(sk, sk->sk_rcv_saddr, &sk->sk_v6_rcv_saddr, inet_sk(sk)->inet_sport);
}

struct tg_end tg_end_peer(const struct sock *sk)
{
	return tg_end_of(sk, sk->sk_daddr, &sk->sk_v6_daddr, inet_sk(sk)->inet_dport);
}

static int tg_grant_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

/* The file holds the module. */
static const struct file_operations tg_grant_fops = {
	.owner		= THIS_MODULE,
	.release	= tg_grant_release,
};

struct file *tg_grant_file(const struct tg_grant *grant)
{
	struct tg_grant *copy = kmemdup(grant, sizeof(*grant), GFP_KERNEL_ACCOUNT);
	struct file *file;

	if (!copy)
		return ERR_PTR(-ENOMEM);
	file = anon_inode_getfile("[tlsgate]", &tg_grant_fops, copy, O_RDONLY);
	if (IS_ERR(file))
		kfree(copy);
	return file;
}

const struct tg_grant *tg_grant_of(const struct file *file)
{
	return file->f_op == &tg_grant_fops ? file->private_data : NULL;
}
