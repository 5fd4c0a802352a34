// SPDX-License-Identifier: MIT
#include "reach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void setting_path(char *path, size_t size, const char *name)
{
	snprintf(path, size, "/proc/sys/net/tlsgate/%s", name);
}

int reach_set(const char *name, const char *value)
{
	char path[100];

	setting_path(path, sizeof(path), name);
	return task_write_file(path, value);
}

bool reach_has(const char *name, const char *value)
{
	char path[100], text[100] = "";
	int fd, n;

	setting_path(path, sizeof(path), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n == strlen(value) + 1 && !strncmp(text, value, n - 1);
}

bool reach_own_network(void)
{
	return task_become(TASK_NOBODY) && task_own_user_namespace(TASK_NOBODY) && net_namespace();
}

static bool still_plain(struct pair *p)
{
	char c = 0;

	return send(p->fd, "p", 1, 0) == 1 && !net_read(p->peer.fd, &c, 1) && c == 'p';
}

static bool echoes_keys(const struct pair *p)
{
	return memmem(p->tg->raw, p->tg->raw_len, p->tx.key, p->suite->key_len) ||
	       memmem(p->tg->raw, p->tg->raw_len, p->rx.secret, p->suite->secret_len);
}

bool reach_tells(const struct tg *tg, const char *word)
{
	return strstr(tg->ack.msg, word) && !strchr(tg->ack.msg, '\n');
}

const char *reach_keyed(struct pair *p, const char *word)
{
	if (pair_install(p) != -EPERM)
		return "it is not refused for want of privilege";
	if (!reach_tells(p->tg, word))
		return "the sentence does not say what to do";
	if (p->tg->raw_len <= 36 || echoes_keys(p))
		return "the answer has keys in it, or is none";
	return still_plain(p) ? NULL : "the socket is not as it was";
}

static struct nl_msg *garbage(struct tg *tg, int cmd)
{
	struct nl_msg *msg = tg_msg(tg, cmd, 0);

	if (nla_put_u8(msg, TLSGATE_A_FD, 1) || nla_put_u8(msg, TLSGATE_A_MAX + 1, 1))
		abort();
	return msg;
}

/* What helps who may not make the call, in a namespace where installing is on or off. */
static const char *what_helps(int cmd, bool on)
{
	if (!on)
		return "net.tlsgate." ALLOW;
	return cmd == TLSGATE_CMD_SESSION_NEW || cmd == TLSGATE_CMD_RELAY_NEW ?
	       "net.tlsgate." RANGE : "CAP_NET_ADMIN in the user namespace that owns";
}

const char *reach_parsed(struct tg *tg, bool on)
{
	static char why[60];
	int count = 0;

	for (int cmd = TLSGATE_CMD_SESSION_NEW; cmd <= TLSGATE_CMD_DELIVER_NEW; cmd++) {
		if (tg_call(tg, garbage(tg, cmd), NULL, NULL) == -EPERM &&
		    reach_tells(tg, what_helps(cmd, on)))
			continue;
		snprintf(why, sizeof(why), "command %d does not refuse all alike", cmd);
		return why;
	}
	if (tg_session_dump(tg, 0, NULL, &count) != -EPERM || count)
		return "sessions are listed";
	if (tg_call(tg, tg_msg(tg, TLSGATE_CMD_CIPHER_GET, NLM_F_DUMP), NULL, NULL) != -EPERM)
		return "ciphers are listed";
	return NULL;
}
