// SPDX-License-Identifier: MIT
#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/hurry.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/tcp.h"

#define DEFER_ACCEPT_SECONDS	5

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* What has to be set before it is bound, and what may be refused.  0 or -1. */
static int prepare_bind(int fd, const struct gate_settings *set)
{
	if (set->mark && set_option(fd, SOL_SOCKET, SO_MARK, (int)set->mark))
		return -1;
	if (set->freebind && set_option(fd, IPPROTO_IP, IP_FREEBIND, 1))
		return -1;
	if (set->bind_device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, set->bind_device,
					   (socklen_t)strlen(set->bind_device)))
		return -1;
	return 0;
}

/* One socket, which all workers share. */
static bool is_shared(const struct listener *listener)
{
	return listener->activated || unix_listen_is(&listener->addr);
}

/* Returns the socket, or -errno. */
static int unix_socket(const struct addr *addr, const struct unix_rights *rights)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int ret = fd < 0 ? -errno : unix_listen_bind(fd, addr, rights);

	if (!ret)
		return fd;
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Returns the socket, or -errno. */
static int bound_socket(const struct addr *addr, const struct gate_settings *set, bool reuseport)
{
	int fd, error;

	fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
	    (!reuseport || !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
	    (addr->sa.sa_family != AF_INET6 || !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
	    !prepare_bind(fd, set) && !bind(fd, &addr->sa, addr->len))
		return fd;
	error = errno;
	close(fd);
	return -error;
}

/* What listens already where somebody who connects to addr may come, or the other way round. */
static bool is_ours(const struct listeners *all, const struct addr *addr)
{
	const struct listener *listener = all->first;

	while (listener && !addr_covers(&listener->addr, addr) && !addr_covers(addr, &listener->addr))
		listener = listener->next;
	return listener;
}

/*
 * Two daemons with SO_REUSEPORT would share the port without noticing.  So a first socket
 * without that option tries whether the port is free; our own sockets, from before a reload,
 * have kept others away.
 */
static int probe(const struct listeners *all, const struct addr *addr, const struct gate_settings *set)
{
	int fd = bound_socket(addr, set, is_ours(all, addr));

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* What an error of a listening socket means, and of which setting it speaks; the last row: of any other. */
static const struct fault {
	int error;
	const char *setting, *advice;
} faults[] = {
	{ EADDRINUSE, "listen", "another process listens there: stop it, or choose another address" },
	{ EACCES, "listen", "ports below 1024 need root or CAP_NET_BIND_SERVICE" },
	{ EADDRNOTAVAIL, "listen",
	  "no interface of this machine has that address: give another one, or freebind" },
	{ ENODEV, "bind-device", "there is no such network device: correct it" },
	{ EPERM, "listen",
	  "another owner of a UNIX socket needs CAP_CHOWN: leave it out, or start tlsgated with that" },
	{ EEXIST, "listen", "there is a file that is no socket: give another path" },
	{ ENOENT, "listen", "its folder is not there: create it" },
	{ ENOTDIR, "listen", "its folder is none: correct the path" },
	{ ESRCH, "listen", "there is no such user or group: correct user= and group=" },
	{ EMFILE, "listen", "raise the limit of open files, or have fewer workers or gates" },
	{ ENFILE, "listen", "raise the limit of open files, or have fewer workers or gates" },
	{ EAFNOSUPPORT, "listen", "this kernel has no IPv6: give an IPv4 address" },
	{ 0, "listen", "give another address to listen on" },
};

static const struct fault *find_fault(int error)
{
	const struct fault *fault = faults;

	while (fault->error && fault->error != error)
		fault++;
	return fault;
}

int listener_refuse(const struct gate_settings *set, const char *text, int error)
{
	const struct fault *fault = find_fault(error);
	char why[SETTINGS_WHY_MAX];

	snprintf(why, sizeof(why), "%s: %s", strerror(error), fault->advice);
	return gate_refuse(set, fault->setting, strcmp(fault->setting, "listen") ? set->bind_device : text,
			   why);
}

/* Of sockets that were bound before. */
static int complain(const struct addr *addr, int error)
{
	char text[ADDR_TEXT_MAX];

	log_error("cannot listen on %s: %s: %s", addr_format(&addr->sa, addr->len, text),
		  strerror(error), find_fault(error)->advice);
	return -1;
}

static int add_unix_socket(struct listener *listener, const char *text, const struct gate_settings *set)
{
	int fd = unix_listen_rights(text, &listener->wants);

	if (fd < 0)
		return listener_refuse(set, text, -fd);
	if (listener->count)
		return 0;
	fd = unix_socket(&listener->addr, &listener->wants);
	if (fd < 0)
		return listener_refuse(set, text, -fd);
	listener->fds = xcalloc(1, sizeof(*listener->fds));
	listener->fds[listener->count++] = fd;
	listener->file = unix_listen_file(&listener->addr);
	listener->has = listener->wants;
	listener->owns_file = true;
	return 0;
}

static int add_sockets(struct listener *listener, const char *text, size_t want,
		       const struct gate_settings *set)
{
	int fd;

	while (!listener->activated && listener->count < want) {
		fd = bound_socket(&listener->addr, set, true);
		if (fd < 0)
			return listener_refuse(set, text, -fd);
		listener->fds = xrealloc(listener->fds, listener->count + 1,
					 sizeof(*listener->fds));
		listener->fds[listener->count++] = fd;
	}
	return 0;
}

static struct listener *add_listener(struct listeners *all, const struct addr *addr, const char *device)
{
	struct listener *listener = xcalloc(1, sizeof(*listener));

	listener->addr = *addr;
	snprintf(listener->device, sizeof(listener->device), "%s", device);
	listener->next = all->first;
	all->first = listener;
	return listener;
}

static struct listener *find(const struct listeners *all, const struct addr *addr, const char *device)
{
	struct listener *listener = all->first;

	while (listener && (!addr_equal(&listener->addr, addr) || strcmp(listener->device, device)))
		listener = listener->next;
	return listener;
}

static bool is_stream_family(int family)
{
	return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

void listeners_take(struct listeners *all, int fd, bool activated)
{
	struct addr addr = { .len = sizeof(addr.storage) };
	struct listener *listener = NULL;
	char device[IFNAMSIZ] = "";
	socklen_t len = sizeof(device);

	/* one of ours may be drained */
	if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, activated ? 1 : -1) <= 0 ||
	    getsockname(fd, &addr.sa, &addr.len) || !is_stream_family(addr.sa.sa_family)) {
		log_warn("descriptor %d, which systemd passed, is closed: it is no listening socket of TCP or UNIX: see the socket unit",
			 fd);
		close(fd);
		return;
	}
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	/* systemd's may be bound to one as well; a gate need not know of it */
	if (!activated && getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &len))
		device[0] = '\0';
	if (!activated)
		listener = find(all, &addr, device);
	if (!listener)
		listener = add_listener(all, &addr, device);
	listener->activated = activated;
	listener->passed = true;
	listener->has = (struct unix_rights){ (mode_t)-1, (uid_t)-1, (gid_t)-1 };	/* nobody knows */
	listener->file = unix_listen_file(&addr);
	listener->fds = xrealloc(listener->fds, listener->count + 1, sizeof(*listener->fds));
	listener->fds[listener->count++] = fd;
	listener->listening = listener->served = listener->count;
}

/* Where the kernel has no IPv6, :PORT means IPv4 only. */
static struct addr without_ipv6(const struct addr *addr)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&addr->storage;
	struct addr out = { .len = sizeof(struct sockaddr_in) };
	struct sockaddr_in *sin = (struct sockaddr_in *)&out.storage;

	sin->sin_family = AF_INET;
	sin->sin_port = sin6->sin6_port;
	return out;
}

static int probe_or_fall_back(const struct listeners *all, struct addr *addr, const char *text,
			      const struct gate_settings *set)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&addr->storage;
	int ret = unix_listen_is(addr) ? 0 : probe(all, addr, set);

	if ((ret == -EAFNOSUPPORT || ret == -EADDRNOTAVAIL) && addr->sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&sin6->sin6_addr)) {
		*addr = without_ipv6(addr);
		ret = probe(all, addr, set);
	}
	return ret ? listener_refuse(set, text, -ret) : 0;
}

static int refuse_options(const struct gate_settings *set, int error)
{
	if (error != EPERM)
		return listener_refuse(set, NULL, error);
	return gate_refuse(set, "mark", NULL, "it needs CAP_NET_ADMIN: leave it out, or start tlsgated with that");
}

int listener_try_options(const struct gate_settings *set)
{
	int fd, ret;

	if (!set->mark && !set->bind_device)
		return 0;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ret = fd < 0 || prepare_bind(fd, set) ? refuse_options(set, errno) : 0;
	if (fd >= 0)
		close(fd);
	return ret;
}

struct listener *listener_get(struct listeners *all, const struct addr *addr, const char *text,
			      size_t want, const struct gate_settings *set)
{
	const char *device = set->bind_device && !unix_listen_is(addr) ? set->bind_device : "";
	struct addr actual = *addr;
	struct listener *listener;

	listener = find(all, addr, device);
	if (!listener) {
		if (probe_or_fall_back(all, &actual, text, set))
			return NULL;
		listener = find(all, &actual, device);
		if (!listener)
			listener = add_listener(all, &actual, device);
	}
	listener->users++;
	if (unix_listen_is(&actual) ? add_unix_socket(listener, text, set) :
				      add_sockets(listener, text, want, set)) {
		listener_put(all, listener);
		return NULL;
	}
	return listener;
}

/* When to accept, and what accepted sockets inherit: for speed, and to find out peers that vanished. */
static void set_options(const struct listener *listener, int fd, const struct gate_settings *set)
{
	const bool client_begins = set->mode == GATE_SERVE && !starttls_server_begins(set->starttls);
	const int defer = client_begins ? DEFER_ACCEPT_SECONDS : 0;

	/* systemd's have what DeferAcceptSec= says */
	if (!listener->activated)
		(void)set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, defer);
	(void)set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){0}, sizeof(struct linger));
	tcp_keep_alive(fd, set->keepalive, set->keepalive_interval, set->keepalive_probes);
	tcp_user_timeout(fd, set->user_timeout);
	(void)set_option(fd, IPPROTO_TCP, TCP_FASTOPEN, set->fast_open ? SOMAXCONN : 0);
	/* of one that a reload kept, too; listener_get() has tried it */
	(void)set_option(fd, SOL_SOCKET, SO_MARK, (int)set->mark);
}

/* How many may wait is what the last call says, of a socket that listens already, too. */
static int start_listening(int fd, const struct gate_settings *set)
{
	return listen(fd, set->backlog ? (int)set->backlog : SOMAXCONN);
}

int listener_start(struct listener *listener, const struct gate_settings *set)
{
	int fd;

	for (; listener->listening < listener->count; listener->listening++) {
		fd = listener->fds[listener->listening];
		set_options(listener, fd, set);
		if (!listener->drained && start_listening(fd, set))
			return complain(&listener->addr, errno);
	}
	return 0;
}

void listener_mend(const struct listener *listener, const struct gate_settings *set)
{
	size_t i;

	for (i = 0; i < listener->served; i++) {
		set_options(listener, listener->fds[i], set);
		if (!listener->drained && start_listening(listener->fds[i], set))
			(void)complain(&listener->addr, errno);
	}
}

const char *listener_why_kept(const struct listener *listener)
{
	if (listener->activated)
		return "systemd has the gate's socket: stop the socket unit";
	if (unix_listen_is(&listener->addr))
		return "a UNIX socket cannot listen again afterwards: take it out of the configuration, and reload";
	return NULL;
}

void listener_drain(struct listener *listener)
{
	size_t i;

	listener->drained = true;
	/* fails for one that does not listen */
	for (i = 0; i < listener->listening; i++)
		(void)shutdown(listener->fds[i], SHUT_RD);
}

int listener_undrain(struct listener *listener, const struct gate_settings *set)
{
	listener->drained = false;
	listener->listening = 0;
	return listener_start(listener, set);
}

/* Of a socket that a reload or an upgrade kept. */
static void change_rights(struct listener *listener)
{
	char text[ADDR_TEXT_MAX];
	int ret;

	if (unix_listen_same_rights(&listener->has, &listener->wants))
		return;
	ret = unix_listen_change(&listener->addr, &listener->file, &listener->has, &listener->wants);
	if (!ret)
		listener->has = listener->wants;
	else
		log_error("%s keeps other rights than the configuration says: %s: restart, or give it these by hand",
			  addr_format(&listener->addr.sa, listener->addr.len, text), strerror(-ret));
}

void listener_serve(struct listener *listener, const struct gate_settings *set)
{
	listener->served = listener->count;
	/* those that listen already may be another gate's now */
	listener_mend(listener, set);
	if (unix_listen_is(&listener->addr) && !listener->activated)
		change_rights(listener);
}

/* With a UNIX socket goes what clients passed along that nobody accepted. */
static void close_from(struct listener *listener, size_t first)
{
	while (listener->count > first)
		hurry_close(listener->fds[--listener->count]);
}

static void remove_listener(struct listeners *all, struct listener *listener)
{
	struct listener **link = &all->first;

	while (*link != listener)
		link = &(*link)->next;
	*link = listener->next;
	if (listener->owns_file)
		unix_listen_remove(&listener->addr, &listener->file);
	close_from(listener, 0);
	free(listener->fds);
	free(listener);
}

void listener_put(struct listeners *all, struct listener *listener)
{
	if (!--listener->users && !listener->passed)
		remove_listener(all, listener);
}

static void log_unused(const struct listener *listener)
{
	char text[ADDR_TEXT_MAX];

	(void)addr_format(&listener->addr.sa, listener->addr.len, text);
	if (listener->activated)
		log_warn("the socket at %s, which systemd passed, is closed: no gate listens there: take it out of the socket unit, or add it to a gate and restart",
			 text);
	else
		log_info("the socket at %s, of before, is closed: no gate listens there", text);
}

void listeners_close(struct listeners *all)
{
	struct listener *listener, *next;

	for (listener = all->first; listener; listener = next) {
		next = listener->next;
		if (!listener->users)
			remove_listener(all, listener);
	}
}

void listeners_drop_unused(struct listeners *all)
{
	const struct listener *listener;

	for (listener = all->first; listener; listener = listener->next)
		if (!listener->users)
			log_unused(listener);
	listeners_close(all);
}

static void set_owner(struct listeners *all, bool owns)
{
	struct listener *listener;

	for (listener = all->first; listener; listener = listener->next)
		listener->owns_file = owns && !listener->activated;
}

void listeners_own(struct listeners *all)
{
	set_owner(all, true);
}

void listeners_bequeath(struct listeners *all)
{
	set_owner(all, false);
}

void listeners_trim(struct listeners *all)
{
	struct listener *listener;

	for (listener = all->first; listener; listener = listener->next) {
		close_from(listener, listener->served);
		listener->listening = listener->served;
	}
}

bool listener_is_for(const struct listener *listener, size_t index, size_t worker, size_t workers)
{
	return is_shared(listener) || index % workers == worker;
}
