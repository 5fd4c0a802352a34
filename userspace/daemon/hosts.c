// SPDX-License-Identifier: MIT
#include "daemon/hosts.h"

#define CARES_NO_DEPRECATED	/* the newer names are not in Debian 12's */
#include <ares.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "daemon/filter.h"

#define NSSWITCH	"/etc/nsswitch.conf"
#define SOCKETS		32	/* two for each name server */
#define TRY_MS		2000	/* for the first answer; each round waits twice as long */
#define TRIES		3

/* One name, and what became of it. */
struct question {
	struct pollfd sockets[SOCKETS];
	nfds_t socket_count;
	const char *port;
	struct addr *out;
	uint32_t ttl;
	const char *why;
	int found;		/* of out; -1: none, and why */
	bool over;
};

/* c-ares would set O_NONBLOCK by fcntl(), which no filter allows. */
static ares_socket_t open_socket(int family, int type, int protocol, void *unused)
{
	(void)unused;
	return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int close_socket(ares_socket_t fd, void *unused)
{
	(void)unused;
	return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *sa, ares_socklen_t len, void *unused)
{
	(void)unused;
	return connect(fd, sa, len);
}

static ares_ssize_t receive(ares_socket_t fd, void *buf, size_t size, int flags, struct sockaddr *from,
			    ares_socklen_t *from_len, void *unused)
{
	(void)unused;
	return recvfrom(fd, buf, size, flags, from, from_len);
}

static ares_ssize_t send_pieces(ares_socket_t fd, const struct iovec *pieces, int count, void *unused)
{
	struct msghdr message = { .msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count };

	(void)unused;
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static const struct ares_socket_functions socket_functions = {
	open_socket, close_socket, connect_socket, receive, send_pieces,
};

/* c-ares watches fd for this from now on, or no longer. */
static void on_watch(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct question *question = arg;
	const short events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
	nfds_t i = 0;

	while (i < question->socket_count && question->sockets[i].fd != fd)
		i++;
	if (i == SOCKETS)
		return;			/* more name servers than are any use: those time out */
	if (i == question->socket_count)
		question->socket_count++;
	question->sockets[i] = (struct pollfd){ .fd = fd, .events = events };
	if (!events)
		question->sockets[i] = question->sockets[--question->socket_count];
}

static void heed_ttl(struct question *question, int ttl)
{
	/* RFC 2181 section 8: the highest bit set is 0 */
	const uint32_t seconds = ttl < 0 ? 0 : (uint32_t)ttl;

	if (seconds < question->ttl)
		question->ttl = seconds;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct question *question = arg;
	const struct ares_addrinfo_cname *alias;
	const struct ares_addrinfo_node *node;

	(void)timeouts;
	question->over = true;
	if (status != ARES_SUCCESS) {
		question->found = -1;
		question->why = ares_strerror(status);
		return;
	}
	for (alias = info->cnames; alias; alias = alias->next)
		heed_ttl(question, alias->ttl);
	for (node = info->nodes; node && question->found < ADDR_LIST_MAX; node = node->ai_next) {
		heed_ttl(question, node->ai_ttl);
		addr_take(&question->out[question->found++], node->ai_addr, node->ai_addrlen,
			  question->port);
	}
	ares_freeaddrinfo(info);
}

/* Lets c-ares read and write what is ready.  It changes question->sockets meanwhile. */
static void process(ares_channel channel, const struct question *question)
{
	struct pollfd ready[SOCKETS];
	const nfds_t count = question->socket_count;
	nfds_t i;

	memcpy(ready, question->sockets, sizeof(ready));
	ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	for (i = 0; i < count; i++)
		if (ready[i].revents)
			ares_process_fd(channel, ready[i].revents & ~POLLOUT ? ready[i].fd : ARES_SOCKET_BAD,
					ready[i].revents & ~POLLIN ? ready[i].fd : ARES_SOCKET_BAD);
}

static void wait_for_answer(ares_channel channel, struct question *question)
{
	const uint64_t end = clock_ms() + HOSTS_SECONDS * 1000;
	struct timeval longest = { HOSTS_SECONDS, 0 }, wait;
	const struct timeval *due;

	while (!question->over && clock_ms() < end) {
		due = ares_timeout(channel, &longest, &wait);
		if (poll(question->sockets, question->socket_count,
			 (int)(due->tv_sec * 1000 + due->tv_usec / 1000 + 1)) < 0 && errno != EINTR)
			break;
		process(channel, question);
	}
	if (question->over)
		return;
	ares_cancel(channel);
	question->why = "no name server answered in time";
}

/* A channel for each name: it has read resolv.conf just now, and its ids are new. */
static int ask_name_servers(const char *host, struct question *question)
{
	const struct ares_addrinfo_hints hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NUMERICSERV,
	};
	struct ares_options options = {
		.timeout = TRY_MS, .tries = TRIES,
		.sock_state_cb = on_watch, .sock_state_cb_data = question,
	};
	ares_channel channel;
	int status;

	status = ares_library_init(ARES_LIB_INIT_ALL);
	if (status == ARES_SUCCESS)
		status = ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
					   ARES_OPT_SOCK_STATE_CB);
	if (status != ARES_SUCCESS) {
		question->why = ares_strerror(status);
		return -1;
	}
	ares_set_socket_functions(channel, &socket_functions, NULL);
	ares_getaddrinfo(channel, host, question->port, &hints, on_answer, question);
	wait_for_answer(channel, question);
	ares_destroy(channel);
	return question->found;
}

/* Ends line.  Other databases are none of ours. */
static bool is_plain_line(char *line)
{
	char *rest = NULL, *word;

	line[strcspn(line, "#\n")] = '\0';
	word = strtok_r(line, " \t:", &rest);
	if (!word || strcmp(word, "hosts"))
		return true;
	while ((word = strtok_r(NULL, " \t", &rest)))
		if (strcmp(word, "files") && strcmp(word, "dns"))
			return false;
	return true;
}

bool hosts_are_plain(FILE *nsswitch)
{
	bool plain = true;
	char *line = NULL;
	size_t size = 0;

	while (plain && getline(&line, &size, nsswitch) >= 0)
		plain = is_plain_line(line);
	free(line);
	return plain;
}

/* Without the file, libc asks files and dns. */
static bool is_plain(void)
{
	FILE *nsswitch = fopen(NSSWITCH, "re");
	const bool plain = !nsswitch || hosts_are_plain(nsswitch);

	if (nsswitch)
		(void)fclose(nsswitch);
	return plain;
}

int hosts_find(const char *backend, struct addr out[ADDR_LIST_MAX], uint32_t *ttl, const char **why)
{
	struct question question = { .out = out, .ttl = HOSTS_NO_TTL, .why = *why };
	char host[ADDR_HOST_MAX];
	int found;

	*ttl = HOSTS_NO_TTL;
	if (!is_plain())
		return addr_resolve(backend, out, why);
	if (addr_split(backend, host, &question.port, why) || filter_load(FILTER_ASKER, false))
		return -1;
	found = ask_name_servers(host, &question);
	*ttl = question.ttl;
	*why = question.why;
	return found;
}
