// SPDX-License-Identifier: MIT
/*
 * Messages of the netlink family by its grammar, most of them wrong somewhere:
 * attributes that are missing, twice, of another length, type or value, nests
 * that lie, commands with the attributes of others, on descriptors of every
 * kind.  Each must be answered, with a sentence if it is refused; no answer
 * may hold a key; and the kernel must not mind.
 *
 * SEED, FIRST and COUNT: see lib/fuzz.h.  A message also depends on what the
 * ones before it did to the descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fuzz.h"
#include "lib/pair.h"

#define COUNT		3000
#define ATTRS		24
#define MESSAGE		(128 * 1024)
#define ENOUGH		500	/* messages, to say whether the share that is accepted is right */

enum tally { ACCEPTED, REFUSED };

/* ---- descriptors ------------------------------------------------------- */

enum kind {
	FRESH, KEYED, RELAYED, PLAIN, LOCAL, DATAGRAM, LISTENER, UNCONNECTED, GONE, FOREIGN, FILE_,
	CLOSED, SERVED, HANDLE, KINDS
};

static struct slot {
	int fd, other;
	uint32_t id;
} slots[KINDS];

static struct tg *admin;
static struct ref_keys keys[2];
static int listener;		/* all pairs are connected by it */
static int foreign[2];		/* a pair of another namespace */

static void slot_close(struct slot *s)
{
	if (s->fd > 0)
		close(s->fd);
	if (s->other > 0)
		net_reset(s->other);
	*s = (struct slot){ .fd = -1, .other = -1 };
}

static void slot_pair(struct slot *s, int error, int fd[2])
{
	if (error)
		abort();
	s->fd = fd[0];
	s->other = fd[1];
}

static void slot_key(struct slot *s)
{
	struct tg_install in = tg_install_on(s->fd, &keys[0], &keys[1]);

	if (tg_session_new(admin, &in, &s->id))
		abort();
}

static void slot_relay(struct slot *s)
{
	int fd[2];

	if (net_tcp_pair_at(listener, fd) || tg_relay_new(admin, s->fd, fd[0], 0))
		abort();
	close(fd[0]);
	net_reset(fd[1]);
}

/* For what was accepted by the listener of all pairs, and goes to the one of the slots. */
static struct sockaddr_in handle_local, handle_server;

static void slot_handle(struct slot *s)
{
	socklen_t len = sizeof(handle_local), server_len = sizeof(handle_server);

	if (getsockname(listener, (void *)&handle_local, &len) ||
	    getsockname(slots[LISTENER].fd, (void *)&handle_server, &server_len))
		abort();
	s->fd = tg_deliver_new(admin, &handle_local, len, &handle_server, server_len);
}

static void slot_make(enum kind kind)
{
	struct slot *s = &slots[kind];
	int fd[2];

	slot_close(s);
	switch (kind) {
	case FRESH:
	case KEYED:
	case RELAYED:
	case PLAIN:
	case GONE:
		slot_pair(s, net_tcp_pair_at(listener, fd), fd);
		if (kind == KEYED || kind == RELAYED)
			slot_key(s);
		if (kind == RELAYED)
			slot_relay(s);
		if (kind == GONE) {
			net_reset(s->other);
			s->other = -1;
		}
		break;
	case LOCAL:
		slot_pair(s, net_unix_pair(fd), fd);
		break;
	case SERVED:
		if (net_tcp_pair_at(listener, fd))
			abort();
		s->fd = fd[1];
		s->other = fd[0];
		break;
	case HANDLE:
		slot_handle(s);
		break;
	case DATAGRAM:
		s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		break;
	case LISTENER:
		s->fd = net_listener(AF_INET);
		if (slots[HANDLE].fd > 0)
			slot_make(HANDLE);
		break;
	case UNCONNECTED:
		s->fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		break;
	case FOREIGN:
		s->fd = dup(foreign[0]);
		break;
	case FILE_:
		s->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		break;
	case CLOSED:
	case KINDS:
		break;
	}
}

/* ---- messages ----------------------------------------------------------- */

struct attr {
	uint16_t type;
	size_t len;		/* of data */
	uint16_t claim;		/* what nla_len says */
	uint8_t *data;
};

struct message {
	uint8_t cmd, version;
	uint16_t reserved, flags;
	unsigned int count;
	struct attr attr[ATTRS];
};

struct grammar {
	uint8_t attr, width;	/* width 0: keys */
	bool often;
};

/* Attributes that a command takes; the first three commands are the richest. */
static const struct grammar grammars[][14] = {
	[TLSGATE_CMD_SESSION_NEW] = {
		{ TLSGATE_A_FD, 4, true }, { TLSGATE_A_VERSION, 2, true },
		{ TLSGATE_A_SUITE, 2, true }, { TLSGATE_A_ROLE, 1, true },
		{ TLSGATE_A_TX, 0, true }, { TLSGATE_A_RX, 0, true },
		{ TLSGATE_A_RX_PENDING, 100 }, { TLSGATE_A_RELAY_FD, 4 },
		{ TLSGATE_A_IDLE_TIMEOUT, 4 }, { TLSGATE_A_RECORD_SIZE, 2 },
		{ TLSGATE_A_PADDING, 2 }, { TLSGATE_A_LABEL, 64 }, { TLSGATE_A_DELIVER_FD, 4 },
	},
	[TLSGATE_CMD_SESSION_GET] = { { TLSGATE_A_FD, 4 }, { TLSGATE_A_ID, 4 } },
	[TLSGATE_CMD_SESSION_SET] = {
		{ TLSGATE_A_FD, 4 }, { TLSGATE_A_ID, 4 }, { TLSGATE_A_IDLE_TIMEOUT, 4 },
		{ TLSGATE_A_RECORD_SIZE, 2 }, { TLSGATE_A_PADDING, 2 },
	},
	[TLSGATE_CMD_SESSION_REKEY] = { { TLSGATE_A_FD, 4 }, { TLSGATE_A_ID, 4 } },
	[TLSGATE_CMD_SESSION_DEL] = {
		{ TLSGATE_A_FD, 4 }, { TLSGATE_A_ID, 4 }, { TLSGATE_A_HOW, 1 },
	},
	[TLSGATE_CMD_RELAY_NEW] = {
		{ TLSGATE_A_FD, 4 }, { TLSGATE_A_RELAY_FD, 4, true },
		{ TLSGATE_A_IDLE_TIMEOUT, 4 },
	},
	[TLSGATE_CMD_DELIVER_NEW] = {
		{ TLSGATE_A_LOCAL, 16, true }, { TLSGATE_A_SERVER, 16, true },
	},
	[TLSGATE_CMD_CIPHER_GET] = { },
};

static const uint32_t edges[] = {
	0, 1, 2, 63, 64, 255, 256, 4096, 4097, 16384, 16385, 32767, 65535, 65536, 86400000,
	86400001, 0x7fffffff, 0x80000000, 0xffffffff, 0x0303, 0x0304, 0x1301, 0xc02f,
};

static uint8_t arena[4 * MESSAGE];
static size_t arena_used;

static void *take(size_t len)
{
	void *p = arena + arena_used;

	arena_used += len;
	if (arena_used > sizeof(arena))
		abort();
	return p;
}

static void attr_set(struct attr *a, uint16_t type, const void *data, size_t len)
{
	a->type = type;
	a->len = len;
	a->claim = NLA_HDRLEN + len;
	a->data = take(len);
	if (data)
		memcpy(a->data, data, len);
}

static size_t attr_write(uint8_t *to, const struct attr *a)
{
	struct nlattr nla = { .nla_len = a->claim, .nla_type = a->type };

	memset(to, 0, NLA_HDRLEN + NLA_ALIGN(a->len));
	memcpy(to, &nla, sizeof(nla));
	memcpy(to + NLA_HDRLEN, a->data, a->len);
	return NLA_HDRLEN + NLA_ALIGN(a->len);
}

static void mutate(struct fuzz *f, struct attr *a, unsigned int *count, unsigned int max);

static void attr_keys(struct fuzz *f, struct attr *a, uint16_t type)
{
	const struct ref_keys *k = &keys[type == TLSGATE_A_RX];
	struct attr in[8];
	unsigned int n = 0;
	uint8_t *nest = take(4096);
	size_t len = 0;

	attr_set(&in[n++], TLSGATE_KEYS_A_KEY, k->key, k->suite->key_len);
	attr_set(&in[n++], TLSGATE_KEYS_A_IV, k->iv, k->suite->iv_len);
	attr_set(&in[n++], TLSGATE_KEYS_A_SEQ, &k->seq, 8);
	attr_set(&in[n++], TLSGATE_KEYS_A_SECRET, k->secret, k->suite->secret_len);
	if (fuzz_once(f, 6))
		mutate(f, in, &n, 8);
	for (unsigned int i = 0; i < n && len + in[i].len + 64 < 4096; i++)
		len += attr_write(nest + len, &in[i]);
	a->type = type | NLA_F_NESTED;
	a->data = nest;
	a->len = len;
	a->claim = NLA_HDRLEN + len;
}

static uint32_t value_of(struct fuzz *f, int cmd, int attr)
{
	switch (attr) {
	case TLSGATE_A_FD:
		if (fuzz_once(f, 6))
			return slots[fuzz_below(f, KINDS)].fd;
		if (cmd == TLSGATE_CMD_SESSION_NEW)
			return slots[fuzz_once(f, 3) ? SERVED : FRESH].fd;
		return slots[KEYED + fuzz_below(f, 2)].fd;
	case TLSGATE_A_DELIVER_FD:
		return slots[fuzz_once(f, 6) ? fuzz_below(f, KINDS) : HANDLE].fd;
	case TLSGATE_A_RELAY_FD:
		if (!fuzz_once(f, 3))
			return slots[fuzz_once(f, 2) ? PLAIN : LOCAL].fd;
		return slots[fuzz_below(f, KINDS)].fd;
	case TLSGATE_A_ID:
		return slots[KEYED + fuzz_below(f, 2)].id;
	case TLSGATE_A_VERSION:
		return keys->suite->version;
	case TLSGATE_A_SUITE:
		return keys->suite->suite;
	case TLSGATE_A_ROLE:
	case TLSGATE_A_HOW:
		return fuzz_below(f, 2);
	}
	return fuzz_below(f, 5000);
}

static void attr_make(struct fuzz *f, int cmd, struct attr *a, const struct grammar *g)
{
	uint32_t value;

	if (!g->width) {
		attr_keys(f, a, g->attr);
	} else if (g->attr == TLSGATE_A_LABEL) {
		attr_set(a, g->attr, NULL, fuzz_below(f, 80));
	} else if (g->attr == TLSGATE_A_LOCAL || g->attr == TLSGATE_A_SERVER) {
		attr_set(a, g->attr, fuzz_once(f, 2) ? &handle_local : &handle_server, g->width);
	} else if (g->attr == TLSGATE_A_RX_PENDING) {
		attr_set(a, g->attr, NULL, fuzz_below(f, fuzz_once(f, 12) ? 33000 : 200));
		fuzz_bytes(f, a->data, a->len < 300 ? a->len : 300);
	} else {
		value = value_of(f, cmd, g->attr);
		attr_set(a, g->attr, &value, g->width);
	}
}

/* One thing wrong with a list of attributes. */
static void mutate(struct fuzz *f, struct attr *a, unsigned int *count, unsigned int max)
{
	struct attr *hit = &a[fuzz_below(f, *count ? : 1)], other;
	uint32_t edge = edges[fuzz_below(f, sizeof(edges) / sizeof(*edges))];

	if (!*count)
		attr_set(&a[(*count)++], 1, &edge, 4);
	switch (fuzz_below(f, 10)) {
	case 0:
		*hit = a[--*count];
		break;
	case 1:
		if (*count < max)
			a[(*count)++] = *hit;
		break;
	case 2:
		attr_set(hit, hit->type, NULL, fuzz_below(f, 20));
		fuzz_bytes(f, hit->data, hit->len);
		break;
	case 3:
		memcpy(hit->data, &edge, hit->len < 4 ? hit->len : 4);
		break;
	case 4:
		hit->type = fuzz_below(f, TLSGATE_A_MAX + 3);
		break;
	case 5:
		hit->type ^= 1 << (13 + fuzz_below(f, 3));
		break;
	case 6:
		hit->claim += fuzz_below(f, 9) - 4;
		break;
	case 7:
		hit->claim = edge;
		break;
	case 8:
		if (hit->len)
			hit->data[fuzz_below(f, hit->len)] ^= 1 << fuzz_below(f, 8);
		break;
	case 9:
		other = a[0];
		a[0] = *hit;
		*hit = other;
		break;
	}
}

/* Most messages name a session in one way only, and have what their command needs. */
static bool wanted(struct fuzz *f, int cmd, const struct grammar *g, int who)
{
	if (cmd != TLSGATE_CMD_SESSION_NEW && (g->attr == TLSGATE_A_FD || g->attr == TLSGATE_A_ID))
		return g->attr == who || fuzz_once(f, 12);
	return g->often ? !fuzz_once(f, 40) : fuzz_once(f, 3);
}

static void message_make(struct fuzz *f, struct message *m)
{
	int who = fuzz_once(f, 3) ? TLSGATE_A_ID : TLSGATE_A_FD;
	const struct grammar *g;
	unsigned int i;

	arena_used = 0;
	*m = (struct message){ .cmd = 1 + fuzz_below(f, TLSGATE_CMD_CIPHER_GET), .version = 1 };
	if (fuzz_once(f, 3))
		m->cmd = TLSGATE_CMD_SESSION_NEW;
	g = grammars[m->cmd];
	for (i = 0; g[i].attr; i++)
		if (wanted(f, m->cmd, &g[i], who))
			attr_make(f, m->cmd, &m->attr[m->count++], &g[i]);
	for (i = fuzz_once(f, 5) ? 0 : 1 + fuzz_below(f, 3); i; i--)
		mutate(f, m->attr, &m->count, ATTRS);
	if (fuzz_once(f, 30))
		m->cmd = fuzz_below(f, 256);
	if (fuzz_once(f, 60))
		m->version = fuzz_below(f, 4);
	if (fuzz_once(f, 60))
		m->reserved = fuzz_below(f, 65536);
	if (fuzz_once(f, 12))
		m->flags = NLM_F_DUMP;
	if (fuzz_once(f, 40))
		m->flags |= fuzz_below(f, 65536) & ~(NLM_F_REQUEST | NLM_F_ACK);
}

static size_t message_write(uint8_t *to, const struct message *m, int family, uint32_t seq)
{
	struct nlmsghdr nlh = { .nlmsg_type = family, .nlmsg_seq = seq,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | m->flags };
	struct genlmsghdr genl = { .cmd = m->cmd, .version = m->version, .reserved = m->reserved };
	size_t len = NLMSG_HDRLEN + GENL_HDRLEN;

	for (unsigned int i = 0; i < m->count && len + m->attr[i].len + 64 < MESSAGE; i++)
		len += attr_write(to + len, &m->attr[i]);
	nlh.nlmsg_len = len;
	memcpy(to, &nlh, sizeof(nlh));
	memcpy(to + NLMSG_HDRLEN, &genl, sizeof(genl));
	return len;
}

/* ---- answers --------------------------------------------------------------- */

static bool holds_a_key(const uint8_t *p, size_t len)
{
	for (int i = 0; i < 2; i++)
		if (memmem(p, len, keys[i].key, 8) || memmem(p, len, keys[i].secret, 8) ||
		    memmem(p, len, keys[i].iv, 8))
			return true;
	return false;
}

/* Else the kernel itself refuses, and quotes the sender's message to the sender. */
static bool reaches_the_module(const struct message *m)
{
	return m->cmd == TLSGATE_CMD_SESSION_NEW && !(m->flags & NLM_F_DUMP);
}

/* Refusals of the family's own commands name an attribute, or say a sentence. */
static bool explained(const struct message *m, const struct nlmsghdr *nlh, int error)
{
	return nlh->nlmsg_flags & NLM_F_ACK_TLVS || error == -ENOMEM || error == -EOPNOTSUPP ||
	       m->flags || m->cmd > TLSGATE_CMD_DELIVER_NEW;
}

/* A handle that was made is of no more use. */
static void let_go(const struct nlmsghdr *nlh, int family)
{
	const struct genlmsghdr *genl = NLMSG_DATA(nlh);
	const struct nlattr *a;

	if (nlh->nlmsg_type != family || genl->cmd != TLSGATE_CMD_DELIVER_NEW)
		return;
	a = nlmsg_find_attr((struct nlmsghdr *)nlh, GENL_HDRLEN, TLSGATE_A_DELIVER_FD);
	if (a)
		close(nla_get_u32(a));
}

/* NULL, or what is wrong with the answer.  *error: what it says. */
static const char *answer(int sk, const struct message *m, uint32_t seq, int *error)
{
	static uint8_t buf[MESSAGE];

	for (;;) {
		int len = recv(sk, buf, sizeof(buf), 0);
		struct nlmsghdr *nlh = (void *)buf;

		if (len < 0)
			return errno == EAGAIN ? "no answer" : strerror(errno);
		if (reaches_the_module(m) && holds_a_key(buf, len)) {
			fuzz_dump("answer", buf, len);
			return "the answer holds a key";
		}
		for (; NLMSG_OK(nlh, len); nlh = NLMSG_NEXT(nlh, len)) {
			if (nlh->nlmsg_seq != seq)
				continue;
			let_go(nlh, admin->family);
			if (nlh->nlmsg_type != NLMSG_ERROR && nlh->nlmsg_type != NLMSG_DONE)
				continue;
			*error = *(int *)NLMSG_DATA(nlh);
			if (nlh->nlmsg_type == NLMSG_ERROR && *error &&
			    !explained(m, nlh, *error))
				return "refused without a word";
			return NULL;
		}
	}
}

static int open_netlink(void)
{
	int sk = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), one = 1;
	int size = 1 << 20;

	if (sk < 0)
		abort();
	setsockopt(sk, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(sk, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	net_timeouts(sk, NET_DEADLINE);
	return sk;
}

static bool names(const struct message *m, const struct slot *s)
{
	for (unsigned int i = 0; i < m->count; i++) {
		const struct attr *a = &m->attr[i];
		int type = a->type & NLA_TYPE_MASK;
		bool id = type == TLSGATE_A_ID;

		if (!id && type != TLSGATE_A_FD && type != TLSGATE_A_RELAY_FD)
			continue;
		if (a->len == 4 && !memcmp(a->data, id ? (void *)&s->id : (void *)&s->fd, 4))
			return true;
	}
	return false;
}

/* What a message used up is made anew; and now and then something that was not. */
static void renew(struct fuzz *f, const struct message *m, int error)
{
	static const bool uses_up[256] = {
		[TLSGATE_CMD_SESSION_NEW] = true, [TLSGATE_CMD_SESSION_DEL] = true,
		[TLSGATE_CMD_RELAY_NEW] = true,
	};

	for (int kind = 0; kind < KINDS && !error && uses_up[m->cmd]; kind++)
		if (names(m, &slots[kind]))
			slot_make(kind);
	if (fuzz_once(f, 48))
		slot_make(fuzz_once(f, 2) ? KEYED : RELAYED);
	if (fuzz_once(f, 64))
		slot_make(fuzz_below(f, KINDS));
	if (fuzz_once(f, 16))
		send(slots[KEYED].fd, "data", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static const char *one(struct fuzz *f, int sk)
{
	static uint8_t wire[MESSAGE];
	static uint32_t seq;
	struct message m;
	const char *why;
	size_t len;
	int error = 0;

	message_make(f, &m);
	len = message_write(wire, &m, admin->family, ++seq);
	if (send(sk, wire, len, 0) != (ssize_t)len)
		why = "cannot be sent";
	else
		why = answer(sk, &m, seq, &error);
	if (why) {
		fuzz_dump("message", wire, len);
		return why;
	}
	f->tally[error ? REFUSED : ACCEPTED]++;
	renew(f, &m, error);
	return NULL;
}

static const char *work(struct fuzz *f)
{
	const struct ref_suite *suite = ref_suite(0x0304, 0x1301);
	const char *why = NULL;
	uint64_t sent;
	int sk[2];

	admin = tg_open();
	listener = net_listener(AF_INET);
	if (!admin || listener < 0)
		return "the module is not loaded, or there is no loopback";
	ref_keys_random(&keys[0], suite);
	ref_keys_random(&keys[1], suite);
	for (int kind = 0; kind < KINDS; kind++)
		slot_make(kind);
	sk[0] = open_netlink();
	if (seteuid(65534))
		abort();
	sk[1] = open_netlink();
	if (seteuid(0))
		abort();
	while (!why && fuzz_next(f))
		why = one(f, sk[fuzz_once(f, 6)]);
	/* A fuzzer that is refused all the time, or never, looks at one half only. */
	sent = f->tally[ACCEPTED] + f->tally[REFUSED];
	if (!why && sent >= ENOUGH &&
	    (f->tally[ACCEPTED] < sent / 20 || f->tally[REFUSED] < sent / 20))
		why = "too few messages are accepted, or refused";
	for (int kind = 0; kind < KINDS; kind++)
		slot_close(&slots[kind]);
	return why;
}

int main(void)
{
	static const struct fuzz_plan plan = {
		.name = "netlink messages", .count = COUNT, .work = work,
		.tally = { [ACCEPTED] = "accepted", [REFUSED] = "refused" },
	};

	if (net_tcp_pair(AF_INET, foreign))
		abort();
	return fuzz_run(&plan);
}
