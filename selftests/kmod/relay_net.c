// SPDX-License-Identifier: MIT
/*
 * A relay, and connections that are delivered, over a bad network: a veth pair between two
 * namespaces on which segments are lost, come late, out of order and twice, or are tiny.
 */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/gate.h"
#include "lib/pair.h"

#define SIZE		(1 << 19)
#define DELIVERED_SIZE	(1 << 16)	/* of each */
#define DELIVERED	4
#define PATIENCE	60000	/* ms that a call may wait for lost segments */

FIXTURE(net)
{
	struct pair p;
	int plain, home;
	uint8_t data[SIZE], down[SIZE], up[SIZE];
};

FIXTURE_VARIANT(net)
{
	const char *link;	/* what `ip link set` is told of both ends */
	const char *netem;
};

FIXTURE_VARIANT_ADD(net, loss) { .netem = "delay 1ms loss 2%" };
FIXTURE_VARIANT_ADD(net, reorder) { .netem = "delay 4ms reorder 70% 50%" };
FIXTURE_VARIANT_ADD(net, duplicate) { .netem = "delay 1ms duplicate 20%" };
FIXTURE_VARIANT_ADD(net, all_at_once) { .netem = "delay 2ms 2ms loss 1% duplicate 5% reorder 30%" };
FIXTURE_VARIANT_ADD(net, tiny_segments) { .link = "mtu 120" };
FIXTURE_VARIANT_ADD(net, tiny_segments_lost) { .link = "mtu 200", .netem = "loss 1%" };

/* ---- the network ------------------------------------------------------------------ */

static const char *const build[] = {
	"ip netns add tgpeer", "ip netns add tggate",
	"ip link add veth0 netns tgpeer type veth peer name veth0 netns tggate",
	"ip -n tgpeer addr add 10.9.9.1/24 dev veth0", "ip -n tggate addr add 10.9.9.2/24 dev veth0",
	"ip -n tgpeer link set veth0 up", "ip -n tggate link set veth0 up",
	"ip -n tggate link set lo up",
};

static bool network_build(const char *link, const char *netem)
{
	static const char *const ends[] = { "tgpeer", "tggate" };
	char command[200];

	for (size_t i = 0; i < sizeof(build) / sizeof(*build); i++)
		if (system(build[i]))
			return false;
	for (int i = 0; i < 2; i++) {
		snprintf(command, sizeof(command), "ip -n %s link set veth0 %s", ends[i], link);
		if (link && system(command))
			return false;
		snprintf(command, sizeof(command), "tc -n %s qdisc add dev veth0 root netem %s",
			 ends[i], netem);
		if (netem && system(command))
			return false;
	}
	return true;
}

static void network_remove(void)
{
	if (system("ip netns del tgpeer 2>/dev/null; ip netns del tggate 2>/dev/null"))
		return;
}

static bool enter(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	bool done = fd >= 0 && !setns(fd, CLONE_NEWNET);

	if (fd >= 0)
		close(fd);
	return done;
}

/* In the gate's namespace, port 0: any; -1: failed. */
static int listener_at(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = inet_addr("10.9.9.2");
	return bind(fd, (void *)&addr, sizeof(addr)) || listen(fd, DELIVERED) ? -1 : fd;
}

/* The peer in one namespace, the session and the rest of this process in the other. */
static bool connect_across(struct pair *p)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(4433) };
	int listener;

	addr.sin_addr.s_addr = inet_addr("10.9.9.2");
	if (!enter("/run/netns/tgpeer"))
		return false;
	p->peer.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (p->peer.fd < 0 || !enter("/run/netns/tggate"))
		return false;
	listener = listener_at(4433);
	net_timeouts(p->peer.fd, PATIENCE);
	net_timeouts(listener, PATIENCE);
	if (connect(p->peer.fd, (void *)&addr, sizeof(addr)))
		return false;
	p->fd = accept(listener, NULL, NULL);
	close(listener);
	return p->fd >= 0;
}

static bool start(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	if (!connect_across(p))
		return false;
	p->tg = tg_open();
	if (!p->tg)
		return false;
	pair_keys(p, ref_suite(0x0304, 0x1301));
	return !pair_install(p);
}

FIXTURE_SETUP(net)
{
	pat_fill(self->data, 0, SIZE, 1);
	self->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	network_remove();
	ASSERT_TRUE(network_build(variant->link, variant->netem))
		TH_LOG("ip and tc of iproute2, veth and sch_netem are needed");
	ASSERT_TRUE(start(&self->p));
	self->plain = pair_relay(&self->p, AF_INET, 0);
	ASSERT_LE(0, self->plain);
	net_timeouts(self->plain, PATIENCE);
}

FIXTURE_TEARDOWN(net)
{
	close(self->plain);
	pair_free(&self->p);
	setns(self->home, CLONE_NEWNET);
	close(self->home);
	network_remove();
}

/* ---- both ways at once --------------------------------------------------------------- */

static void *peer_writes(void *arg)
{
	FIXTURE_DATA(net) *self = arg;

	return (void *)(long)(peer_send_data(&self->p.peer, self->data, SIZE) ||
			      peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
}

static void *plain_writes(void *arg)
{
	FIXTURE_DATA(net) *self = arg;

	return (void *)(long)(net_write(self->plain, self->data, SIZE) ||
			      shutdown(self->plain, SHUT_WR));
}

static void *plain_reads(void *arg)
{
	FIXTURE_DATA(net) *self = arg;
	char c;

	return (void *)(long)(net_read(self->plain, self->down, SIZE) ||
			      recv(self->plain, &c, 1, 0));
}

TEST_F_TIMEOUT(net, both_ways_to_the_end, 180)
{
	void *(*const roles[])(void *) = { peer_writes, plain_writes, plain_reads };
	pthread_t thread[3];
	void *failed;

	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, roles[i], self));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->up, SIZE));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], &failed);
		EXPECT_EQ(NULL, failed) TH_LOG("role %d", i);
	}
	EXPECT_EQ(SIZE, pat_check(self->up, 0, SIZE, 1));
	EXPECT_EQ(SIZE, pat_check(self->down, 0, SIZE, 1));
}

/* ---- delivered ------------------------------------------------------------------------- */

/* Peers speak first, while their connections are queued. */
static bool deliver_across(struct gate *g, struct gated *c, int n)
{
	for (int i = 0; i < n; i++) {
		if (!enter("/run/netns/tgpeer") || !gate_accept(g, &c[i]))
			return false;
		net_timeouts(c[i].peer.fd, PATIENCE);
		if (peer_send_data(&c[i].peer, "hello", 5) || !enter("/run/netns/tggate") ||
		    gate_install(g, &c[i]))
			return false;
		gate_close(&c[i]);
	}
	return true;
}

TEST_F_TIMEOUT(net, delivered_to_the_end, 180)
{
	struct gated c[DELIVERED];
	struct gate g;
	char got[5];

	ASSERT_TRUE(gate_open_with(&g, listener_at(0), listener_at(0)));
	ASSERT_TRUE(deliver_across(&g, c, DELIVERED));
	for (int i = 0; i < DELIVERED; i++) {
		int app = gate_server_accept(g.server);
		const char *wrong;

		ASSERT_GE(app, 0);
		net_timeouts(app, PATIENCE);
		ASSERT_EQ(0, net_read(app, got, 5));
		EXPECT_EQ(0, memcmp(got, "hello", 5));
		wrong = flow(&c[i].peer, app, DELIVERED_SIZE, DELIVERED_SIZE);
		EXPECT_EQ(NULL, wrong) TH_LOG("%d: %s", i, wrong);
		close(app);
		EXPECT_TRUE(peer_expect_end(&c[i].peer));
		gated_free(&c[i]);
	}
	gate_free(&g);
}

TEST_HARNESS_MAIN
