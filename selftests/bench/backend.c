// SPDX-License-Identifier: MIT
/*
 * The one backend of every row, plain HTTP/1.1 on a port of loopback and on a
 * UNIX socket: GET /N answers N bytes (by sendfile, short ones in one
 * call with the header), POST /0 throws the body
 * away, POST /echo answers with the body as it comes.
 *
 *	backend PORT PATH
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FILE_SIZE	(64 << 20)
#define HEADER_MAX	4096
#define ECHO_MAX	(64 << 10)
#define SHORT_MAX	(32 << 10)

struct conn {
	int fd;
	char in[HEADER_MAX];	/* a request's header, so far */
	size_t in_len;
	uint64_t body;		/* still to come */
	uint64_t answer;	/* still to be sent from the file */
	bool echo;
	size_t echo_len;	/* in echoed, still to be sent back */
	char echoed[ECHO_MAX];
};

static int file = -1;
static char *mapped;
static char sink[256 << 10];

static int write_header(char h[128], uint64_t length)
{
	return snprintf(h, 128, "HTTP/1.1 200 OK\r\nServer: backend\r\n"
			"Content-Length: %llu\r\n\r\n", (unsigned long long)length);
}

/* False: the connection is over. */
static bool send_header(struct conn *c, uint64_t length, bool more)
{
	char h[128];
	int n = write_header(h, length);

	return send(c->fd, h, n, MSG_NOSIGNAL | (more ? MSG_MORE : 0)) == n;
}

/* Header and body in one call, as an application with a short answer does. */
static bool send_short(struct conn *c)
{
	char h[128];
	int header = write_header(h, c->answer);
	struct iovec parts[] = { { h, header }, { mapped + FILE_SIZE - c->answer, c->answer } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL);

	c->answer -= n < header ? 0 : n - header;
	return n >= header;
}

static bool begin(struct conn *c, char *end)
{
	char *field = strcasestr(c->in, "content-length:");
	size_t used = end + 4 - c->in;

	c->echo = !strncmp(c->in, "POST /echo ", 11);
	c->body = field && field < end ? strtoull(field + 15, NULL, 10) : 0;
	if (!strncmp(c->in, "GET /", 5))
		c->answer = strtoull(c->in + 5, NULL, 10);
	c->in_len -= used;
	memmove(c->in, end + 4, c->in_len);
	if (c->echo) {
		memcpy(c->echoed, c->in, c->in_len);
		c->echo_len = c->in_len;
		c->body -= c->in_len;
		c->in_len = 0;
		return send_header(c, c->body + c->echo_len, false);
	}
	if (c->answer && c->answer <= SHORT_MAX)
		return send_short(c);
	if (!c->body)
		return send_header(c, c->answer, c->answer > 0);
	c->body -= c->in_len;
	c->in_len = 0;
	return c->body || send_header(c, 0, false);
}

/* Each returns 1: did something, 0: must wait, -1: the connection is over. */
static int result(ssize_t n)
{
	if (n > 0)
		return 1;
	return n < 0 && errno == EAGAIN ? 0 : -1;
}

static int send_file(struct conn *c)
{
	off_t at = c->answer < FILE_SIZE ? FILE_SIZE - c->answer : 0;
	size_t most = c->answer < FILE_SIZE ? c->answer : FILE_SIZE;
	ssize_t n = sendfile(c->fd, file, &at, most);

	if (n > 0)
		c->answer -= n;
	return result(n);
}

static int echo(struct conn *c)
{
	ssize_t n;

	if (!c->echo_len) {
		n = read(c->fd, c->echoed, c->body < ECHO_MAX ? c->body : ECHO_MAX);
		if (n <= 0)
			return result(n);
		c->body -= n;
		c->echo_len = n;
	}
	n = send(c->fd, c->echoed, c->echo_len, MSG_NOSIGNAL);
	if (n > 0) {
		c->echo_len -= n;
		memmove(c->echoed, c->echoed + n, c->echo_len);
	}
	return result(n);
}

static int swallow(struct conn *c)
{
	ssize_t n = read(c->fd, sink, c->body < sizeof(sink) ? c->body : sizeof(sink));

	if (n <= 0)
		return result(n);
	c->body -= n;
	return c->body || send_header(c, 0, false) ? 1 : -1;
}

static int request(struct conn *c)
{
	ssize_t n = read(c->fd, c->in + c->in_len, HEADER_MAX - 1 - c->in_len);
	char *end;

	if (n <= 0)
		return result(n);
	c->in_len += n;
	c->in[c->in_len] = 0;
	end = strstr(c->in, "\r\n\r\n");
	if (end)
		return begin(c, end) ? 1 : -1;
	return c->in_len < HEADER_MAX - 1 ? 1 : -1;
}

static void drive(struct conn *c)
{
	int status;

	do {
		if (c->answer)
			status = send_file(c);
		else if (c->echo && (c->body || c->echo_len))
			status = echo(c);
		else if (c->body)
			status = swallow(c);
		else
			status = request(c);
	} while (status > 0);
	if (!status)
		return;
	close(c->fd);
	free(c);
}

static int listen_on(struct sockaddr *at, socklen_t len)
{
	int fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, at, len) || listen(fd, 512))
		err(1, "listen");
	return fd;
}

static void watch(int epoll, int fd, uint32_t events, void *data)
{
	struct epoll_event ev = { .events = events, .data.ptr = data };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev))
		err(1, "epoll");
}

static void take(int epoll, int listener)
{
	struct conn *c = calloc(1, sizeof(*c));
	int one = 1;

	if (!c)
		err(1, "memory");
	c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (c->fd < 0) {
		free(c);
		return;
	}
	/* Not a TCP socket, then there is nothing to set. */
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	watch(epoll, c->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, c);
}

static void make_file(void)
{
	char block[64 << 10];
	size_t i;

	for (i = 0; i < sizeof(block); i++)
		block[i] = i * 131 >> 3;
	file = memfd_create("body", MFD_CLOEXEC);
	for (i = 0; i < FILE_SIZE; i += sizeof(block))
		if (write(file, block, sizeof(block)) != sizeof(block))
			err(1, "body");
	mapped = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, file, 0);
	if (mapped == MAP_FAILED)
		err(1, "body");
}

int main(int argc, char **argv)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int listeners[2], epoll = epoll_create1(EPOLL_CLOEXEC), i, n;
	struct epoll_event ev[64];

	if (argc != 3 || strlen(argv[2]) >= sizeof(un.sun_path))
		errx(2, "usage: backend PORT PATH");
	signal(SIGPIPE, SIG_IGN);
	make_file();
	in.sin_port = htons(strtoul(argv[1], NULL, 10));
	strcpy(un.sun_path, argv[2]);
	listeners[0] = listen_on((struct sockaddr *)&in, sizeof(in));
	listeners[1] = listen_on((struct sockaddr *)&un, sizeof(un));
	for (i = 0; i < 2; i++)
		watch(epoll, listeners[i], EPOLLIN, &listeners[i]);
	for (;;) {
		n = epoll_wait(epoll, ev, 64, -1);
		for (i = 0; i < n; i++) {
			if (ev[i].data.ptr == &listeners[0] || ev[i].data.ptr == &listeners[1])
				take(epoll, *(int *)ev[i].data.ptr);
			else
				drive(ev[i].data.ptr);
		}
	}
}
