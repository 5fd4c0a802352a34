// SPDX-License-Identifier: MIT
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PAT_BLOCK	8

static struct tcp_info net_tcp_info(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	return info;
}

uint32_t net_segments_in(int fd)
{
	return net_tcp_info(fd).tcpi_segs_in;
}

uint32_t net_segments_out(int fd)
{
	return net_tcp_info(fd).tcpi_segs_out;
}

long net_amount(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? atol(text) : otherwise;
}

void net_timeouts(int fd, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

int net_buffers(int fd, int send, int receive)
{
	if (send && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, sizeof(send)))
		return -1;
	return receive ? setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof(receive)) : 0;
}

int net_listener(int family)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	bool six = family == AF_INET6;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (!bind(fd, six ? (void *)&v6 : (void *)&v4, six ? sizeof(v6) : sizeof(v4)) &&
	    !listen(fd, 16))
		return fd;
	close(fd);
	return -1;
}

int net_connect_to(int listener)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	int one = 1;
	int fd;

	if (getsockname(listener, (void *)&addr, &len))
		return -1;
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	net_timeouts(fd, NET_DEADLINE);
	if (!connect(fd, (void *)&addr, len))
		return fd;
	close(fd);
	return -1;
}

int net_tcp_pair_at(int listener, int fd[2])
{
	int one = 1;

	fd[0] = net_connect_to(listener);
	fd[1] = fd[0] < 0 ? -1 : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd[1] < 0)
		return -1;
	setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	net_timeouts(fd[1], NET_DEADLINE);
	return 0;
}

int net_tcp_pair(int family, int fd[2])
{
	int listener = net_listener(family);
	int err = net_tcp_pair_at(listener, fd);

	close(listener);
	return err;
}

int net_narrow_pair(int receive, int fd[2])
{
	int listener = net_listener(AF_INET);
	int err = net_buffers(listener, 0, receive) || net_tcp_pair_at(listener, fd) ||
		  net_buffers(fd[0], 1, 0);

	close(listener);
	return err ? -1 : 0;
}

int net_unix_pair(int fd[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		return -1;
	net_timeouts(fd[0], NET_DEADLINE);
	net_timeouts(fd[1], NET_DEADLINE);
	return 0;
}

int net_pair(int family, int fd[2])
{
	return family == AF_UNIX ? net_unix_pair(fd) : net_tcp_pair(family, fd);
}

bool net_namespace(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, err;

	if (unshare(CLONE_NEWNET))
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	return !err;
}

bool net_enter(pid_t pid)
{
	char path[64];
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = setns(fd, CLONE_NEWNET);
	close(fd);
	return !err;
}

uint32_t net_current(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) ? 0 : st.st_ino;
}

ssize_t net_send_fds(int via, const void *data, size_t len, int flags, const int *fds, int n)
{
	char space[CMSG_SPACE(NET_FDS * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space,
		.msg_controllen = CMSG_SPACE(n * sizeof(int)),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	return sendmsg(via, &msg, flags | MSG_NOSIGNAL);
}

int net_send_fd(int via, int fd)
{
	return net_send_fds(via, "", 1, 0, &fd, 1) == 1 ? 0 : -1;
}

int net_receive_fds(int via, int *fds, int n)
{
	char space[CMSG_SPACE(NET_FDS * sizeof(int))], c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space),
	};
	struct cmsghdr *cmsg;

	if (recvmsg(via, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_len != CMSG_LEN(n * sizeof(int)))
		return -1;
	memcpy(fds, CMSG_DATA(cmsg), n * sizeof(int));
	return 0;
}

int net_receive_fd(int via)
{
	int fd;

	return net_receive_fds(via, &fd, 1) ? -1 : fd;
}

int net_poll(int fd, int events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

bool net_quiet(int fd, int events)
{
	return !(net_poll(fd, events, NET_QUIET) & events);
}

uint64_t net_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

bool net_until(bool (*cond)(void *arg), void *arg)
{
	uint64_t end = net_now() + NET_DEADLINE;

	while (!cond(arg)) {
		if (net_now() > end)
			return false;
		poll(NULL, 0, 2);
	}
	return true;
}

int net_write(int fd, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = send(fd, (const uint8_t *)data + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		done += n;
	}
	return 0;
}

int net_read(int fd, void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (uint8_t *)data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (!n)
			errno = ENODATA;
		if (n <= 0)
			return -1;
		done += n;
	}
	return 0;
}

size_t net_fill(int fd, const void *data, size_t len, size_t most, int ms)
{
	size_t done = 0;

	while (done < most) {
		size_t at = done % len, n = len - at < most - done ? len - at : most - done;
		ssize_t sent = send(fd, (const uint8_t *)data + at, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			done += sent;
		else if (!ms || errno != EAGAIN || !(net_poll(fd, POLLOUT, ms) & POLLOUT))
			break;
	}
	return done;
}

bool net_write_segments(int fd, const uint8_t *data, size_t len, size_t seg)
{
	for (size_t at = 0; at < len; at += seg)
		if (net_write(fd, data + at, len - at < seg ? len - at : seg))
			return false;
	return true;
}

void net_reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* splitmix64 of the block's number */
static uint64_t pat_block(uint64_t block, uint64_t seed)
{
	uint64_t z = (block + seed) * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void pat_fill(uint8_t *buf, uint64_t offset, size_t len, uint64_t seed)
{
	size_t at = 0;

	while (at < len) {
		uint64_t block = pat_block((offset + at) / PAT_BLOCK, seed);
		size_t skip = (offset + at) % PAT_BLOCK;
		size_t n = PAT_BLOCK - skip < len - at ? PAT_BLOCK - skip : len - at;

		memcpy(buf + at, (uint8_t *)&block + skip, n);
		at += n;
	}
}

size_t pat_check(const uint8_t *buf, uint64_t offset, size_t len, uint64_t seed)
{
	uint8_t want[4096];
	size_t at = 0;

	while (at < len) {
		size_t n = len - at < sizeof(want) ? len - at : sizeof(want);

		pat_fill(want, offset + at, n, seed);
		if (memcmp(buf + at, want, n)) {
			while (buf[at] == want[0]) {
				at++;
				pat_fill(want, offset + at, 1, seed);
			}
			return at;
		}
		at += n;
	}
	return len;
}
