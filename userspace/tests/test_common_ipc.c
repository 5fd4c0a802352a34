// SPDX-License-Identifier: MIT
/* common/ipc: framing is exact, and whatever is not a message of ours is refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ipc.h"
#include "tests/tap.h"

static int ends[2];

static void test_round_trip(void)
{
	struct ipc_message message = {0};

	tap_ok(!ipc_send(ends[0], IPC_READY, NULL, 0) && !ipc_send(ends[0], IPC_DRAIN, NULL, 0),
	       "send two");
	tap_ok(ipc_receive(ends[1], &message) == 1 && message.type == IPC_READY &&
	       !message.fd_count, "receive the first");
	tap_ok(ipc_receive(ends[1], &message) == 1 && message.type == IPC_DRAIN, "and the second");
}

static void test_descriptors(void)
{
	struct ipc_message message = {0};
	int pipes[2], ret;
	char byte = 0;

	if (pipe(pipes))
		tap_bail("pipe: %s", strerror(errno));
	ret = ipc_send(ends[0], IPC_NEW_WORKER, pipes, 2);
	close(pipes[0]);
	close(pipes[1]);
	tap_ok(!ret && ipc_receive(ends[1], &message) == 1 && message.fd_count == 2,
	       "two descriptors are passed");
	tap_ok(fcntl(message.fds[0], F_GETFD) == FD_CLOEXEC &&
	       fcntl(message.fds[1], F_GETFD) == FD_CLOEXEC, "and are close-on-exec");
	ret = write(message.fds[1], "x", 1) == 1 && read(message.fds[0], &byte, 1) == 1;
	tap_ok(ret && byte == 'x', "and are the ones sent, in their order");
	ipc_close(&message);
	tap_ok(fcntl(message.fds[0], F_GETFD) == -1 && fcntl(message.fds[1], F_GETFD) == -1,
	       "and are closed with the message");
}

static void test_note(void)
{
	const struct ipc_note note = { .gate = 258, .kind = 2, .refused = 1, .text = "why" };
	struct ipc_message message = {0};

	tap_ok(!ipc_send_note(ends[0], &note) && ipc_receive(ends[1], &message) == 1 &&
	       message.type == IPC_NOTE && !message.fd_count &&
	       !memcmp(&message.note, &note, sizeof(note)), "a note");
	tap_ok(!ipc_send(ends[0], IPC_NOTE, NULL, 0) && ipc_receive(ends[1], &message) == -EPROTO,
	       "refused: one without its content");
}

static void test_check(void)
{
	const struct ipc_check check = { .gate = 258, .pool = 3, .member = 255, .failed = 1, .text = "why" };
	struct ipc_message message = {0};

	tap_ok(!ipc_send_check(ends[0], &check) && ipc_receive(ends[1], &message) == 1 &&
	       message.type == IPC_CHECKED && !message.fd_count &&
	       !memcmp(&message.check, &check, sizeof(check)), "a check");
	tap_ok(!ipc_send(ends[0], IPC_CHECKED, NULL, 0) && ipc_receive(ends[1], &message) == -EPROTO,
	       "refused: one without its content");
}

struct bad_case {
	const char *what;
	size_t len;
	uint8_t bytes[8];
};

static const struct bad_case bad_cases[] = {
	{ "shorter than a message", 3, { 8, 0, 1 } },
	{ "longer than a message", 5, { 8, 0, 1, 0, 0 } },
	{ "another version", 4, { 1, 0, 1, 0 } },
	{ "type none", 4, { 8, 0, 0, 0 } },
	{ "unknown type", 4, { 8, 0, 200, 0 } },
};

static void test_malformed(void)
{
	struct ipc_message message;
	size_t i;

	for (i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++)
		tap_ok(send(ends[0], bad_cases[i].bytes, bad_cases[i].len, 0) > 0 &&
		       ipc_receive(ends[1], &message) == -EPROTO, "refused: %s", bad_cases[i].what);
}

/* What ipc_receive() says of a packet of so many bytes with so many descriptors. */
static int receive_with(size_t len, size_t count)
{
	uint8_t packet[] = { 8, 0, IPC_NEW_WORKER, 0 };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} space = { .head = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
			      .cmsg_len = CMSG_LEN(count * sizeof(int)) } };
	struct iovec iov = { packet, len };
	const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &space,
				    .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct ipc_message message;

	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(&space.head) + i * sizeof(int), &ends[0], sizeof(int));
	if (sendmsg(ends[0], &msg, 0) != (ssize_t)len)
		tap_bail("sendmsg: %s", strerror(errno));
	return ipc_receive(ends[1], &message);
}

/* Refused messages leave no descriptor behind. */
static void test_unwanted_descriptors(void)
{
	int before = dup(ends[0]), after;

	close(before);
	tap_equal(receive_with(4, 3), -EPROTO, "refused: three descriptors");
	tap_equal(receive_with(3, 2), -EPROTO, "refused: two with a short message");
	tap_equal(receive_with(0, 2), 0, "two with an empty packet are as an end");
	after = dup(ends[0]);
	tap_equal(after, before, "and none of them stays open");
	close(after);
}

static void test_end(void)
{
	struct ipc_message message;

	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	tap_ok(ipc_receive(ends[1], &message) == -EAGAIN, "nothing there");
	close(ends[0]);
	tap_ok(ipc_receive(ends[1], &message) == 0, "the other end is gone");
	tap_ok(ipc_send(ends[1], IPC_DRAIN, NULL, 0) == -EPIPE, "and takes nothing, without a signal");
	close(ends[1]);
}

/* The kernel resets a pair whose end is closed with messages unread. */
static void test_end_with_unread(void)
{
	struct ipc_message message = {0};
	bool sent;

	tap_ok(!ipc_pair(ends), "another pair");
	sent = !ipc_send(ends[1], IPC_READY, NULL, 0) && !ipc_send(ends[0], IPC_DRAIN, NULL, 0);
	close(ends[0]);
	tap_ok(sent && ipc_receive(ends[1], &message) == 1 && message.type == IPC_DRAIN,
	       "what the other end sent before it was gone is received");
	tap_ok(ipc_receive(ends[1], &message) == 0, "and then its end");
	close(ends[1]);
}

int main(void)
{
	tap_ok(!ipc_pair(ends), "a pair");
	test_round_trip();
	test_descriptors();
	test_note();
	test_check();
	test_malformed();
	test_unwanted_descriptors();
	test_end();
	test_end_with_unread();
	return tap_done();
}
