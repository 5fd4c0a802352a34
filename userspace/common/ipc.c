// SPDX-License-Identifier: MIT
#include "common/ipc.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IPC_VERSION	2	/* bump with enum ipc_type */

struct ipc_header {
	uint16_t version;
	uint16_t type;
	uint32_t id;
};

union fd_space {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int ipc_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) ? -errno : 0;
}

static void attach_fd(struct msghdr *msg, union fd_space *space, int fd)
{
	struct cmsghdr *cmsg;

	memset(space, 0, sizeof(*space));
	msg->msg_control = space->bytes;
	msg->msg_controllen = sizeof(space->bytes);
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
}

int ipc_send(int end, enum ipc_type type, uint32_t id, const void *data, size_t len, int fd)
{
	struct ipc_header header = { .version = IPC_VERSION, .type = (uint16_t)type, .id = id };
	struct iovec iov[2] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)(uintptr_t)data, .iov_len = len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	union fd_space space;
	ssize_t n;

	if (len > IPC_MAX_PAYLOAD)
		return -EMSGSIZE;
	if (fd != -1)
		attach_fd(&msg, &space, fd);
	do {
		n = sendmsg(end, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int passed_fd(struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	return fd;
}

int ipc_receive(int end, struct ipc_message *message)
{
	struct ipc_header header;
	struct iovec iov[2] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = message->data, .iov_len = sizeof(message->data) },
	};
	union fd_space space;
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = space.bytes,
		.msg_controllen = sizeof(space.bytes),
	};
	ssize_t n;
	int fd;

	do {
		n = recvmsg(end, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return 0;

	fd = passed_fd(&msg);
	if ((size_t)n < sizeof(header) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
	    header.version != IPC_VERSION || header.type == IPC_NONE || header.type >= IPC_TYPES) {
		if (fd != -1)
			close(fd);
		return -EPROTO;
	}
	message->type = (enum ipc_type)header.type;
	message->id = header.id;
	message->len = (size_t)n - sizeof(header);
	message->fd = fd;
	return 1;
}
