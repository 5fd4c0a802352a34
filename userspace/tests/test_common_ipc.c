// SPDX-License-Identifier: MIT
/* common/ipc: framing is exact, and whatever is not a message of ours is refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ipc.h"
#include "tests/tap.h"

static int ends[2];

static void test_round_trip(void)
{
	struct ipc_message message = {0};
	uint8_t data[IPC_MAX_PAYLOAD + 1];

	memset(data, 0x5a, sizeof(data));
	tap_ok(!ipc_send(ends[0], IPC_KEY_REQUEST, 77, data, IPC_MAX_PAYLOAD, -1), "send the largest");
	tap_ok(!ipc_send(ends[0], IPC_DRAIN, 78, NULL, 0, -1), "send the smallest");
	tap_ok(ipc_receive(ends[1], &message) == 1 && message.type == IPC_KEY_REQUEST &&
	      message.id == 77 && message.len == IPC_MAX_PAYLOAD && message.fd == -1 &&
	      !memcmp(message.data, data, IPC_MAX_PAYLOAD), "receive the largest");
	tap_ok(ipc_receive(ends[1], &message) == 1 && message.type == IPC_DRAIN &&
	      message.id == 78 && message.len == 0, "boundaries are kept");
	tap_ok(ipc_send(ends[0], IPC_KEY_REQUEST, 1, data, sizeof(data), -1) == -EMSGSIZE,
	      "too large is refused");
}

static void test_descriptor(void)
{
	struct ipc_message message = {0};
	int pipes[2], ret;
	char byte = 0;

	if (pipe(pipes))
		return;
	ret = ipc_send(ends[0], IPC_NEW_WORKER, 0, NULL, 0, pipes[1]);
	close(pipes[1]);
	tap_ok(!ret && ipc_receive(ends[1], &message) == 1 && message.fd > 2, "a descriptor is passed");
	tap_ok(fcntl(message.fd, F_GETFD) == FD_CLOEXEC, "and is close-on-exec");
	ret = write(message.fd, "x", 1) == 1 && read(pipes[0], &byte, 1) == 1 && byte == 'x';
	tap_ok(ret, "and is the one sent");
	close(message.fd);
	close(pipes[0]);
}

struct bad_case {
	const char *what;
	size_t len;
	uint8_t bytes[16];
};

static const struct bad_case bad_cases[] = {
	{ "shorter than a header", 7, { 2, 0, 1, 0, 0, 0, 0 } },
	{ "another version", 8, { 1, 0, 1, 0, 0, 0, 0, 0 } },
	{ "type none", 8, { 2, 0, 0, 0, 0, 0, 0, 0 } },
	{ "unknown type", 8, { 2, 0, 200, 0, 0, 0, 0, 0 } },
};

static void test_malformed(void)
{
	static uint8_t big[IPC_MAX_PAYLOAD + 9] = { 2, 0, 1, 0 };
	struct ipc_message message;
	char what[80];
	size_t i;

	for (i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
		snprintf(what, sizeof(what), "refused: %s", bad_cases[i].what);
		tap_ok(send(ends[0], bad_cases[i].bytes, bad_cases[i].len, 0) > 0 &&
		      ipc_receive(ends[1], &message) == -EPROTO, "%s", what);
	}
	tap_ok(send(ends[0], big, sizeof(big), 0) > 0 && ipc_receive(ends[1], &message) == -EPROTO,
	      "refused: longer than any message");
}

static void test_end(void)
{
	struct ipc_message message;

	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	tap_ok(ipc_receive(ends[1], &message) == -EAGAIN, "nothing there");
	close(ends[0]);
	tap_ok(ipc_receive(ends[1], &message) == 0, "the other end is gone");
	tap_ok(ipc_send(ends[1], IPC_DRAIN, 0, NULL, 0, -1) == -EPIPE, "and takes nothing, without a signal");
	close(ends[1]);
}

int main(void)
{
	tap_ok(!ipc_pair(ends), "a pair");
	test_round_trip();
	test_descriptor();
	test_malformed();
	test_end();
	return tap_done();
}
