// SPDX-License-Identifier: MIT
#include "pair.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEY_UPDATE	24

void pair_keys(struct pair *p, const struct ref_suite *suite)
{
	p->suite = suite;
	ref_keys_random(&p->tx, suite);
	ref_keys_random(&p->rx, suite);
	ref_keys_copy(&p->peer.rx, &p->tx);
	ref_keys_copy(&p->peer.tx, &p->rx);
}

bool pair_connect(struct pair *p, uint16_t version, uint16_t suite, int family)
{
	const struct ref_suite *known = ref_suite(version, suite);
	int fd[2];

	memset(p, 0, sizeof(*p));
	p->family = family;
	p->fd = -1;
	p->peer.fd = -1;
	p->tg = tg_open();
	if (!known || !p->tg || net_tcp_pair(family, fd))
		return false;
	p->fd = fd[0];
	p->peer.fd = fd[1];
	pair_keys(p, known);
	return true;
}

int pair_install_as(struct pair *p, const void *label, size_t len)
{
	struct tg_install in = tg_install_on(p->fd, &p->tx, &p->rx);

	in.label = label;
	in.label_len = len;
	return tg_session_new(p->tg, &in, &p->id);
}

bool pair_connect_narrow(struct pair *p, uint16_t version, uint16_t suite)
{
	int fd[2];

	if (!pair_connect(p, version, suite, AF_INET) || net_narrow_pair(4096, fd))
		return false;
	close(p->fd);
	close(p->peer.fd);
	p->fd = fd[0];
	p->peer.fd = fd[1];
	return true;
}

int pair_install(struct pair *p)
{
	return pair_install_as(p, NULL, 0);
}

int pair_join(struct pair *p, int plain)
{
	struct tg_install in = tg_install_on(p->fd, &p->tx, &p->rx);

	in.relay_fd = plain;
	return tg_session_new(p->tg, &in, &p->id);
}

bool pair_start(struct pair *p, uint16_t version, uint16_t suite, int family)
{
	return pair_connect(p, version, suite, family) && !pair_install(p);
}

void pair_free(struct pair *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (p->peer.fd >= 0)
		close(p->peer.fd);
	ref_keys_free(&p->tx);
	ref_keys_free(&p->rx);
	ref_keys_free(&p->peer.tx);
	ref_keys_free(&p->peer.rx);
	tg_close(p->tg);
}

bool pair_again(struct pair *p)
{
	const struct ref_suite *suite = p->suite;
	int family = p->family;

	pair_free(p);
	return pair_start(p, suite->version, suite->suite, family);
}

int pair_relay(struct pair *p, int plain_family, int idle_timeout)
{
	int fd[2];
	int err = net_pair(plain_family, fd);

	if (err)
		return -1;
	err = tg_relay_new(p->tg, p->fd, fd[0], idle_timeout);
	close(fd[0]);
	if (!err)
		return fd[1];
	close(fd[1]);
	errno = -err;
	return -1;
}

int pair_relay_alone(struct pair *p, int plain_family, int idle_timeout)
{
	int plain = pair_relay(p, plain_family, idle_timeout);

	close(p->fd);
	p->fd = -1;
	return plain;
}

bool pair_gone(void *pair)
{
	const struct pair *p = pair;
	struct tg_info info;

	return tg_session_get(p->tg, BY_ID(p->id), &info) == -ENOENT;
}

int pair_give(struct pair *p, enum pair_command command, int plain)
{
	switch (command) {
	case PAIR_KEYS:
		return pair_install(p);
	case PAIR_KEYS_AND_RELAY:
		return pair_join(p, plain);
	default:
		return tg_relay_new(p->tg, p->fd, plain, -1);
	}
}

int peer_send_padded(struct peer *peer, uint8_t type, const void *data, size_t len, size_t pad)
{
	static _Thread_local uint8_t record[REF_RECORD_MAX];
	size_t n = ref_seal(&peer->tx, type, data, len, pad, record);

	return net_write(peer->fd, record, n);
}

int peer_send(struct peer *peer, uint8_t type, const void *data, size_t len)
{
	return peer_send_padded(peer, type, data, len, 0);
}

int peer_send_data(struct peer *peer, const void *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		size_t n = len - at < REF_PLAINTEXT ? len - at : REF_PLAINTEXT;

		if (peer_send(peer, REF_DATA, (const uint8_t *)data + at, n))
			return -1;
		at += n;
	}
	return 0;
}

int peer_alert(struct peer *peer, uint8_t level, uint8_t description)
{
	return peer_send(peer, REF_ALERT, (uint8_t[]){ level, description }, 2);
}

int peer_key_update(struct peer *peer, uint8_t request)
{
	int err = peer_send(peer, REF_HANDSHAKE, (uint8_t[]){ KEY_UPDATE, 0, 0, 1, request }, 5);

	ref_ratchet(&peer->tx);
	return err;
}

/* len bytes into peer->record at at; 0 or enum peer_result. */
static int fill(struct peer *peer, size_t at, size_t len)
{
	size_t end = at + len;

	while (at < end) {
		ssize_t n = recv(peer->fd, peer->record + at, end - at, 0);

		if (!n)
			return at ? PEER_BAD : PEER_EOF;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? PEER_TIMEOUT : PEER_RESET;
		at += n;
	}
	return 0;
}

ssize_t peer_recv(struct peer *peer, uint8_t *type, void *data, size_t cap)
{
	static _Thread_local uint8_t plain[REF_RECORD_MAX];
	ssize_t n;
	size_t len;
	int err = fill(peer, 0, REF_HEADER);

	if (err)
		return err;
	len = ref_record_len(peer->record);
	err = fill(peer, REF_HEADER, len - REF_HEADER);
	if (err)
		return err == PEER_EOF ? PEER_BAD : err;
	n = ref_open(&peer->rx, peer->record, len, type, plain);
	if (n < 0 || (size_t)n > cap || n > REF_PLAINTEXT)
		return PEER_BAD;
	memcpy(peer->last, plain, sizeof(peer->last));
	peer->last_extra = ref_last_inner_extra();
	memcpy(data, plain, n);
	return n;
}

bool peer_recv_data(struct peer *peer, void *data, size_t len)
{
	uint8_t plain[REF_PLAINTEXT];
	size_t at = 0;

	while (at < len) {
		uint8_t type;
		ssize_t n = peer_recv(peer, &type, plain, sizeof(plain));

		if (n < 0 || type != REF_DATA || (size_t)n > len - at)
			return false;
		memcpy((uint8_t *)data + at, plain, n);
		at += n;
	}
	return true;
}

bool peer_expect_alert(struct peer *peer, uint8_t description)
{
	uint8_t level = description == TLS_CLOSE_NOTIFY ? 1 : 2;
	uint8_t data[REF_PLAINTEXT];
	uint8_t type;
	ssize_t n = peer_recv(peer, &type, data, sizeof(data));

	return n == 2 && type == REF_ALERT && data[0] == level && data[1] == description;
}

bool peer_expect_end(struct peer *peer)
{
	uint8_t data[REF_PLAINTEXT];
	uint8_t type;

	return peer_expect_alert(peer, TLS_CLOSE_NOTIFY) &&
	       peer_recv(peer, &type, data, sizeof(data)) == PEER_EOF;
}

int peer_drain(struct peer *peer)
{
	uint8_t data[REF_PLAINTEXT];
	uint8_t type;
	ssize_t n;

	do
		n = peer_recv(peer, &type, data, sizeof(data));
	while (n >= 0);
	return n;
}
