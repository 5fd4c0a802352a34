// SPDX-License-Identifier: MIT
#include "daemon/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define ACCEPT_MS	200		/* over loopback; it is dropped where a firewall does that */

/* A connection with ourselves.  -1: not open. */
struct pair {
	struct addr local;		/* where it was accepted */
	int listener, client, accepted, again;
};

/* An address of this machine, with a port of the kernel's choice. */
static struct addr loopback(enum detour_kind kind)
{
	struct addr addr = { .len = sizeof(struct sockaddr_in6) };
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&addr.storage;
	struct sockaddr_in *sin = (struct sockaddr_in *)&addr.storage;

	addr.sa.sa_family = AF_INET6;
	if (kind == DETOUR_V4) {
		addr.len = sizeof(*sin);
		sin->sin_family = AF_INET;
		sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else if (kind == DETOUR_MAPPED) {
		inet_pton(AF_INET6, "::ffff:127.0.0.1", &sin6->sin6_addr);
	} else {
		sin6->sin6_addr = in6addr_loopback;
	}
	return addr;
}

static int new_socket(const struct addr *addr)
{
	return socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static bool pair_open(struct pair *pair, enum detour_kind kind)
{
	struct pollfd pfd;

	*pair = (struct pair){ .local = loopback(kind), -1, -1, -1, -1 };
	pair->listener = new_socket(&pair->local);
	pair->client = new_socket(&pair->local);
	if (pair->listener < 0 || pair->client < 0 ||
	    bind(pair->listener, &pair->local.sa, pair->local.len) || listen(pair->listener, 1) ||
	    getsockname(pair->listener, &pair->local.sa, &pair->local.len))
		return false;
	pfd = (struct pollfd){ .fd = pair->listener, .events = POLLIN };
	if ((connect(pair->client, &pair->local.sa, pair->local.len) && errno != EINPROGRESS) ||
	    poll(&pfd, 1, ACCEPT_MS) != 1)
		return false;
	pair->accepted = accept4(pair->listener, NULL, NULL, SOCK_CLOEXEC);
	pair->again = pair->accepted < 0 ? -1 : dup(pair->accepted);
	return pair->again >= 0;
}

static void pair_close(const struct pair *pair)
{
	const int fds[] = { pair->listener, pair->client, pair->accepted, pair->again };
	size_t i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Of a handshake that never was; nobody will use them. */
static void make_up_keys(struct tlsgate_keys *keys, uint8_t byte)
{
	keys->key_len = 16;
	keys->iv_len = 12;
	keys->secret_len = 32;
	memset(keys->key, byte, keys->key_len);
	memset(keys->iv, byte, keys->iv_len);
	memset(keys->secret, byte, keys->secret_len);
}

static enum probe_answer answer_of(int err)
{
	switch (err) {
	case -EBUSY:			/* for the second descriptor */
	case -EAGAIN:			/* its backlog is full */
		return PROBE_TAKES;
	case -EADDRNOTAVAIL:
	case -ESOCKTNOSUPPORT:
		return PROBE_CANNOT;
	case -ECONNREFUSED:
		return PROBE_NOBODY;
	default:
		return PROBE_UNKNOWN;
	}
}

static enum probe_answer ask(struct tlsgate *tlsgate, const struct pair *pair, const struct addr *server)
{
	struct tlsgate_session_params params = TLSGATE_SESSION_PARAMS_INIT;
	int handle, err;
	uint32_t id;

	handle = tlsgate_deliver_new(tlsgate, &pair->local.sa, pair->local.len, &server->sa, server->len);
	if (handle < 0)
		return PROBE_UNKNOWN;
	params.fd = pair->accepted;
	params.version = TLSGATE_TLS_1_3;
	params.suite = 0x1301;		/* TLS_AES_128_GCM_SHA256 */
	params.role = TLSGATE_ROLE_SERVER;
	make_up_keys(&params.tx, 1);
	make_up_keys(&params.rx, 2);
	err = tlsgate_session_deliver(tlsgate, &params, handle, &id);
	close(handle);
	return answer_of(err);
}

enum probe_answer probe_server(struct tlsgate *tlsgate, enum detour_kind kind,
			       const struct addr *server)
{
	enum probe_answer answer = PROBE_UNKNOWN;
	struct pair pair;

	if (pair_open(&pair, kind))
		answer = ask(tlsgate, &pair, server);
	pair_close(&pair);
	return answer;
}
