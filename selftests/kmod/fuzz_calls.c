// SPDX-License-Identifier: MIT
/*
 * System calls on every descriptor of sessions and relays, while bytes move.
 * An input is a stage of connections (TLS, plain TCP, UNIX; keyed, relayed or
 * neither), a server to which more are delivered, and four threads, in two processes of two users, who all have all
 * of its descriptors: each makes calls of its own on any of them, netlink
 * commands by descriptor among them, with memory that is there, or is not, or
 * comes late.  Meanwhile a relay of somebody else's moves bytes.  That relay's
 * bytes must stay what they are; every process must come to its end; and so
 * must every session once the descriptors are closed.
 *
 * SEED, FIRST, COUNT and DURATION: see lib/fuzz.h.  What a thread calls
 * depends on the seed alone; how the threads meet does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/flow.h"
#include "lib/fuzz.h"
#include "lib/task.h"

#define COUNT		40
#define ROWS		4	/* TLS connections, each with a plain one beside it */
#define USERS		2
#define THREADS		2	/* of each */
#define CALLS		60	/* of each thread */
#define PATIENCE	40	/* ms that a call waits */
#define VICTIM		30000	/* bytes each way, again and again */
#define BUF		40000
#define ENOUGH		2000	/* calls, to say whether the share that is refused is right */

enum tally { MADE, REFUSED, KEYED, TAKEN, LEFT, SLOW };

/* ---- the stage ------------------------------------------------------------------ */

enum place { TLS, PEER, PLAIN, FAR, PLACES };

#define SERVER		(ROWS * PLACES)
#define SLOTS		(SERVER + 1)

struct stage {
	int fd[SLOTS];
	struct peer peer[ROWS];		/* of each TLS connection, as thread n of all has it */
	struct tg *tg[ROWS];		/* of thread n of all, opened by root */
	int listener, file, handle;	/* of what @listener accepts, to the server */
	struct trap trap;
	bool trapped;			/* there is one */
};

_Static_assert(ROWS == USERS * THREADS, "each thread has a row whose peer it is");

static struct stage stage;
static struct ref_keys keys[2];		/* what is sealed with, and opened with, on every row */

static int *slot(int row, enum place place)
{
	return &stage.fd[row * PLACES + place];
}

static bool slot_pair(int row, enum place place, bool local)
{
	int fd[2];

	if (local ? net_unix_pair(fd) : net_tcp_pair_at(stage.listener, fd))
		return false;
	for (int i = 0; i < 2; i++) {
		net_timeouts(fd[i], PATIENCE);
		*slot(row, place + i) = fd[i];
	}
	return true;
}

/* NULL, or why there are none. */
static const char *stage_keys(struct fuzz *f, int row)
{
	struct tg_install in = tg_install_on(*slot(row, TLS), &keys[0], &keys[1]);
	struct peer *peer = &stage.peer[row];

	peer->fd = *slot(row, PEER);
	ref_keys_copy(&peer->tx, &keys[1]);
	ref_keys_copy(&peer->rx, &keys[0]);
	if (fuzz_once(f, 6))
		return NULL;
	if (!fuzz_once(f, 3))
		in.relay_fd = *slot(row, PLAIN);
	if (fuzz_once(f, 3))
		in.idle_timeout = fuzz_below(f, 40);
	return tg_session_new(stage.tg[row], &in, NULL) ? stage.tg[row]->ack.msg : NULL;
}

static bool stage_server(void)
{
	struct sockaddr_in local, server;
	socklen_t len = sizeof(local);

	stage.fd[SERVER] = net_listener(AF_INET);
	/* What it accepts has them, too. */
	net_timeouts(stage.fd[SERVER], PATIENCE);
	if (getsockname(stage.listener, (void *)&local, &len) ||
	    getsockname(stage.fd[SERVER], (void *)&server, &len))
		return false;
	stage.handle = tg_deliver_new(stage.tg[0], &local, len, &server, len);
	return stage.handle >= 0;
}

/* With a listener of its own: nobody takes what the input before has connected to it. */
static const char *stage_make(struct fuzz *f)
{
	const char *why = NULL;

	stage.listener = net_listener(AF_INET);
	if (!stage_server())
		return "no handle";
	for (int row = 0; row < ROWS && !why; row++) {
		if (!slot_pair(row, TLS, false) || !slot_pair(row, PLAIN, fuzz_once(f, 2)))
			return strerror(errno);
		why = stage_keys(f, row);
	}
	return why;
}

static void stage_free(void)
{
	close(stage.listener);
	close(stage.handle);
	for (int i = 0; i < SLOTS; i++)
		close(stage.fd[i]);
	for (int row = 0; row < ROWS; row++) {
		ref_keys_free(&stage.peer[row].tx);
		ref_keys_free(&stage.peer[row].rx);
	}
}

/* ---- calls ---------------------------------------------------------------------- */

/* One thread's. */
struct caller {
	struct fuzz f;			/* its own numbers */
	int row;			/* whose peer it is, and its netlink socket */
	uint8_t *buf;
};

#define PICK(f, table)	((table)[fuzz_below(f, sizeof(table) / sizeof(*(table)))])

static const uint32_t edges[] = {
	0, 0, 1, 1, 2, 5, 63, 64, 1000, 4096, 16384, 16385, 65536, 0x7fffffff, 0x80000000,
	0xffffffff,
};

static int any(struct caller *c)
{
	return stage.fd[fuzz_below(&c->f, SLOTS)];
}

/* Most of the time, one that the module has. */
static int own(struct caller *c)
{
	int row = fuzz_below(&c->f, ROWS);

	return fuzz_once(&c->f, 4) ? any(c) : *slot(row, fuzz_once(&c->f, 2) ? TLS : PLAIN);
}

/* Memory for a call: the caller's own, some that comes late, or none. */
static void *memory(struct caller *c, size_t *len)
{
	*len = fuzz_once(&c->f, 3) ? fuzz_below(&c->f, BUF) : fuzz_below(&c->f, 100);
	if (fuzz_once(&c->f, 40))
		return (void *)8;
	if (!stage.trapped || !fuzz_once(&c->f, 12))
		return c->buf;
	*len = 1 + fuzz_below(&c->f, TRAP_SIZE);
	return stage.trap.page;
}

static int recv_flags(struct caller *c)
{
	static const int flags[] = {
		0, 0, MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_TRUNC, MSG_OOB, MSG_ERRQUEUE,
		MSG_PEEK | MSG_DONTWAIT, MSG_WAITALL | MSG_PEEK, MSG_CMSG_CLOEXEC,
	};

	return PICK(&c->f, flags);
}

static int send_flags(struct caller *c)
{
	static const int flags[] = {
		0, 0, MSG_DONTWAIT, MSG_MORE, MSG_MORE | MSG_DONTWAIT, MSG_EOR, MSG_OOB,
		MSG_ZEROCOPY, MSG_FASTOPEN, MSG_DONTROUTE, MSG_CONFIRM,
	};

	return MSG_NOSIGNAL | PICK(&c->f, flags);
}

static long call_recv(struct caller *c)
{
	size_t len;
	void *to = memory(c, &len);

	return recv(own(c), to, len, recv_flags(c));
}

static long call_recvmsg(struct caller *c)
{
	char control[200];
	size_t len;
	void *to = memory(c, &len);
	struct iovec iov[2] = { { to, len / 2 }, { c->buf, 10 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2, .msg_control = control,
			      .msg_controllen = fuzz_below(&c->f, sizeof(control)) };

	return recvmsg(any(c), &msg, MSG_CMSG_CLOEXEC | recv_flags(c));
}

static long call_send(struct caller *c)
{
	size_t len;
	void *from = memory(c, &len);

	return send(own(c), from, len, send_flags(c));
}

/* To a far end, as its backend does. */
static long call_feed(struct caller *c)
{
	size_t len;
	void *from = memory(c, &len);

	return send(*slot(fuzz_below(&c->f, ROWS), FAR), from, len, send_flags(c));
}

/* As the peer of its row, so that the session lives. */
static long call_record(struct caller *c)
{
	struct peer *peer = &stage.peer[c->row];

	if (fuzz_once(&c->f, 8))
		return peer_key_update(peer, fuzz_below(&c->f, 2));
	if (fuzz_once(&c->f, 12))
		return peer_alert(peer, 1, TLS_CLOSE_NOTIFY);
	return peer_send(peer, REF_DATA, c->buf, fuzz_below(&c->f, REF_PLAINTEXT));
}

static long call_pass(struct caller *c)
{
	int fd = any(c);

	return net_send_fds(any(c), "f", 1, MSG_DONTWAIT, &fd, 1);
}

/* From one socket, or memory, through a pipe into another. */
static long call_splice(struct caller *c)
{
	struct iovec iov = { c->buf, 1 + fuzz_below(&c->f, BUF) };
	int ends[2], flags = fuzz_below(&c->f, 8);
	long n, done = -1;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -1;
	n = fuzz_once(&c->f, 3) ? vmsplice(ends[1], &iov, 1, 0)
				: splice(own(c), NULL, ends[1], NULL, iov.iov_len, flags);
	if (n > 0)
		done = splice(ends[0], NULL, own(c), NULL, n, flags);
	close(ends[0]);
	close(ends[1]);
	return done;
}

static long call_sendfile(struct caller *c)
{
	off_t at = 0;

	return sendfile(own(c), stage.file, &at, fuzz_below(&c->f, 2 * BUF));
}

static long call_connect(struct caller *c)
{
	struct sockaddr_storage to = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(to);

	if (fuzz_once(&c->f, 2))
		getsockname(fuzz_once(&c->f, 2) ? stage.listener : any(c), (void *)&to, &len);
	return connect(own(c), (struct sockaddr *)&to, len);
}

static long call_bind(struct caller *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET };

	return bind(own(c), (struct sockaddr *)&to, sizeof(to));
}

static long call_listen(struct caller *c)
{
	return listen(own(c), 2);
}

static long call_accept(struct caller *c)
{
	int fd = accept4(own(c), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd;
}

static long call_shutdown(struct caller *c)
{
	return shutdown(own(c), fuzz_below(&c->f, 3));
}

static long call_setsockopt(struct caller *c)
{
	/* SO_RCVTIMEO and SO_SNDTIMEO are what bounds the calls. */
	static const struct { int level, option; } options[] = {
		{ SOL_SOCKET, SO_RCVLOWAT }, { SOL_SOCKET, SO_RCVBUF }, { SOL_SOCKET, SO_SNDBUF },
		{ SOL_SOCKET, SO_OOBINLINE }, { SOL_SOCKET, SO_KEEPALIVE },
		{ SOL_SOCKET, SO_TIMESTAMPNS }, { SOL_SOCKET, SO_PASSCRED },
		{ SOL_SOCKET, SO_PEEK_OFF }, { SOL_SOCKET, SO_ZEROCOPY }, { SOL_SOCKET, SO_BUSY_POLL },
		{ SOL_SOCKET, SO_MAX_PACING_RATE }, { SOL_SOCKET, SO_INCOMING_CPU },
		{ SOL_IP, IP_TOS }, { SOL_IP, IP_RECVERR }, { SOL_IP, IP_TTL },
		{ SOL_TCP, TCP_NODELAY }, { SOL_TCP, TCP_CORK }, { SOL_TCP, TCP_QUICKACK },
		{ SOL_TCP, TCP_INQ }, { SOL_TCP, TCP_MAXSEG }, { SOL_TCP, TCP_WINDOW_CLAMP },
		{ SOL_TCP, TCP_NOTSENT_LOWAT }, { SOL_TCP, TCP_KEEPIDLE }, { SOL_TCP, TCP_LINGER2 },
		{ SOL_TCP, TCP_REPAIR }, { SOL_TCP, TCP_THIN_LINEAR_TIMEOUTS },
		{ SOL_TCP, TCP_DEFER_ACCEPT }, { SOL_TCP, TCP_FASTOPEN }, { SOL_TLS, 1 },
	};
	uint32_t value[2] = { PICK(&c->f, edges), PICK(&c->f, edges) };
	int which = fuzz_below(&c->f, sizeof(options) / sizeof(*options));

	/* A peek from 2 GiB on warns on every TCP socket: 6.12's tcp_recvmsg_locked(). */
	if (options[which].option == SO_PEEK_OFF)
		value[0] &= 0xffff;
	return setsockopt(own(c), options[which].level, options[which].option, value,
			  fuzz_once(&c->f, 10) ? fuzz_below(&c->f, 9) : 4);
}

static long call_setsockopt_else(struct caller *c)
{
	static struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	static const char *const names[] = { "tls", "tlsgate", "espintcp", "smc", "reno", "cubic" };
	struct linger linger = { .l_onoff = 1, .l_linger = fuzz_below(&c->f, 2) };
	struct sock_fprog filter = { 1, &none };
	const char *name = PICK(&c->f, names);
	int fd = own(c);

	switch (fuzz_below(&c->f, 4)) {
	case 0:
		return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	case 1:
		return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
	case 2:
		return setsockopt(fd, SOL_TCP, TCP_ULP, name, strlen(name));
	default:
		return setsockopt(fd, SOL_TCP, TCP_CONGESTION, name, strlen(name));
	}
}

static long call_getsockopt(struct caller *c)
{
	static const int levels[] = { SOL_SOCKET, SOL_TCP, SOL_TCP, SOL_IP, SOL_IPV6, SOL_TLS };
	socklen_t len = fuzz_below(&c->f, 200);

	return getsockopt(own(c), PICK(&c->f, levels), fuzz_below(&c->f, 50), c->buf, &len);
}

static long call_ioctl(struct caller *c)
{
	static const unsigned int requests[] = {
		SIOCINQ, SIOCOUTQ, SIOCATMARK, SIOCOUTQNSD, FIONBIO, FIOASYNC,
	};
	int value = fuzz_below(&c->f, 2);

	return ioctl(own(c), PICK(&c->f, requests), &value);
}

static long call_poll(struct caller *c)
{
	struct pollfd set[4];

	for (int i = 0; i < 4; i++)
		set[i] = (struct pollfd){ own(c), fuzz_below(&c->f, 0x100) };
	return poll(set, 4, fuzz_below(&c->f, 4));
}

static long call_epoll(struct caller *c)
{
	static const uint32_t modes[] = { 0, EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;

	for (int i = 0; i < 3; i++) {
		event = (struct epoll_event){ .events = EPOLLIN | EPOLLOUT | PICK(&c->f, modes) };
		epoll_ctl(epoll, EPOLL_CTL_ADD, own(c), &event);
	}
	epoll_wait(epoll, &event, 1, fuzz_below(&c->f, 4));
	return close(epoll);
}

/* The number stays; what is behind it is another socket's, for this process. */
static long call_dup(struct caller *c)
{
	return dup3(any(c), any(c), O_CLOEXEC);
}

/* A connection of its own in the place of two. */
static long call_renew(struct caller *c)
{
	int row = fuzz_below(&c->f, ROWS), place = fuzz_once(&c->f, 2) ? TLS : PLAIN;
	int fd[2], err = -1;

	if (place == PLAIN && fuzz_once(&c->f, 2) ? net_unix_pair(fd)
						   : net_tcp_pair_at(stage.listener, fd))
		return -1;
	for (int i = 0; i < 2; i++) {
		net_timeouts(fd[i], PATIENCE);
		err = dup3(fd[i], *slot(row, place + i), O_CLOEXEC);
		close(fd[i]);
	}
	return err;
}

static long told(struct caller *c, int err)
{
	errno = -err;
	return err ? -1 : 0;
}

static long call_session_new(struct caller *c)
{
	struct tg_install in = tg_install_on(own(c), &keys[0], &keys[1]);
	int err;

	if (!fuzz_once(&c->f, 3))
		in.relay_fd = fuzz_once(&c->f, 2) ? own(c) : any(c);
	if (fuzz_once(&c->f, 3))
		in.idle_timeout = fuzz_below(&c->f, 40);
	if (fuzz_once(&c->f, 6)) {
		in.pending = c->buf;
		in.pending_len = fuzz_below(&c->f, 300);
	}
	err = tg_session_new(stage.tg[c->row], &in, NULL);
	if (!err)
		__atomic_add_fetch(&c->f.tally[KEYED], 1, __ATOMIC_RELAXED);
	return told(c, err);
}

/* A row's peer is then one of a connection in the server's queue. */
static long call_deliver(struct caller *c)
{
	int fd[2], err;
	struct tg_install in;

	if (net_tcp_pair_at(stage.listener, fd))
		return -1;
	net_timeouts(fd[0], PATIENCE);
	in = tg_install_on(fd[1], &keys[0], &keys[1]);
	in.deliver_fd = fuzz_once(&c->f, 10) ? any(c) : stage.handle;
	err = tg_session_new(stage.tg[c->row], &in, NULL);
	dup3(fd[0], *slot(fuzz_below(&c->f, ROWS), PEER), O_CLOEXEC);
	close(fd[0]);
	close(fd[1]);
	return told(c, err);
}

/* In the place of a TLS socket. */
static long call_take(struct caller *c)
{
	int fd = accept4(stage.fd[SERVER], NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return fd;
	__atomic_add_fetch(&c->f.tally[TAKEN], 1, __ATOMIC_RELAXED);
	dup3(fd, *slot(fuzz_below(&c->f, ROWS), TLS), O_CLOEXEC);
	return close(fd);
}

/* What is in its queue is forgotten. */
static long call_stop(struct caller *c)
{
	shutdown(stage.fd[SERVER], SHUT_RD);
	return listen(stage.fd[SERVER], fuzz_below(&c->f, 5));
}

static long call_relay_new(struct caller *c)
{
	return told(c, tg_relay_new(stage.tg[c->row], own(c), own(c),
				    fuzz_once(&c->f, 2) ? -1 : (int)fuzz_below(&c->f, 40)));
}

static long call_session_set(struct caller *c)
{
	static const struct { int attr, width; uint32_t most; } attrs[] = {
		{ TLSGATE_A_IDLE_TIMEOUT, 4, 40 }, { TLSGATE_A_IDLE_TIMEOUT, 4, 86400000 },
		{ TLSGATE_A_RECORD_SIZE, 2, 16384 }, { TLSGATE_A_PADDING, 2, 4096 },
	};
	int which = fuzz_below(&c->f, sizeof(attrs) / sizeof(*attrs));

	return told(c, tg_session_set(stage.tg[c->row], BY_FD(own(c)), attrs[which].attr,
				      fuzz_below(&c->f, attrs[which].most), attrs[which].width));
}

static long call_session_get(struct caller *c)
{
	static _Thread_local struct tg_info info;

	return told(c, tg_session_get(stage.tg[c->row], BY_FD(own(c)), &info));
}

static long call_session_rekey(struct caller *c)
{
	return told(c, tg_session_rekey(stage.tg[c->row], BY_FD(own(c))));
}

static long call_session_del(struct caller *c)
{
	return told(c, tg_session_del(stage.tg[c->row], BY_FD(own(c)),
				      fuzz_once(&c->f, 2) ? TLSGATE_CLOSE_ALERT
							  : TLSGATE_CLOSE_RESET));
}

static const struct {
	long (*run)(struct caller *c);
	unsigned int weight;
} calls[] = {
	{ call_recv, 10 }, { call_recvmsg, 4 }, { call_send, 8 }, { call_feed, 10 },
	{ call_record, 10 }, { call_pass, 3 }, { call_splice, 5 }, { call_sendfile, 2 },
	{ call_connect, 2 }, { call_bind, 1 }, { call_listen, 2 }, { call_accept, 1 },
	{ call_shutdown, 1 }, { call_setsockopt, 6 }, { call_setsockopt_else, 3 },
	{ call_getsockopt, 2 }, { call_ioctl, 3 }, { call_poll, 3 }, { call_epoll, 3 },
	{ call_dup, 1 }, { call_renew, 5 }, { call_session_new, 4 }, { call_relay_new, 3 },
	{ call_deliver, 4 }, { call_take, 5 }, { call_stop, 1 }, { call_session_set, 4 }, { call_session_get, 1 },
	{ call_session_rekey, 1 }, { call_session_del, 1 },
};

static void call(struct caller *c)
{
	unsigned int all = 0, at, i = 0;

	for (unsigned int j = 0; j < sizeof(calls) / sizeof(*calls); j++)
		all += calls[j].weight;
	at = fuzz_below(&c->f, all);
	while (at >= calls[i].weight)
		at -= calls[i++].weight;
	__atomic_add_fetch(&c->f.tally[MADE], 1, __ATOMIC_RELAXED);
	if (calls[i].run(c) < 0)
		__atomic_add_fetch(&c->f.tally[REFUSED], 1, __ATOMIC_RELAXED);
}

/* ---- users ---------------------------------------------------------------------- */

static void *caller_thread(void *arg)
{
	struct caller *c = arg;

	for (int i = 0; i < CALLS; i++)
		call(c);
	return NULL;
}

/* Lets each who fell into it wait a little, and sets it up again. */
static void *trap_thread(void *arg)
{
	for (;;) {
		if (!trap_holds(&stage.trap))
			continue;
		poll(NULL, 0, 3);
		trap_answer(&stage.trap);
		trap_set(&stage.trap);
	}
	return NULL;
}

/* Process n of an input. */
static void user(struct fuzz *f, int n)
{
	struct caller callers[THREADS];
	pthread_t threads[THREADS], trap;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGIO, SIG_IGN);
	signal(SIGURG, SIG_IGN);
	stage.trapped = trap_new(&stage.trap) && !pthread_create(&trap, NULL, trap_thread, NULL);
	if (!task_become(n ? TASK_OTHER : TASK_NOBODY))
		_exit(1);
	for (int i = 0; i < THREADS; i++) {
		struct caller *c = &callers[i];

		c->f = *f;
		c->row = n * THREADS + i;
		c->f.state += c->row + 1;
		c->f.state = fuzz_u64(&c->f);
		c->buf = calloc(1, BUF);
		pthread_create(&threads[i], NULL, caller_thread, c);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

/* NULL, or what became of a process.  Slow ones are killed. */
static const char *user_end(struct fuzz *f, pid_t child)
{
	if (!task_wait(child, 3 * NET_DEADLINE))
		return NULL;
	f->tally[SLOW]++;
	return task_kill(child) ? NULL : "a process is stuck in a call";
}

/* ---- the others ------------------------------------------------------------------ */

static struct pair victim;
static int victim_plain, counters;

static bool victim_make(void)
{
	if (!pair_start(&victim, 0x0304, 0x1301, AF_INET))
		return false;
	victim_plain = pair_relay(&victim, AF_INET, -1);
	return victim_plain >= 0;
}

static bool alone(void *arg)
{
	return tg_counter(counters, "sessions_opened") - tg_counter(counters, "sessions_closed") == 1;
}

static void end_by_id(const struct tg_info *in, void *arg)
{
	uint32_t *ids = arg;

	if (tg_num(in, TLSGATE_A_ID) != victim.id && *ids < 60)
		ids[++*ids] = tg_num(in, TLSGATE_A_ID);
}

/* A relay may hold its own far ends; the administrator can end it. */
static const char *all_end(struct fuzz *f)
{
	uint32_t ids[61] = { 0 };
	uint64_t end = net_now() + 500;

	while (!alone(NULL)) {
		if (net_now() < end) {
			poll(NULL, 0, 2);
			continue;
		}
		f->tally[LEFT]++;
		tg_call(victim.tg, tg_msg(victim.tg, TLSGATE_CMD_SESSION_GET, NLM_F_DUMP),
			end_by_id, ids);
		for (uint32_t i = 1; i <= *ids; i++)
			tg_session_del(victim.tg, BY_ID(ids[i]), TLSGATE_CLOSE_RESET);
		return net_until(alone, NULL) ? NULL : "a session does not end";
	}
	return NULL;
}

static const char *one(struct fuzz *f)
{
	const char *why = stage_make(f), *stuck = NULL;
	pid_t child[USERS];

	if (why)
		return why;
	for (int n = 0; n < USERS; n++) {
		child[n] = fork();
		if (!child[n])
			user(f, n);
	}
	for (int i = 0; i < 3 && !why; i++)
		why = flow(&victim.peer, victim_plain, VICTIM, VICTIM);
	for (int n = 0; n < USERS; n++)
		stuck = user_end(f, child[n]) ? : stuck;
	if (!why)
		why = flow(&victim.peer, victim_plain, VICTIM, VICTIM);
	stage_free();
	return why ? why : stuck ? stuck : all_end(f);
}

static const char *work(struct fuzz *f)
{
	const char *why = NULL;

	signal(SIGPIPE, SIG_IGN);
	counters = tg_counters();
	stage.file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	for (int row = 0; row < ROWS; row++)
		stage.tg[row] = tg_open();
	if (counters < 0 || !stage.tg[ROWS - 1])
		return "the module is not loaded, or there is no loopback";
	ref_keys_random(&keys[0], ref_suite(0x0304, 0x1301));
	ref_keys_random(&keys[1], ref_suite(0x0304, 0x1301));
	if (!victim_make())
		return "no relay for the victim";
	while (!why && fuzz_next(f))
		why = one(f);
	/* A fuzzer that is refused all the time, or never, looks at one half only. */
	if (!why && f->tally[MADE] >= ENOUGH &&
	    (f->tally[REFUSED] < f->tally[MADE] / 10 ||
	     f->tally[REFUSED] > f->tally[MADE] - f->tally[MADE] / 10))
		why = "too few calls are refused, or taken";
	close(victim_plain);
	pair_free(&victim);
	return why;
}

int main(void)
{
	static const struct fuzz_plan plan = {
		.name = "system calls", .count = COUNT, .work = work,
		.tally = { [MADE] = "calls", [REFUSED] = "refused", [KEYED] = "keyed",
			   [TAKEN] = "delivered and accepted", [LEFT] = "times ended by id", [SLOW] = "slow" },
	};

	return fuzz_run(&plan);
}
