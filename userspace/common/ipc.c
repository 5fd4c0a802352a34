// SPDX-License-Identifier: MIT
#include "common/ipc.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/hurry.h"

#define IPC_VERSION	8	/* bump with enum ipc_type */

struct ipc_packet {
	uint16_t version;
	uint16_t type;
};

_Static_assert(sizeof(struct ipc_check) >= sizeof(struct ipc_note), "it is received into the larger one");

union fd_space {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(IPC_MAX_FDS * sizeof(int))];
};

int ipc_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) ? -errno : 0;
}

static void attach_fds(struct msghdr *msg, union fd_space *space, const int *fds, size_t count)
{
	struct cmsghdr *cmsg;

	memset(space, 0, sizeof(*space));
	msg->msg_control = space->bytes;
	msg->msg_controllen = CMSG_SPACE(count * sizeof(*fds));
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(count * sizeof(*fds));
	memcpy(CMSG_DATA(cmsg), fds, count * sizeof(*fds));
}

static int send_packet(int end, const struct msghdr *msg)
{
	ssize_t n;

	do {
		n = sendmsg(end, msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int ipc_send(int end, enum ipc_type type, const int *fds, size_t count)
{
	struct ipc_packet packet = { .version = IPC_VERSION, .type = (uint16_t)type };
	struct iovec iov = { .iov_base = &packet, .iov_len = sizeof(packet) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union fd_space space;

	if (count)
		attach_fds(&msg, &space, fds, count);
	return send_packet(end, &msg);
}

static int send_with(int end, enum ipc_type type, const void *data, size_t size)
{
	struct ipc_packet packet = { .version = IPC_VERSION, .type = (uint16_t)type };
	struct iovec iov[] = { { &packet, sizeof(packet) }, { (void *)data, size } };

	return send_packet(end, &(struct msghdr){ .msg_iov = iov, .msg_iovlen = 2 });
}

int ipc_send_note(int end, const struct ipc_note *note)
{
	return send_with(end, IPC_NOTE, note, sizeof(*note));
}

int ipc_send_check(int end, const struct ipc_check *check)
{
	return send_with(end, IPC_CHECKED, check, sizeof(*check));
}

/* What was passed along fits into fds: the kernel had room for no more. */
static size_t passed_fds(struct msghdr *msg, int fds[IPC_MAX_FDS])
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	size_t len;

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return 0;
	len = cmsg->cmsg_len - CMSG_LEN(0);
	memcpy(fds, CMSG_DATA(cmsg), len);
	return len / sizeof(*fds);
}

static size_t size_of(uint16_t type)
{
	return sizeof(struct ipc_packet) + (type == IPC_NOTE ? sizeof(struct ipc_note) :
					    type == IPC_CHECKED ? sizeof(struct ipc_check) : 0);
}

int ipc_receive(int end, struct ipc_message *message)
{
	struct ipc_packet packet;
	struct ipc_message got = {0};
	struct iovec iov[] = { { &packet, sizeof(packet) }, { &got.check, sizeof(got.check) } };
	union fd_space space;
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = space.bytes,
		.msg_controllen = sizeof(space.bytes),
	};
	ssize_t n;

	/* once the other end closed with messages unread; what it sent before comes next */
	do {
		n = recvmsg(end, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;

	/* an empty packet, which looks like the end, may carry some, too */
	got.fd_count = passed_fds(&msg, got.fds);
	if (n == 0) {
		ipc_close(&got);
		return 0;
	}
	if ((size_t)n < sizeof(packet) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
	    (size_t)n != size_of(packet.type) || packet.version != IPC_VERSION ||
	    packet.type == IPC_NONE || packet.type >= IPC_TYPES) {
		ipc_close(&got);
		return -EPROTO;
	}
	got.type = (enum ipc_type)packet.type;
	*message = got;
	return 1;
}

void ipc_close(const struct ipc_message *message)
{
	size_t i;

	for (i = 0; i < message->fd_count; i++)
		close(message->fds[i]);
}

int ipc_receive_word(int end, struct ipc_message *message)
{
	int ret;

	hurry_begin();
	ret = ipc_receive(end, message);
	if (ret == 1)
		ipc_close(message);
	hurry_end();
	return ret;
}
