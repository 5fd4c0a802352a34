// SPDX-License-Identifier: MIT
#include "daemon/preface.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "daemon/accept_proxy.h"
#include "daemon/account.h"
#include "daemon/conn.h"
#include "daemon/decline.h"
#include "daemon/opening.h"
#include "daemon/pass.h"

#define WHAT	"it ended before TLS"
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* In the order in which clients send it. */
static const struct stage {
	bool (*wanted)(const struct conn *conn);
	enum preface_result (*run)(struct conn *conn);
} stages[] = {
	{ accept_proxy_wanted, accept_proxy_run },
	{ opening_wanted, opening_run },
	{ decline_wanted, decline_run },
	{ pass_wanted, pass_run },
};

enum preface_result preface_fail(struct conn *conn, enum failure failure, const char *what,
				 const char *why)
{
	worker_count(conn->worker, conn->gate, STAT_FAILURE + failure, 1);
	conn_fail(conn, what, why);
	return PREFACE_GONE;
}

bool preface_was_check(struct conn *conn)
{
	const struct preface *preface = conn->preface;

	if (!preface || !preface->by_proxy || preface->begun || preface->held_len)
		return false;
	account_reason(conn, "closed before TLS, as a health check does");
	conn_free(conn);
	return true;
}

ssize_t preface_peek(struct conn *conn, void *buf, size_t size)
{
	ssize_t n = recv(conn->tls_io.fd, buf, size, MSG_PEEK);

	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		conn_watch(conn, &conn->tls_io, EV_READ);
		return 0;
	}
	if (preface_was_check(conn))
		return -1;
	if (n < 0)
		(void)preface_fail(conn, FAILURE_NETWORK, WHAT, strerror(errno));
	else
		(void)preface_fail(conn, FAILURE_PEER_CLOSED, WHAT, "the peer closed the connection");
	return -1;
}

bool preface_take(struct conn *conn, void *buf, size_t len)
{
	/* it is there, and nobody else reads it */
	if (conn_receive(conn, &conn->tls_io, buf, len) == (ssize_t)len)
		return true;
	(void)preface_fail(conn, FAILURE_NETWORK, WHAT, conn_receive_error());
	return false;
}

static size_t next_wanted(const struct conn *conn, size_t stage)
{
	while (stage < COUNT(stages) && !stages[stage].wanted(conn))
		stage++;
	return stage;
}

static void forget_held(struct preface *preface)
{
	free(preface->held);
	preface->held = NULL;
	preface->held_len = 0;
}

bool preface_continue(struct conn *conn)
{
	struct preface *preface = conn->preface;
	enum preface_result result;

	while (preface->stage < COUNT(stages)) {
		result = stages[preface->stage].run(conn);
		if (result != PREFACE_DONE)
			return false;
		forget_held(preface);
		preface->stage = next_wanted(conn, preface->stage + 1);
	}
	return true;
}

bool preface_start(struct conn *conn)
{
	const size_t first = next_wanted(conn, 0);

	conn->state = CONN_PREFACE;
	if (first == COUNT(stages))
		return true;
	conn->preface = calloc(1, sizeof(*conn->preface));
	if (!conn->preface) {
		(void)preface_fail(conn, FAILURE_INTERNAL, WHAT, "out of memory");
		return false;
	}
	conn->preface->stage = first;
	conn_deadline(conn, conn->gate->settings->handshake_timeout);
	return preface_continue(conn);
}

void preface_timer(struct conn *conn)
{
	(void)preface_fail(conn, FAILURE_TIMEOUT, WHAT, "not complete at its deadline");
}

void preface_free(struct preface *preface)
{
	if (!preface)
		return;
	free(preface->held);
	free(preface->hello);
	free(preface);
}
