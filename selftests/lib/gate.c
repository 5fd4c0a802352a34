// SPDX-License-Identifier: MIT
#include "gate.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool gate_open_with(struct gate *g, int listener, int server)
{
	struct sockaddr_storage local, to;
	socklen_t local_len = sizeof(local), to_len = sizeof(to);

	*g = (struct gate){ .listener = listener, .server = server, .handle = -1 };
	if (listener < 0 || server < 0 || getsockname(listener, (void *)&local, &local_len) ||
	    getsockname(server, (void *)&to, &to_len))
		return false;
	g->tg = tg_open();
	if (g->tg)
		g->handle = tg_deliver_new(g->tg, &local, local_len, &to, to_len);
	return g->handle >= 0;
}

bool gate_open(struct gate *g, int family)
{
	return gate_open_with(g, net_listener(family), net_listener(family));
}

static void close_if(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void gate_free(struct gate *g)
{
	close_if(&g->handle);
	close_if(&g->listener);
	close_if(&g->server);
	tg_close(g->tg);
	g->tg = NULL;
}

bool gate_accept_as(struct gate *g, struct gated *c, uint16_t version, uint16_t number)
{
	const struct ref_suite *suite = ref_suite(version, number);
	int fd[2];

	*c = (struct gated){ .fd = -1, .peer.fd = -1 };
	if (!suite || net_tcp_pair_at(g->listener, fd))
		return false;
	c->peer.fd = fd[0];
	c->fd = fd[1];
	ref_keys_random(&c->tx, suite);
	ref_keys_random(&c->rx, suite);
	ref_keys_copy(&c->peer.rx, &c->tx);
	ref_keys_copy(&c->peer.tx, &c->rx);
	return true;
}

bool gate_accept(struct gate *g, struct gated *c)
{
	return gate_accept_as(g, c, 0x0304, 0x1301);
}

int gate_install_pending(struct gate *g, struct gated *c, const void *data, size_t len)
{
	struct tg_install in = tg_install_on(c->fd, &c->tx, &c->rx);

	in.deliver_fd = g->handle;
	in.pending = data;
	in.pending_len = len;
	return tg_session_new(g->tg, &in, &c->id);
}

int gate_install(struct gate *g, struct gated *c)
{
	return gate_install_pending(g, c, NULL, 0);
}

void gate_close(struct gated *c)
{
	close_if(&c->fd);
}

bool gate_deliver_as(struct gate *g, struct gated *c, uint16_t version, uint16_t suite)
{
	if (!gate_accept_as(g, c, version, suite) || gate_install(g, c))
		return false;
	gate_close(c);
	return true;
}

bool gate_deliver(struct gate *g, struct gated *c)
{
	return gate_deliver_as(g, c, 0x0304, 0x1301);
}

void gated_free(struct gated *c)
{
	close_if(&c->fd);
	close_if(&c->peer.fd);
	ref_keys_free(&c->tx);
	ref_keys_free(&c->rx);
	ref_keys_free(&c->peer.tx);
	ref_keys_free(&c->peer.rx);
	*c = (struct gated){ .fd = -1, .peer.fd = -1 };
}

int gate_server_accept(int listener)
{
	int fd = net_poll(listener, POLLIN, NET_DEADLINE)
		 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;

	if (fd >= 0)
		net_timeouts(fd, NET_DEADLINE);
	return fd;
}

int gate_delivery(struct gate *g, const struct gated *c)
{
	struct tg_info *info = malloc(sizeof(*info));
	int state = -1;

	if (!info)
		abort();
	if (!tg_session_get(g->tg, BY_ID(c->id), info) && tg_has(info, TLSGATE_A_DELIVERY))
		state = tg_num(info, TLSGATE_A_DELIVERY);
	free(info);
	return state;
}

bool gate_talks(struct gated *c, int app)
{
	static const char up[] = "GET / HTTP/1.0", down[] = "HTTP/1.0 200 OK";
	char got[64];

	return !peer_send_data(&c->peer, up, sizeof(up)) && !net_read(app, got, sizeof(up)) &&
	       !memcmp(got, up, sizeof(up)) && !net_write(app, down, sizeof(down)) &&
	       peer_recv_data(&c->peer, got, sizeof(down)) && !memcmp(got, down, sizeof(down));
}

struct wanted {
	int counters;
	long n;
};

static bool has(void *arg)
{
	const struct wanted *w = arg;

	return tg_counter(w->counters, "sessions_current") == (uint64_t)w->n;
}

bool gate_sessions(int counters, long n)
{
	return net_until(has, &(struct wanted){ counters, n });
}
