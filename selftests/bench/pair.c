// SPDX-License-Identifier: MIT
#include "pair.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define SECRET	32

const uint8_t pair_key[KTLS_KEY_LEN] = "sixteen bytes...", pair_iv[KTLS_IV_LEN] = "twelve bytes";

void pair_connect(int fds[2], int room)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	socklen_t len = sizeof(at);

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || fds[0] < 0 || bind(listener, (struct sockaddr *)&at, len) ||
	    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) ||
	    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&at, &len) ||
	    connect(fds[0], (struct sockaddr *)&at, len) ||
	    setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		err(1, "loopback");
	fds[1] = accept(listener, NULL, NULL);
	if (fds[1] < 0)
		err(1, "accept");
	close(listener);
}

struct tlsgate *pair_open(void)
{
	struct tlsgate *tg;
	const char *why;

	if (tlsgate_open(&tg, &why))
		errx(1, "%s", why);
	return tg;
}

void pair_install(struct tlsgate *tg, int fd, enum tlsgate_role role, int relay_fd)
{
	struct tlsgate_session_params params = TLSGATE_SESSION_PARAMS_INIT;
	uint32_t id;

	params.fd = fd;
	params.relay_fd = relay_fd;
	params.role = role;
	params.version = TLSGATE_TLS_1_3;
	params.suite = 0x1301;
	params.tx = (struct tlsgate_keys){ .key_len = sizeof(pair_key), .iv_len = sizeof(pair_iv),
					   .secret_len = SECRET };
	memcpy(params.tx.key, pair_key, sizeof(pair_key));
	memcpy(params.tx.iv, pair_iv, sizeof(pair_iv));
	params.rx = params.tx;
	if (tlsgate_session_new(tg, &params, &id))
		errx(1, "%s", tlsgate_error(tg));
}
