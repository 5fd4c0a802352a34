// SPDX-License-Identifier: MIT
/*
 * Socket to socket over loopback, TLS 1.3 AES-128-GCM with keys made here: calls
 * that send as much as MOST or BURST of them, then reads until all of it came.
 *
 *	sockets tlsgate|ktls|plain send|sendfile SIZE COUNT
 *
 * Prints the instructions for COUNT calls, both ends.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "busy.h"
#include "ktls.h"
#include "pair.h"

#define MOST	(64 << 10)
#define BURST	64

static char data[MOST];
static int file;

static void install_tlsgate(const int fds[2])
{
	struct tlsgate *tg = pair_open();

	pair_install(tg, fds[0], TLSGATE_ROLE_CLIENT, -1);
	pair_install(tg, fds[1], TLSGATE_ROLE_SERVER, -1);
	tlsgate_close(tg);
}

static void install_ktls(const int fds[2])
{
	int i;

	for (i = 0; i < 2; i++)
		if (ktls_attach(fds[i]) || ktls_install(fds[i], TLS_TX, pair_key, pair_iv) ||
		    ktls_install(fds[i], TLS_RX, pair_key, pair_iv))
			err(1, "kTLS");
}

static void install_nothing(const int fds[2])
{
	(void)fds;
}

static ssize_t by_send(int fd, size_t size)
{
	return send(fd, data, size, 0);
}

static ssize_t by_sendfile(int fd, size_t size)
{
	off_t at = 0;

	return sendfile(fd, file, &at, size);
}

static const struct {
	const char *name;
	void (*install)(const int fds[2]);
} subjects[] = {
	{ "tlsgate", install_tlsgate },
	{ "ktls", install_ktls },
	{ "plain", install_nothing },
};

static void transfer(const int fds[2], ssize_t (*send_by)(int fd, size_t size), size_t size,
		     unsigned long count)
{
	static char sink[MOST];
	size_t sent, got;
	unsigned long i;
	ssize_t n;

	for (i = 0; i < count; i++) {
		for (sent = 0; sent < size; sent += n) {
			n = send_by(fds[0], size - sent);
			if (n <= 0)
				err(1, "send");
		}
	}
	for (got = 0; got < count * size; got += n) {
		n = recv(fds[1], sink, sizeof(sink), 0);
		if (n <= 0)
			err(1, "recv");
	}
}

static void run(const char *subject, const char *how, size_t size, unsigned long count)
{
	ssize_t (*send_by)(int, size_t) = strcmp(how, "sendfile") ? by_send : by_sendfile;
	unsigned long burst = MOST / size < BURST ? MOST / size : BURST, i;
	struct busy busy;
	int fds[2];

	pair_connect(fds, 4 * MOST);
	for (i = 0; i < sizeof(subjects) / sizeof(*subjects); i++)
		if (!strcmp(subjects[i].name, subject))
			subjects[i].install(fds);
	for (i = 0; i < 20; i++)
		transfer(fds, send_by, size, burst);
	busy = busy_start();
	for (i = 0; i < count; i += burst)
		transfer(fds, send_by, size, count - i < burst ? count - i : burst);
	printf("%" PRIu64 "\n", busy_used(&busy));
}

int main(int argc, char **argv)
{
	size_t size;

	if (argc != 5 || (size = strtoul(argv[3], NULL, 10)) - 1 >= MOST)
		errx(2, "usage: sockets tlsgate|ktls|plain send|sendfile SIZE(1 to 64 KiB) COUNT");
	file = memfd_create("data", MFD_CLOEXEC);
	if (file < 0 || write(file, data, MOST) != MOST)
		err(1, "memfd");
	run(argv[1], argv[2], size, strtoul(argv[4], NULL, 10));
	return 0;
}
