// SPDX-License-Identifier: MIT
#include "common/tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void set_option(int fd, int level, int name, uint32_t value)
{
	/* fails only for a socket that is none of TCP's, or out of range */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

void tcp_reset(int fd)
{
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	(void)connect(fd, &nowhere, sizeof(nowhere));
}

void tcp_keep_alive(int fd, uint32_t idle, uint32_t interval, uint32_t probes)
{
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, idle != 0);
	if (!idle)
		return;
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval);
	if (probes)
		set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
}

void tcp_user_timeout(int fd, uint32_t ms)
{
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, ms);
}
