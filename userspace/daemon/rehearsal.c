// SPDX-License-Identifier: MIT
#include "daemon/rehearsal.h"

#include <errno.h>
#include <ev.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

#define CHUNK		4096
#define MAX_MESSAGE	65536		/* the gate's limit is for what it takes, not for what it sends */

struct act;

struct end {
	struct act *act;
	struct tls_conn *conn;
	const struct tls_private_key *key;	/* of the peer; the gate's has the answerer */
	ev_io io;
	int err;			/* the first */
	bool over;			/* established, or it failed */
};

struct act {
	struct ev_loop *loop;
	struct end gate, peer;
	const struct keypipe *keys;
	ev_io answer;
	struct keypipe_reply reply;
	bool failed;			/* the answerer did */
};

/* ---- sockets ----------------------------------------------------------------------------- */

/*
 * Of the abstract namespace, by a name that the kernel chooses: no file, and no network.
 * /proc/net/unix has the name, so that others may come first: they are let go, and leave room.
 */
static int open_pair(int *listener, int *client)
{
	struct sockaddr_storage name = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(name);
	const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

	*listener = socket(AF_UNIX, type, 0);
	*client = socket(AF_UNIX, type, 0);
	return *listener < 0 || *client < 0 ||
	       bind(*listener, (struct sockaddr *)&name, sizeof(name.ss_family)) ||
	       listen(*listener, SOMAXCONN) || getsockname(*listener, (struct sockaddr *)&name, &len) ||
	       connect(*client, (struct sockaddr *)&name, len) ? -1 : 0;
}

int rehearsal_open(struct rehearsal *rehearsal)
{
	if (!open_pair(&rehearsal->listener, &rehearsal->client))
		return 0;
	log_error("no sockets to rehearse a connection: %s: raise the limit of open files", strerror(errno));
	return -1;
}

static bool is_ours(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) && who.pid == getpid();
}

static void on_client(struct ev_loop *loop, ev_io *io, int events)
{
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int *accepted = io->data;

	(void)events;
	if (fd >= 0 && !is_ours(fd)) {
		close(fd);
		return;
	}
	*accepted = fd;
	ev_break(loop, EVBREAK_ALL);
}

/* The other end of the client's connection, or -1 and a line was logged. */
static int accept_client(const struct rehearsal *rehearsal, struct ev_loop *loop)
{
	ev_io accepting;
	int accepted = -1;

	ev_io_init(&accepting, on_client, rehearsal->listener, EV_READ);
	accepting.data = &accepted;
	ev_io_start(loop, &accepting);
	ev_run(loop, 0);
	ev_io_stop(loop, &accepting);
	if (accepted < 0)
		log_error("a worker cannot accept a connection from itself: %s", strerror(errno));
	return accepted;
}

/* What came after the handshake before: tickets, or an alert. */
static void drain(int fd)
{
	uint8_t bytes[CHUNK];

	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
}

/* ---- a handshake ------------------------------------------------------------------------- */

static void give_up(struct act *act)
{
	act->failed = true;
	ev_break(act->loop, EVBREAK_ALL);
}

static void ask_answerer(struct act *act, const struct tls_key_request *request)
{
	uint8_t packet[KEYPIPE_REQUEST_MAX];
	const struct keypipe_request head = {
		.len = (uint32_t)request->len, .key_id = request->key_id, .scheme = request->scheme,
		.op = (uint16_t)request->op, .cpu = -1,
	};
	size_t len = sizeof(head) + request->len;

	memcpy(packet, &head, sizeof(head));
	memcpy(packet + sizeof(head), request->data, request->len);
	/* the pipe is empty, and has room for the longest */
	if (write(act->keys->out, packet, len) == (ssize_t)len)
		ev_io_start(act->loop, &act->answer);
	else
		give_up(act);
}

static int sign(struct end *end, const struct tls_key_request *request)
{
	uint8_t reply[TLS_MAX_KEY_REPLY];
	size_t len = sizeof(reply);
	bool ok = !tls_private_key_perform(end->key, request, reply, &len);

	return tls_conn_key_reply(end->conn, ok ? reply : NULL, ok ? len : 0);
}

static bool is_broken(const struct end *end)
{
	return end->err && TLS_ERR_CLASS(end->err) == TLS_ERR_LOCAL;
}

/* An end may not be told of what broke the other. */
static bool is_over(const struct act *act)
{
	return act->failed || (act->gate.over && act->peer.over) || is_broken(&act->gate) ||
	       is_broken(&act->peer);
}

/* Asks what is to be asked, and sends what there is.  err: of the call before. */
static void step(struct end *end, int err)
{
	const struct tls_key_request *request = tls_conn_key_request(end->conn);
	struct act *act = end->act;
	const uint8_t *out;
	size_t len;

	if (request && end->key)
		err = sign(end, request);
	else if (request && !ev_is_active(&act->answer))
		ask_answerer(act, request);
	out = tls_conn_output(end->conn, &len);
	/* the socket has room for a handshake */
	if (len && send(end->io.fd, out, len, MSG_NOSIGNAL) == (ssize_t)len)
		tls_conn_output_done(end->conn, len);
	if (!end->err)
		end->err = err;
	end->over |= err || tls_conn_established(end->conn);
	if (is_over(act))
		ev_break(act->loop, EVBREAK_ALL);
}

static void on_answer(struct ev_loop *loop, ev_io *io, int events)
{
	struct act *act = io->data;
	int ret = keypipe_receive(io->fd, &act->reply);

	(void)events;
	if (ret == -EAGAIN || ret == -EINTR)
		return;
	ev_io_stop(loop, io);
	if (ret != 1) {
		give_up(act);
		return;
	}
	step(&act->gate, tls_conn_key_reply(act->gate.conn, keypipe_data(&act->reply),
					    act->reply.head.len));
	keypipe_clear(&act->reply);
}

static void on_input(struct ev_loop *loop, ev_io *io, int events)
{
	struct end *end = io->data;
	uint8_t bytes[CHUNK];
	ssize_t n = recv(io->fd, bytes, sizeof(bytes), 0);

	(void)loop;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		step(end, tls_conn_input(end->conn, bytes, (size_t)n));
	else
		give_up(end->act);
}

static void watch(struct end *end, int fd)
{
	ev_io_init(&end->io, on_input, fd, EV_READ);
	end->io.data = end;
	ev_io_start(end->act->loop, &end->io);
	step(end, tls_conn_start(end->conn));
}

/* ---- both ends --------------------------------------------------------------------------- */

static int64_t now(void *arg)
{
	(void)arg;
	return (int64_t)time(NULL);
}

/* A client verifies nobody; a server shows a certificate that nobody else has seen. */
static struct tls_conn *new_peer(const struct gate *gate, struct tls_private_key **key)
{
	const struct tls_hooks hooks = { .now = now };
	bool serve = gate->settings->mode == GATE_SERVE;
	struct tls_config *config = tls_config_new(serve ? TLS_CLIENT : TLS_SERVER, &hooks);
	struct tls_certificate *cert = NULL;
	struct tls_conn *conn = NULL;

	*key = NULL;
	if (config && !gate_set_protocol(gate->settings, config) &&
	    !tls_config_set_verify(config, TLS_VERIFY_NONE) &&
	    !tls_config_set_max_message(config, MAX_MESSAGE) &&
	    (serve || (!tls_self_signed_new(false, &cert, key) &&
		       !tls_config_add_certificate(config, cert))))
		conn = tls_conn_new(config);
	tls_certificate_free(cert);
	tls_config_unref(config);
	return conn;
}

static int new_ends(struct act *act, const struct gate *gate, struct tls_private_key **key)
{
	act->peer.conn = new_peer(gate, key);
	act->peer.key = *key;
	act->gate.conn = tls_conn_new(gate->config);
	act->gate.act = act->peer.act = act;
	if (!act->peer.conn || !act->gate.conn)
		return -1;
	return gate->settings->mode == GATE_CONNECT ?
	       tls_conn_set_server_name(act->gate.conn, gate->pools->members->server_name) : 0;
}

/* The alerts that the gate may owe who shows no certificate, and a server that nobody knows. */
static const int no_certificate[] = {
	TLS_ALERT(CERTIFICATE_REQUIRED),
	TLS_ALERT(HANDSHAKE_FAILURE),		/* in TLS 1.2 */
	0
};

static const int unknown_server[] = {
	TLS_ALERT(BAD_CERTIFICATE), TLS_ALERT(UNSUPPORTED_CERTIFICATE),
	TLS_ALERT(CERTIFICATE_REVOKED), TLS_ALERT(CERTIFICATE_EXPIRED),
	TLS_ALERT(CERTIFICATE_UNKNOWN), TLS_ALERT(UNKNOWN_CA),
	TLS_ALERT(BAD_CERTIFICATE_STATUS),
	0
};

/* No suite of the gate may suit the key of that server, which finds that out. */
static const int unsuited_server[] = { TLS_ALERT(HANDSHAKE_FAILURE), 0 };
static const int nothing[] = { 0 };

/* due ends with 0, which is no error. */
static bool is_among(int err, const int *due)
{
	while (*due && *due != err)
		due++;
	return err == *due;
}

/* Where it was told of the failure, the other end knows the reason. */
static bool is_sound(const struct end *end, const int *due)
{
	return end->over &&
	       (TLS_ERR_CLASS(end->err) == TLS_ERR_PEER || is_among(end->err, due));
}

static bool gate_is_sound(const struct act *act, const struct gate_settings *set)
{
	if (set->mode == GATE_CONNECT)
		return is_sound(&act->gate, unknown_server);
	return is_sound(&act->gate, set->client_ca ? no_certificate : nothing);
}

static bool peer_is_sound(const struct act *act, const struct gate_settings *set)
{
	return is_sound(&act->peer, set->mode == GATE_CONNECT ? unsuited_server : nothing);
}

static const char *what_failed(const struct act *act, const struct gate_settings *set)
{
	if (act->failed)
		return "out of memory, or keyd gives no answer";
	return tls_strerror(gate_is_sound(act, set) ? act->peer.err : act->gate.err);
}

static void play(struct act *act, int accepted, int client)
{
	drain(accepted);
	drain(client);
	ev_io_init(&act->answer, on_answer, act->keys->in, EV_READ);
	act->answer.data = act;
	watch(&act->gate, accepted);
	watch(&act->peer, client);
	if (!is_over(act))
		ev_run(act->loop, 0);
	ev_io_stop(act->loop, &act->gate.io);
	ev_io_stop(act->loop, &act->peer.io);
	ev_io_stop(act->loop, &act->answer);
}

static int perform(struct ev_loop *loop, const struct gate *gate, const struct keypipe *keys,
		   int accepted, int client)
{
	struct act act = { .keys = keys, .loop = loop };
	struct tls_private_key *key = NULL;
	bool ok;

	act.failed = new_ends(&act, gate, &key);
	if (!act.failed)
		play(&act, accepted, client);
	ok = !act.failed && gate_is_sound(&act, gate->settings) &&
	     peer_is_sound(&act, gate->settings);
	if (!ok)
		log_error("%s: a worker cannot shake hands with itself: %s", gate->settings->name,
			  what_failed(&act, gate->settings));
	tls_conn_free(act.gate.conn);
	tls_conn_free(act.peer.conn);
	tls_private_key_free(key);
	return ok ? 0 : -1;
}

static int perform_all(struct ev_loop *loop, const struct rehearsal *rehearsal,
		       const struct keypipe *keys, int accepted)
{
	bool seen[GATE_CONNECT + 1] = { false };
	const struct gate *gate;
	int ret = 0;
	size_t i;

	for (i = 0; i < rehearsal->count && !ret; i++) {
		gate = &rehearsal->gates[i];
		if (gate_only_passes(gate->settings))
			continue;
		if (seen[gate->settings->mode] &&
		    (!rehearsal->shares || i % rehearsal->shares != rehearsal->share))
			continue;
		seen[gate->settings->mode] = true;
		ret = perform(loop, gate, keys, accepted, rehearsal->client);
	}
	return ret;
}

int rehearsal_run(const struct rehearsal *rehearsal, const struct keypipe *keys)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	int accepted = -1, ret = -1;

	if (loop)
		accepted = accept_client(rehearsal, loop);
	else
		log_error("no event loop: %s: raise the limit of open files", strerror(errno));
	if (accepted >= 0) {
		ret = perform_all(loop, rehearsal, keys, accepted);
		close(accepted);
	}
	close(rehearsal->listener);
	close(rehearsal->client);
	if (loop)
		ev_loop_destroy(loop);
	return ret;
}
