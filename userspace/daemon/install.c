// SPDX-License-Identifier: MIT
#include "daemon/install.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/account.h"
#include "daemon/conn.h"
#include "daemon/kernel.h"
#include "lib/libtlsgate.h"

_Static_assert(TLS_MAX_KEY == TLSGATE_KEY_MAX && TLS_MAX_IV == TLSGATE_IV_MAX &&
	       TLS_MAX_SECRET == TLSGATE_SECRET_MAX, "engine and kernel agree on key sizes");
_Static_assert(TLS_MAX_INPUT <= TLSGATE_RX_PENDING_MAX, "whatever the engine holds fits");
_Static_assert((int)TLS_CLIENT == (int)TLSGATE_ROLE_CLIENT &&
	       (int)TLS_SERVER == (int)TLSGATE_ROLE_SERVER, "roles need no translation");

enum install_result {
	INSTALL_DONE,			/* the kernel relays: both descriptors can be closed */
	INSTALL_LATER,			/* the engine has to send something first: there is output */
	INSTALL_REFUSED,		/* nothing has changed: the connection can go on here */
	INSTALL_BROKEN,			/* it cannot: the kernel has it, but nobody said so */
};

static void copy_direction(struct tlsgate_keys *to, const struct tls_direction_keys *from)
{
	memcpy(to->key, from->key, from->key_len);
	memcpy(to->iv, from->iv, from->iv_len);
	memcpy(to->secret, from->secret, from->secret_len);
	to->key_len = from->key_len;
	to->iv_len = from->iv_len;
	to->secret_len = from->secret_len;
	to->seq = from->seq;
}

static void fill_params(struct tlsgate_session_params *params, const struct conn *conn,
			const struct tls_session_keys *keys)
{
	struct tls_conn_info info;

	params->fd = conn->tls_io.fd;
	params->relay_fd = conn->plain_io.fd;	/* -1 where it is to be delivered */
	params->version = keys->version;
	params->suite = keys->suite;
	params->role = (enum tlsgate_role)keys->role;
	params->label = conn->gate->settings->name;
	params->label_len = strnlen(params->label, TLSGATE_LABEL_MAX);
	copy_direction(&params->tx, &keys->tx);
	copy_direction(&params->rx, &keys->rx);
	params->rx_pending = tls_conn_pending(conn->tls, &params->rx_pending_len);
	tls_conn_info(conn->tls, &info);
	if (info.record_size < TLSGATE_RECORD_SIZE_MAX) {
		params->options.set |= TLSGATE_SET_RECORD_SIZE;
		params->options.record_size = info.record_size;
	}
	if (conn->gate->settings->idle_timeout) {
		params->options.set |= TLSGATE_SET_IDLE_TIMEOUT;
		params->options.idle_timeout = conn->gate->settings->idle_timeout;
	}
}

/*
 * Does the kernel hold the keys, though the call failed?  It installs all or
 * nothing, so only its answer can have been lost on the way.
 */
static bool has_session(struct tlsgate *tlsgate, int fd)
{
	struct tlsgate_session session;

	return !tlsgate_session_get(tlsgate, tlsgate_by_fd(fd), &session);
}

static int install(struct conn *conn, const struct tlsgate_session_params *params, uint32_t *id)
{
	struct tlsgate *tlsgate = conn->worker->tlsgate;

	return conn->state == CONN_DELIVERING ?
	       tlsgate_session_deliver(tlsgate, params, conn->handle, id) :
	       tlsgate_session_new(tlsgate, params, id);
}

/*
 * Everything is looked at before the one call that switches, and nothing
 * after it can fail: a half-installed session would be a broken promise.
 * Done: *id is the kernel's session.  Else *why is a sentence, valid until the
 * next call, and refused, *err is libtlsgate's error.
 */
static enum install_result install_session(struct conn *conn, uint32_t *id, int *err,
					   const char **why)
{
	struct tlsgate_session_params params = TLSGATE_SESSION_PARAMS_INIT;
	enum install_result result = INSTALL_REFUSED;
	struct worker *worker = conn->worker;
	struct tls_session_keys keys;
	size_t output;

	*why = "no tlsgate module that takes keys is loaded";
	*err = worker->barred ? -EPERM : -ENODEV;
	if (!worker->tlsgate)
		return result;
	*why = "the engine does not give the keys";
	*err = -EBUSY;
	if (tls_conn_export_keys(conn->tls, &keys)) {
		(void)tls_conn_output(conn->tls, &output);
		if (output)
			result = INSTALL_LATER;
		goto out;
	}
	fill_params(&params, conn, &keys);
	do {
		*err = install(conn, &params, id);
		snprintf(worker->refusal, sizeof(worker->refusal), "%s", kernel_error(worker->tlsgate));
	} while (*err == -ENODEV && kernel_lost(worker));
	*why = worker->refusal;
	if (!*err)
		result = INSTALL_DONE;
	else if (*err != -ENODEV && has_session(worker->tlsgate, params.fd))
		result = INSTALL_BROKEN;
out:
	tls_wipe(&params, sizeof(params));
	tls_wipe(&keys, sizeof(keys));
	return result;
}

/* Never silent: what the kernel refused is said and counted. */
static void log_refusal(struct conn *conn, int err, const char *why, bool goes_on)
{
	struct worker *worker = conn->worker;
	char client[ADDR_TEXT_MAX];

	worker_count(worker, conn->gate, STAT_REFUSED, 1);
	worker_count(worker, conn->gate, STAT_REFUSAL + tally_refusal(err), 1);
	worker_log_peer(worker, warn, "%s: client %s: the kernel refused the session: %s; %s (%llu so far)",
			conn->gate->settings->name, conn_client(conn, client), why,
			goes_on ? "data path: user for this connection" : "connection closed",
			(unsigned long long)stats_get(worker->stats, (size_t)(conn->gate - worker->gates),
						      STAT_REFUSED));
}

/* The kernel has it. */
static void let_go(struct conn *conn, uint32_t id, enum counter counter, const char *path)
{
	char text[48];

	worker_count(conn->worker, conn->gate, counter, 1);
	conn->handed_over = true;
	account_hand_over(conn, id);
	snprintf(text, sizeof(text), "%s, session %u", path, id);
	if (log_is_verbose())
		conn_log_path(conn, text);
	conn_free(conn);
}

int conn_deliver(struct conn *conn, const char **why)
{
	uint32_t id;
	int err;

	switch (install_session(conn, &id, &err, why)) {
	case INSTALL_LATER:
		return -EINPROGRESS;
	case INSTALL_REFUSED:
		return err;
	case INSTALL_BROKEN:
		account_reason(conn, "the kernel delivers it, but nobody said so: %s", *why);
		conn_free(conn);
		return 0;
	case INSTALL_DONE:
		break;
	}
	let_go(conn, id, STAT_DELIVERED, "delivered");
	return 0;
}

bool conn_hand_over(struct conn *conn)
{
	enum install_result result;
	const char *why;
	bool goes_on;
	uint32_t id;
	int err;

	if (pause_is_on(conn->worker->paused) || (!conn->worker->tlsgate && conn->gate->adaptive)) {
		conn->hands_over = false;	/* that the module is gone was said once */
		conn_stays(conn);
		return false;
	}
	result = install_session(conn, &id, &err, &why);
	conn->hands_over = result == INSTALL_LATER;
	if (result == INSTALL_LATER)
		return false;
	if (result == INSTALL_DONE) {
		let_go(conn, id, STAT_KERNEL, "kernel");
		return true;
	}
	goes_on = result == INSTALL_REFUSED && conn->gate->adaptive;
	log_refusal(conn, err, why, goes_on);
	if (goes_on) {
		conn_stays(conn);
		return false;
	}
	account_reason(conn, "the kernel refused the session: %s", why);
	if (result == INSTALL_BROKEN) {
		/* a client that was reset meanwhile, say: its stream is no empty one */
		conn_reset_plain(conn);
		conn_free(conn);	/* the kernel ends it: no byte of ours may go in between */
	} else {
		conn_abort(conn);
	}
	return true;
}
