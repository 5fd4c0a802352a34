// SPDX-License-Identifier: MIT
/*
 * Options that were left on the sockets before the hand-over have no effect on
 * a relay: a short message moves at once, and at an orderly end every byte and
 * the FIN arrive.  Nobody could put them right afterwards.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/flow.h"

#define SHORT		10	/* bytes of a short message */
#define TAIL		400000	/* bytes that wait for their reader at the end */
#define STAMPED		2500	/* messages, three stamps each, to fill the receive buffer */

static const int on = 1, off, thousand = 1000, minus_one = -1;
static const int all_stamps = SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE |
			      SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_OPT_TSONLY;
static const struct linger reset_at_close = { .l_onoff = 1, .l_linger = 0 };
static const struct linger wait_long = { .l_onoff = 1, .l_linger = 1000 };

enum side { TLS, PLAIN };
enum kinds { TCP = 1, LOCAL = 2, ALL = TCP | LOCAL };

static const struct option {
	const char *name;
	enum kinds kinds;
	int level, option;
	const void *value;
	socklen_t len;
} options[] = {
#define OPTION(kinds, level, name, value) \
	{ #name " " #value, kinds, level, name, &(value), sizeof(value) }
	OPTION(ALL, SOL_SOCKET, SO_RCVLOWAT, thousand),
	OPTION(TCP, SOL_TCP, TCP_CORK, on),
	OPTION(TCP, SOL_TCP, TCP_NODELAY, off),
	OPTION(TCP, SOL_TCP, TCP_QUICKACK, off),
	OPTION(TCP, SOL_TCP, TCP_INQ, on),
	OPTION(ALL, SOL_SOCKET, SO_LINGER, reset_at_close),
	OPTION(ALL, SOL_SOCKET, SO_LINGER, wait_long),
	OPTION(ALL, SOL_SOCKET, SO_OOBINLINE, on),
	OPTION(ALL, SOL_SOCKET, SO_OOBINLINE, off),
	OPTION(ALL, SOL_SOCKET, SO_TIMESTAMPNS, on),
	OPTION(TCP, SOL_SOCKET, SO_TIMESTAMPING, all_stamps),
	OPTION(LOCAL, SOL_SOCKET, SO_PASSCRED, on),
	OPTION(TCP, SOL_SOCKET, SO_ZEROCOPY, on),
	OPTION(LOCAL, SOL_SOCKET, SO_PEEK_OFF, thousand),
	OPTION(LOCAL, SOL_SOCKET, SO_PEEK_OFF, minus_one),
};

#define OPTIONS		((int)(sizeof(options) / sizeof(*options)))

FIXTURE(left)
{
	struct pair p;
	int plain;		/* our end */
	uint8_t *data, *got;
	int counters;
};

FIXTURE_VARIANT(left)
{
	enum side side;
	int family, plain_family;
};

FIXTURE_VARIANT_ADD(left, tls) { .side = TLS, .family = AF_INET, .plain_family = AF_INET };
FIXTURE_VARIANT_ADD(left, tls6) { .side = TLS, .family = AF_INET6, .plain_family = AF_UNIX };
FIXTURE_VARIANT_ADD(left, plain) { .side = PLAIN, .family = AF_INET, .plain_family = AF_INET };
FIXTURE_VARIANT_ADD(left, plain6) { .side = PLAIN, .family = AF_INET, .plain_family = AF_INET6 };
FIXTURE_VARIANT_ADD(left, local) { .side = PLAIN, .family = AF_INET, .plain_family = AF_UNIX };

typedef FIXTURE_DATA(left) left_data;
typedef FIXTURE_VARIANT(left) left_variant;

FIXTURE_SETUP(left)
{
	ASSERT_TRUE(net_namespace());
	self->counters = tg_counters();
	self->data = malloc(TAIL);
	self->got = malloc(TAIL);
	ASSERT_TRUE(self->counters >= 0 && self->data && self->got);
	pat_fill(self->data, 0, TAIL, 1);
}

FIXTURE_TEARDOWN(left)
{
	free(self->data);
	free(self->got);
	close(self->counters);
}

static bool applies(const struct option *o, const left_variant *variant)
{
	bool local = variant->side == PLAIN && variant->plain_family == AF_UNIX;

	return o->kinds & (local ? LOCAL : TCP);
}

/* The relay can take all that is sent at once, and its far ends hold little of it. */
static void make_room(int own, int far)
{
	int large = 4 * TAIL, small = 65536;

	setsockopt(own, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof(large));
	setsockopt(own, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large));
	setsockopt(far, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large));
	setsockopt(far, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
}

/* A relay on whose socket an option was left before, NULL: none.  Our ends give up after ms. */
static bool start(left_data *self, const left_variant *variant, const struct option *o, int ms)
{
	int fd[2], side, err;

	if (!pair_connect(&self->p, 0x0304, 0x1301, variant->family) ||
	    net_pair(variant->plain_family, fd))
		return false;
	side = variant->side == TLS ? self->p.fd : fd[0];
	if (o && setsockopt(side, o->level, o->option, o->value, o->len))
		return false;
	self->plain = fd[1];
	make_room(self->p.fd, self->p.peer.fd);
	make_room(fd[0], self->plain);
	net_timeouts(self->plain, ms);
	net_timeouts(self->p.peer.fd, ms);
	err = pair_join(&self->p, fd[0]);
	close(fd[0]);
	close(self->p.fd);
	self->p.fd = -1;
	return !err;
}

static void end(left_data *self)
{
	close(self->plain);
	pair_free(&self->p);
}

/* ---- a filter ------------------------------------------------------------------------ */

/* It may cut the stream's tail off, and TCP takes the FIN behind it for the end. */
TEST_F(left, filter_is_refused)
{
	static struct sock_filter one_byte = BPF_STMT(BPF_RET | BPF_K, 1);
	static const struct sock_fprog filter = { 1, &one_byte };
	static const struct option left_one = {
		"SO_ATTACH_FILTER", ALL, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter),
	};

	EXPECT_FALSE(start(self, variant, &left_one, 3000));
	EXPECT_NE(NULL, strstr(self->p.tg->ack.msg, "filter")) TH_LOG("%s", self->p.tg->ack.msg);
	end(self);
}

/* ---- messages move at once ------------------------------------------------------- */

struct far {
	int fd;
	int unread;	/* bytes, at last */
};

static bool has_more(void *arg)
{
	struct far *far = arg;
	int unread = 0;

	if (ioctl(far->fd, FIONREAD, &unread) || unread <= far->unread)
		return false;
	far->unread = unread;
	return true;
}

static bool sends(left_data *self, bool down, const uint8_t *data)
{
	return down ? !net_write(self->plain, data, SHORT)
		    : !peer_send_data(&self->p.peer, data, SHORT);
}

static bool receives(left_data *self, bool down, size_t len)
{
	return (down ? peer_recv_data(&self->p.peer, self->got, len)
		     : !net_read(self->plain, self->got, len)) &&
	       !memcmp(self->got, self->data, len);
}

/*
 * Sends two short messages.  1: both came before the far end acknowledged either, which
 * neither TCP_CORK nor Nagle's algorithm lets happen; 0: it acknowledged one; -1: one does
 * not come, or not as it was sent.
 */
static int two_messages(left_data *self, bool down)
{
	struct far far = { .fd = down ? self->p.peer.fd : self->plain };
	uint32_t sent;

	/* The far end reads nothing meanwhile, and delays its ACKs. */
	setsockopt(far.fd, SOL_TCP, TCP_QUICKACK, &off, sizeof(off));
	sent = net_segments_out(far.fd);
	if (!sends(self, down, self->data) || !net_until(has_more, &far) ||
	    !sends(self, down, self->data + SHORT) || !net_until(has_more, &far))
		return -1;
	sent -= net_segments_out(far.fd);
	return receives(self, down, 2 * SHORT) ? !sent : -1;
}

/* Whether messages are held back.  On a busy machine an ACK may be quicker: tries again. */
static const char *messages(left_data *self, bool down)
{
	uint64_t end = net_now() + NET_DEADLINE;
	int ret = 0;

	while (!ret && net_now() < end)
		ret = two_messages(self, down);
	if (ret < 0)
		return "a message does not come";
	return ret ? NULL : "the second message waits for the first one's ACK";
}

TEST_F_TIMEOUT(left, messages_move_at_once, 300)
{
	const char *why;

	for (int i = 0; i < OPTIONS; i++) {
		for (int down = 0; down < 2 && applies(&options[i], variant); down++) {
			ASSERT_TRUE(start(self, variant, &options[i], NET_DEADLINE));
			why = messages(self, down);
			EXPECT_EQ(NULL, why) TH_LOG("%s, %s: %s", options[i].name,
						    down ? "down" : "up", why);
			end(self);
		}
	}
}

/* ---- urgent bytes are in the stream ------------------------------------------------ */

TEST_F_TIMEOUT(left, urgent_bytes_are_in_the_stream, 60)
{
	for (int i = 0; i < OPTIONS; i++) {
		if (!applies(&options[i], variant) || options[i].option != SO_OOBINLINE)
			continue;
		ASSERT_TRUE(start(self, variant, &options[i], 3000));
		EXPECT_EQ(3, send(self->plain, "abc", 3, 0));
		EXPECT_EQ(1, send(self->plain, "d", 1, MSG_OOB));
		EXPECT_EQ(2, send(self->plain, "ef", 2, 0));
		EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 6)) TH_LOG("%s", options[i].name);
		EXPECT_EQ(0, memcmp("abcdef", self->got, 6));
		end(self);
	}
}

/* ---- stamps of what was sent do not fill the receive buffer ---------------------------- */

static bool bytes_down(left_data *self, size_t len)
{
	return !net_write(self->plain, self->data, len) &&
	       peer_recv_data(&self->p.peer, self->got, len);
}

static bool bytes_up(left_data *self, size_t len)
{
	return !peer_send_data(&self->p.peer, self->data, len) &&
	       !net_read(self->plain, self->got, len);
}

TEST_F_TIMEOUT(left, stamps_are_off, 120)
{
	bool tls = variant->side == TLS, moved = true;

	for (int i = 0; i < OPTIONS; i++) {
		if (!applies(&options[i], variant) || options[i].option != SO_TIMESTAMPING)
			continue;
		ASSERT_TRUE(start(self, variant, &options[i], 3000));
		for (int n = 0; n < STAMPED && moved; n++)
			moved = tls ? bytes_down(self, 1) : bytes_up(self, 1);
		EXPECT_TRUE(moved);
		EXPECT_TRUE(tls ? bytes_up(self, TAIL) : bytes_down(self, TAIL))
			TH_LOG("nothing comes in behind the stamps");
		end(self);
	}
}

/* ---- the end ------------------------------------------------------------------------- */

static bool relay_over(void *arg)
{
	int counters = *(int *)arg;

	return tg_counter(counters, "relays_closed") == tg_counter(counters, "relays_opened");
}

/* The reader comes when the relay has gone: all bytes, and the end, wait for it. */
static const char *tail_down(left_data *self)
{
	if (peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY))
		return "no close_notify";
	shutdown(self->p.peer.fd, SHUT_WR);
	if (net_write(self->plain, self->data, TAIL))
		return "the backend cannot write";
	shutdown(self->plain, SHUT_WR);
	if (!net_until(relay_over, &self->counters))
		return "the relay waits for the peer to read";
	if (!peer_recv_data(&self->p.peer, self->got, TAIL) ||
	    pat_check(self->got, 0, TAIL, 1) != TAIL)
		return "the peer did not get every byte";
	return peer_expect_end(&self->p.peer) ? NULL : "the peer saw no end in order";
}

static const char *tail_up(left_data *self)
{
	shutdown(self->plain, SHUT_WR);
	if (peer_send_data(&self->p.peer, self->data, TAIL) ||
	    peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY))
		return "the peer cannot write";
	shutdown(self->p.peer.fd, SHUT_WR);
	if (!net_until(relay_over, &self->counters))
		return "the relay waits for the backend to read";
	if (net_read(self->plain, self->got, TAIL) || pat_check(self->got, 0, TAIL, 1) != TAIL)
		return "the backend did not get every byte";
	return recv(self->plain, self->got, 1, 0) ? "the backend saw no end in order" : NULL;
}

TEST_F_TIMEOUT(left, every_byte_arrives_at_the_end, 120)
{
	static const char *(*const tails[])(left_data *self) = { tail_down, tail_up };
	const char *why;

	for (int i = 0; i < OPTIONS; i++) {
		for (int j = 0; j < 2 && applies(&options[i], variant); j++) {
			ASSERT_TRUE(start(self, variant, &options[i], NET_DEADLINE));
			why = tails[j](self);
			EXPECT_EQ(NULL, why) TH_LOG("%s: %s", options[i].name, why);
			end(self);
		}
	}
}

TEST_HARNESS_MAIN
