// SPDX-License-Identifier: MIT
#include "daemon/keyd.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pem.h"
#include "daemon/filter.h"
#include "daemon/keypipe.h"
#include "daemon/landlock.h"
#include "daemon/process.h"
#include "daemon/trial.h"

#define MAX_KEY_FILE	(1u << 18)
#define KILLED_MAX	3		/* answerers, by the filter, ... */
#define KILLED_MS	60000		/* ... in this time */

struct keyring {
	struct tls_private_key **keys;	/* by key id */
	unsigned int *uses;		/* TLS_KEY_FOR_*: what the key's gate needs it for */
	uint32_t count;
};

#define ANYWHERE	(-1)

/* Where an answerer may run. */
struct place {
	cpu_set_t home;
	bool known;			/* home is */
	int cpu;			/* the only one, or ANYWHERE in home */
};

/* Why it is not the pair: the operator's next step depends on it. */
static int refuse_pair(const struct gate_settings *gate, const struct cert_file *file,
		       const struct tls_private_key *key, const struct tls_certificate *cert)
{
	size_t index = tls_private_key_find(key, cert);
	char why[SETTINGS_WHY_MAX];

	if (index == TLS_NOT_FOUND)
		snprintf(why, sizeof(why), "it is not the key of certificate '%s': give the pair",
			 file->cert);
	else
		snprintf(why, sizeof(why),
			 "it is the key of certificate %zu in '%s': put that first, then the one that issued it",
			 index + 1, file->cert);
	return gate_refuse(gate, file->key_setting, file->key, why);
}

/* key: what the file gave, or NULL, then why says the reason. */
static int check_key(const struct gate_settings *gate, const struct cert_file *file, const char *why,
		     const struct tls_private_key *key, const struct tls_certificate *cert)
{
	if (!key)
		return gate_refuse(gate, file->key_setting, file->key, why);
	if (cert && tls_private_key_find(key, cert))
		return refuse_pair(gate, file, key, cert);
	return 0;
}

static struct tls_private_key *read_key(const struct gate *gate, size_t index)
{
	const struct cert_file *file = &gate->files.items[index];
	const char *why = "it is no private key that tlsgate can use";
	struct tls_private_key *key = NULL;
	const char *advice;
	char *pem;
	size_t len;

	pem = file_read(file->key, MAX_KEY_FILE, &len);
	if (!pem) {
		why = file_strerror(errno);
	} else if (tls_private_key_new(&key, pem, len, &why)) {
		advice = pem_advice(pem, len);
		if (!advice)
			advice = cert_file_advice(file, pem, len);
		why = advice ? advice : why;
		key = NULL;
	}
	file_wipe(pem, len);
	if (!check_key(gate->settings, file, why, key, gate->certs ? gate->certs[index] : NULL))
		return key;
	tls_private_key_free(key);
	return NULL;
}

/* No refusal: that would stop what was served so far.  True: it was said; one line a gate, however many there are. */
static bool warn_of_open_key(const struct gate_settings *gate, const struct cert_file *file)
{
	struct stat st;

	if (stat(file->key, &st) || !(st.st_mode & S_IROTH))
		return false;
	gate_warn(gate, file->key_setting, file->key,
		  "every user of this machine can read this private key: chmod o-r FILE, and see the other keys");
	return true;
}

static int read_keys(struct keyring *ring, const struct gate *gates, size_t count)
{
	struct tls_private_key *key;
	int ret = 0;
	bool warned;
	size_t i, j;

	for (i = 0; i < count; i++) {
		warned = false;
		for (j = 0; j < gates[i].files.count; j++) {
			key = read_key(&gates[i], j);
			if (!key)
				ret = -1;
			else if (!warned)
				warned = warn_of_open_key(gates[i].settings, &gates[i].files.items[j]);
			ring->keys = xrealloc(ring->keys, ring->count + 1, sizeof(*ring->keys));
			ring->uses = xrealloc(ring->uses, ring->count + 1, sizeof(*ring->uses));
			ring->uses[ring->count] = gates[i].sound ?
						  tls_config_key_uses(gates[i].config) : 0;
			ring->keys[ring->count++] = key;
		}
	}
	return ret;
}

static void find_home(struct place *place)
{
	place->known = !sched_getaffinity(0, sizeof(place->home), &place->home);
	place->cpu = ANYWHERE;
}

/*
 * A quick signature costs less than to wake another CPU and to find its caches
 * cold: it is made where the worker runs.  A slow one may use any CPU that is
 * idle.  Where this fails, only time is lost.
 */
static void move(struct place *place, int cpu)
{
	cpu_set_t there;

	if (!place->known || cpu == place->cpu || cpu >= CPU_SETSIZE)
		return;
	CPU_ZERO(&there);
	if (cpu != ANYWHERE)
		CPU_SET((size_t)cpu, &there);
	(void)sched_setaffinity(0, sizeof(there), cpu == ANYWHERE ? &place->home : &there);
	place->cpu = cpu;
}

/* The worker may have been taken over: it must not fill the log, either. */
static bool may_log(void)
{
	static struct log_limit limit;

	return log_allowed(&limit, log_now_ms());
}

/* How many bytes *answer has, or 0: refused. */
static size_t perform(const struct keyring *ring, struct place *place,
		      const struct keypipe_request *head, const uint8_t *data, uint8_t *answer)
{
	const struct tls_key_request request = {
		.op = (enum tls_key_op)head->op,
		.key_id = head->key_id,
		.scheme = head->scheme,
		.data = data,
		.len = head->len,
	};
	size_t len = TLS_MAX_KEY_REPLY;

	if (head->key_id >= ring->count ||
	    !tls_key_request_fits(&request, ring->uses[head->key_id])) {
		if (may_log())
			log_warn("a worker's request is refused, since no gate makes such: key %u, kind %u, %u bytes",
				 head->key_id, head->op, head->len);
		return 0;
	}
	move(place, head->cpu >= 0 && tls_private_key_is_quick(ring->keys[head->key_id]) ?
		    head->cpu : ANYWHERE);
	if (tls_private_key_perform(ring->keys[head->key_id], &request, answer, &len)) {
		if (may_log())
			log_warn("key %u: request of kind %u refused for scheme 0x%04x", head->key_id,
				 head->op, head->scheme);
		return 0;
	}
	return len;
}

/* 0 or -errno. */
static int send_answer(int pipe, const uint8_t *answer, size_t len)
{
	ssize_t n;

	for (; len; answer += n, len -= (size_t)n) {
		do {
			n = write(pipe, answer, len);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			return -errno;
	}
	return 0;
}

static int answer(int pipe, const struct keyring *ring, struct place *place,
		  const struct keypipe_request *head, const uint8_t *data)
{
	struct keypipe_answer start = { .number = head->number };
	uint8_t packet[KEYPIPE_ANSWER_MAX];
	size_t len;
	int ret;

	start.len = (uint32_t)perform(ring, place, head, data, packet + sizeof(start));
	memcpy(packet, &start, sizeof(start));
	len = sizeof(start) + start.len;
	ret = send_answer(pipe, packet, len);
	explicit_bzero(packet, len);
	return ret;
}

static ssize_t read_packet(int pipe, uint8_t *buf, size_t room)
{
	ssize_t n;

	do {
		n = read(pipe, buf, room);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/*
 * One request, whose data follows *head in buf; the worker may have been taken
 * over.  1; 0: it is gone; -EPROTO: no request; or another -errno.
 */
static int receive(int pipe, struct keypipe_request *head, uint8_t buf[KEYPIPE_REQUEST_MAX])
{
	ssize_t n = read_packet(pipe, buf, KEYPIPE_REQUEST_MAX);
	size_t have, want;

	if (n <= 0)
		return (int)n;
	if ((size_t)n < sizeof(*head))
		return -EPROTO;
	memcpy(head, buf, sizeof(*head));
	if (head->len > TLS_MAX_KEY_REQUEST)
		return -EPROTO;
	want = sizeof(*head) + head->len;
	for (have = (size_t)n; have < want; have += (size_t)n) {
		n = read_packet(pipe, buf + have, KEYPIPE_REQUEST_MAX - have);
		if (n <= 0)
			return (int)n;
	}
	return have == want ? 1 : -EPROTO;
}

/* The whole life of an answerer; the end of its worker ends it. */
static _Noreturn void answer_worker(const struct keypipe *end, const struct keyring *ring)
{
	uint8_t request[KEYPIPE_REQUEST_MAX];
	int keep[] = { end->in, end->out };
	struct keypipe_request head;
	struct place place;
	int ret;

	find_home(&place);
	if (sandbox_keep_fds(keep, 2) || filter_load(FILTER_ANSWERER, false))
		_exit(1);
	while ((ret = receive(end->in, &head, request)) == 1) {
		ret = answer(end->out, ring, &place, &head, request + sizeof(head));
		if (ret)
			break;
	}
	if (ret == -EPROTO)
		log_error("a worker sent what is no key request: its answerer ends");
	_exit(ret ? 1 : 0);
}

static atomic_uint living;		/* answerers */

/* In a signal handler.  Libraries stay what they are in a fork: the next answerer would fare alike. */
static void count_killed(void)
{
	static unsigned int killed;
	static uint64_t since;

	if (log_now_ms() - since > KILLED_MS) {
		killed = 0;
		since = log_now_ms();
	}
	if (++killed == KILLED_MAX)
		_exit(KEYD_UNFIT);
}

static void on_answerer_exit(int signum)
{
	int status, error = errno;

	(void)signum;
	while (waitpid(-1, &status, WNOHANG) > 0) {
		atomic_fetch_sub(&living, 1);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
			count_killed();
	}
	errno = error;
}

static int watch_answerers(void)
{
	const struct sigaction action = {
		.sa_handler = on_answerer_exit, .sa_flags = SA_RESTART | SA_NOCLDSTOP,
	};

	return sigaction(SIGCHLD, &action, NULL);
}

/*
 * Whoever gets none sees the end of its pipes, and asks again.  The monitor asks for
 * another only where a worker or its answerer has ended; the limit does not rely on that.
 */
static void start_answerer(const struct keypipe *end, const struct keyring *ring)
{
	const char *why = "too many live";
	pid_t pid = -1;

	if (atomic_fetch_add(&living, 1) < KEYD_ANSWERERS_MAX) {
		pid = fork();
		why = strerror(errno);
	}
	if (pid == 0)
		answer_worker(end, ring);
	if (pid > 0)
		return;
	atomic_fetch_sub(&living, 1);
	if (may_log())
		log_error("no process for a worker's key requests: %s", why);
}

static int adopt_worker(const struct ipc_message *message, const struct keyring *ring)
{
	const struct keypipe end = { message->fds[0], message->fds[1] };

	if (message->type != IPC_NEW_WORKER || message->fd_count != 2)
		return -1;
	start_answerer(&end, ring);
	keypipe_close(&end);
	return 0;
}

/* keyd seals and opens none. */
static void forget_tickets(const struct gate *gates, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		tickets_forget(gates[i].tickets);
}

static _Noreturn void run(int control, const struct gate *gates, size_t count,
			  const struct identity *who)
{
	struct keyring ring = {0};
	struct ipc_message message;
	int keep[] = { control, log_copy() };
	int ret;

	sandbox_child("tlsgated-keyd");
	forget_tickets(gates, count);
	if (watch_answerers() || sandbox_keep_fds(keep, 2) || sandbox_hide_memory() || read_keys(&ring, gates, count) ||
	    trial_gates(gates, count, ring.keys) ||
	    sandbox_drop(who) || landlock_enter(NULL, 0) || filter_load(FILTER_KEYD, false))
		_exit(1);
	log_copy_close();
	if (ipc_send(control, IPC_READY, NULL, 0))
		_exit(1);
	while ((ret = ipc_receive(control, &message)) == 1)
		if (adopt_worker(&message, &ring))
			_exit(1);
	_exit(ret ? 1 : 0);
}

pid_t keyd_start(const struct gate *gates, size_t count, const struct identity *who, int *control)
{
	pid_t pid = process_fork("keyd", control);

	if (pid == 0)
		run(*control, gates, count, who);
	return pid;
}
