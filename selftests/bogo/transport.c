// SPDX-License-Identifier: MIT
/* The engine's bytes over a blocking socket to the runner. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim.h"

/* Above what one handshake or one test's data takes, so that a call seldom cuts a record. */
#define CHUNK	16384

static int connect_to(const struct sockaddr *address, socklen_t len)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	if (!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) &&
	    !connect(fd, address, len))
		return fd;
	close(fd);
	return -1;
}

/* 8 bytes, least significant first, before all else. */
static bool send_id(int fd, const char *shim_id)
{
	uint64_t id = strtoull(shim_id, NULL, 10);
	uint8_t bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(id >> 8 * i);
	return send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) == sizeof(bytes);
}

int transport_connect(int port, const char *shim_id)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port),
				   .sin6_addr = in6addr_loopback };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = connect_to((struct sockaddr *)&v6, sizeof(v6));

	if (fd < 0)
		fd = connect_to((struct sockaddr *)&v4, sizeof(v4));
	if (fd < 0 || !shim_id || send_id(fd, shim_id))
		return fd;
	close(fd);
	return -1;
}

/* Unread bytes would make the kernel answer with a reset, which overtakes our alert. */
void transport_close(int fd)
{
	char rest[1024];

	if (!shutdown(fd, SHUT_WR)) {
		while (recv(fd, rest, sizeof(rest), 0) > 0)
			;
	}
	close(fd);
}

void transport_flush(struct exchange *x)
{
	const uint8_t *data;
	size_t len;

	while (data = tls_conn_output(x->conn, &len), len && !x->hold_output) {
		ssize_t sent = send(x->fd, data, len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		/* The runner hung up; whether it should have is for what is read to show. */
		if (sent < 0)
			sent = (ssize_t)len;
		tls_conn_output_done(x->conn, (size_t)sent);
	}
}

void transport_send_one(struct exchange *x)
{
	size_t len;
	const uint8_t *data = tls_conn_output(x->conn, &len);

	if (len && send(x->fd, data, 1, MSG_NOSIGNAL) == 1)
		tls_conn_output_done(x->conn, 1);
	x->hold_output = true;
}

int transport_receive(struct exchange *x)
{
	uint8_t chunk[CHUNK];
	size_t space = tls_conn_input_space(x->conn);
	ssize_t got;

	if (space > sizeof(chunk))
		space = sizeof(chunk);
	if (x->options->async)
		space = 1;
	do {
		got = recv(x->fd, chunk, space, 0);
	} while (got < 0 && errno == EINTR);
	if (got > 0)
		return tls_conn_input(x->conn, chunk, (size_t)got);
	x->peer_closed = true;
	return tls_conn_input_eof(x->conn);
}
