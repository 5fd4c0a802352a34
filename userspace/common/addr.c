// SPDX-License-Identifier: MIT
#include "common/addr.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/unix_path.h"

#define UNIX_PREFIX	"unix:"

static bool port_is_valid(const char *port)
{
	char *end;
	long n;

	/* strtol() would take blanks and signs */
	if (port[0] < '0' || port[0] > '9')
		return false;
	n = strtol(port, &end, 10);
	return *end == '\0' && n > 0 && n <= 65535;
}

static bool is_ascii(const char *text, size_t len)
{
	while (len && !(*text & 0x80)) {
		text++;
		len--;
	}
	return !len;
}

int addr_split(const char *text, char host[ADDR_HOST_MAX], const char **port, const char **why)
{
	const char *colon = strrchr(text, ':');
	const char *start = text;
	size_t len;

	if (strstr(text, "://")) {
		*why = "it is a URL: write only its HOST:PORT";
		return -1;
	}
	if (strpbrk(text, ", ")) {
		*why = "it has a comma or a blank: give one HOST:PORT; a configuration lists several as { A, B }";
		return -1;
	}
	if (!colon || !port_is_valid(colon + 1)) {
		*why = "it must end in :PORT, with a port from 1 to 65535";
		return -1;
	}
	len = (size_t)(colon - text);
	if (len && text[0] == '[') {
		if (len < 3 || colon[-1] != ']') {
			*why = "the bracket around the IPv6 address is not closed before :PORT";
			return -1;
		}
		start++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		*why = "an IPv6 address needs brackets: [ADDR]:PORT";
		return -1;
	}
	if (len >= ADDR_HOST_MAX) {
		*why = "the host name is too long";
		return -1;
	}
	if (!is_ascii(start, len)) {
		*why = "a host name with other characters than ASCII is given as xn--..., as idn2 prints it";
		return -1;
	}
	memcpy(host, start, len);
	host[len] = '\0';
	*port = colon + 1;
	return 0;
}

static void set_in6(struct addr *out, const struct in6_addr *in6, const char *port)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&out->storage;

	memset(out, 0, sizeof(*out));
	sin6->sin6_family = AF_INET6;
	sin6->sin6_addr = *in6;
	sin6->sin6_port = htons((uint16_t)atoi(port));
	out->len = sizeof(*sin6);
}

static void set_in4(struct addr *out, const struct in_addr *in, const char *port)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&out->storage;

	memset(out, 0, sizeof(*out));
	sin->sin_family = AF_INET;
	sin->sin_addr = *in;
	sin->sin_port = htons((uint16_t)atoi(port));
	out->len = sizeof(*sin);
}

/* One address has one form, so that it is known again: ::ffff:A.B.C.D is A.B.C.D. */
static void unmap(struct addr *addr, const char *port)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&addr->storage;
	struct in_addr in;

	if (addr->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr))
		return;
	memcpy(&in, &sin6->sin6_addr.s6_addr[12], sizeof(in));
	set_in4(addr, &in, port);
}

/* Who connects to every address, 0.0.0.0 or ::, comes to this host. */
static void set_host(struct addr *addr, const char *port)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)&addr->storage;
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&addr->storage;
	const struct in_addr host = { htonl(INADDR_LOOPBACK) };

	if (addr->sa.sa_family == AF_INET && sin->sin_addr.s_addr == htonl(INADDR_ANY))
		set_in4(addr, &host, port);
	else if (addr->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&sin6->sin6_addr))
		set_in6(addr, &in6addr_loopback, port);
}

void addr_take(struct addr *out, const struct sockaddr *sa, socklen_t len, const char *port)
{
	memset(out, 0, sizeof(*out));
	memcpy(&out->storage, sa, len);
	out->len = len;
	unmap(out, port);
	set_host(out, port);
}

static bool set_numeric(struct addr *out, const char *host, const char *port)
{
	struct in6_addr in6;
	struct in_addr in;

	if (inet_pton(AF_INET, host, &in) == 1)
		set_in4(out, &in, port);
	else if (inet_pton(AF_INET6, host, &in6) == 1)
		set_in6(out, &in6, port);
	else
		return false;
	unmap(out, port);
	return true;
}

static int set_unix(struct addr *out, const char *path, const char **why)
{
	const bool is_abstract = path[0] == '@' && path[1];

	if (path[0] != '/' && !is_abstract) {
		*why = "a unix socket needs an absolute path, or the name of an abstract one: unix:/path, unix:@name";
		return -1;
	}
	if (strlen(path) >= sizeof(out->un.sun_path)) {
		*why = "the path of a unix socket has at most 107 bytes: give a shorter one";
		return -1;
	}
	memset(out, 0, sizeof(*out));
	out->un.sun_family = AF_UNIX;
	strcpy(out->un.sun_path, path);
	/* the name of an abstract one has no NUL at its end, but one at its beginning */
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + !is_abstract);
	if (is_abstract)
		out->un.sun_path[0] = '\0';
	return 1;
}

static int listen_unix(const char *path, struct addr *out, const char **why)
{
	const size_t len = strcspn(path, ",");
	char copy[sizeof(out->un.sun_path) + 1];

	snprintf(copy, sizeof(copy), "%.*s", (int)len, path);
	return set_unix(out, copy, why) == 1 ? 0 : -1;
}

int addr_parse_listen(const char *text, struct addr *out, const char **why)
{
	char host[ADDR_HOST_MAX];
	const char *port;

	if (!strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)))
		return listen_unix(text + strlen(UNIX_PREFIX), out, why);
	if (addr_split(text, host, &port, why))
		return -1;
	if (!host[0]) {
		set_in6(out, &in6addr_any, port);
		return 0;
	}
	if (set_numeric(out, host, port))
		return 0;
	*why = "the address to listen on must be numeric: ADDR:PORT, [V6]:PORT or :PORT";
	return -1;
}

/* This host, whatever a name server says: RFC 6761 section 6.3. */
static bool is_localhost(const char *host)
{
	return !strcasecmp(host, "localhost");
}

static int set_localhost(struct addr out[ADDR_LIST_MAX], const char *port)
{
	const struct in_addr in = { htonl(INADDR_LOOPBACK) };

	set_in6(&out[0], &in6addr_loopback, port);
	set_in4(&out[1], &in, port);
	return 2;
}

static int resolve_name(const char *host, const char *port, struct addr *out, const char **why)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *list = NULL, *info;
	int count = 0;
	int ret;

	ret = getaddrinfo(host, port, &hints, &list);
	if (ret) {
		*why = gai_strerror(ret);
		return -1;
	}
	for (info = list; info && count < ADDR_LIST_MAX; info = info->ai_next)
		addr_take(&out[count++], info->ai_addr, info->ai_addrlen, port);
	freeaddrinfo(list);
	return count;
}

int addr_resolve(const char *text, struct addr out[ADDR_LIST_MAX], const char **why)
{
	char host[ADDR_HOST_MAX];
	const char *port;

	if (!strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)))
		return set_unix(&out[0], text + strlen(UNIX_PREFIX), why);
	if (addr_split(text, host, &port, why))
		return -1;
	if (is_localhost(host))
		return set_localhost(out, port);
	if (!set_numeric(&out[0], host[0] ? host : "127.0.0.1", port))
		return resolve_name(host, port, out, why);
	set_host(&out[0], port);
	return 1;
}

bool addr_is_valid(const char *text, const char **why)
{
	char host[ADDR_HOST_MAX];
	const char *port;
	struct addr unused;

	if (!strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)))
		return set_unix(&unused, text + strlen(UNIX_PREFIX), why) == 1;
	return addr_split(text, host, &port, why) == 0;
}

bool addr_is_name(const char *text)
{
	char host[ADDR_HOST_MAX];
	const char *port, *why;
	struct addr unused;

	if (!strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) || addr_split(text, host, &port, &why))
		return false;
	return host[0] && !is_localhost(host) && !set_numeric(&unused, host, port);
}

bool addr_is_abstract(const char *text)
{
	return !strncmp(text, UNIX_PREFIX "@", strlen(UNIX_PREFIX) + 1);
}

uint16_t addr_port(const char *text)
{
	char host[ADDR_HOST_MAX];
	const char *port, *why;

	if (!strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) || addr_split(text, host, &port, &why))
		return 0;
	return (uint16_t)atoi(port);
}

const char *addr_format(const struct sockaddr *sa, socklen_t len, char buf[ADDR_TEXT_MAX])
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)sa;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)sa;
	const struct sockaddr_un *sun = (const struct sockaddr_un *)sa;
	char host[INET6_ADDRSTRLEN] = "?";

	if (sa->sa_family == AF_INET) {
		inet_ntop(AF_INET, &sin->sin_addr, host, sizeof(host));
		snprintf(buf, ADDR_TEXT_MAX, "%s:%u", host, ntohs(sin->sin_port));
	} else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
		inet_ntop(AF_INET, &sin6->sin6_addr.s6_addr[12], host, sizeof(host));
		snprintf(buf, ADDR_TEXT_MAX, "%s:%u", host, ntohs(sin6->sin6_port));
	} else if (sa->sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &sin6->sin6_addr, host, sizeof(host));
		snprintf(buf, ADDR_TEXT_MAX, "[%s]:%u", host, ntohs(sin6->sin6_port));
	} else if (sa->sa_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path) + 1 &&
		   !sun->sun_path[0] && sun->sun_path[1]) {
		snprintf(buf, ADDR_TEXT_MAX, UNIX_PREFIX "@%.*s",
			 (int)(len - offsetof(struct sockaddr_un, sun_path) - 1), sun->sun_path + 1);
	} else if (sa->sa_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path)) {
		snprintf(buf, ADDR_TEXT_MAX, UNIX_PREFIX "%s", sun->sun_path);
	} else {
		snprintf(buf, ADDR_TEXT_MAX, "unknown");
	}
	return buf;
}

bool addr_is_local(const struct addr *addr)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)&addr->storage;
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&addr->storage;

	if (addr->sa.sa_family == AF_INET)
		return ntohl(sin->sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
	return addr->sa.sa_family == AF_UNIX ||
	       (addr->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr));
}

uint16_t addr_port_of(const struct addr *addr)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)&addr->storage;
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&addr->storage;

	if (addr->sa.sa_family == AF_INET)
		return ntohs(sin->sin_port);
	return addr->sa.sa_family == AF_INET6 ? ntohs(sin6->sin6_port) : 0;
}

/* A datagram socket that is connected to an address of ours has that very address itself. */
bool addr_is_own(const struct addr *addr)
{
	struct addr from = { .len = sizeof(from.storage) };
	bool own = addr_is_local(addr);
	int fd;

	if (own)
		return true;
	fd = socket(addr->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (!connect(fd, &addr->sa, addr->len) && !getsockname(fd, &from.sa, &from.len)) {
		if (addr->sa.sa_family == AF_INET)
			((struct sockaddr_in *)&from.storage)->sin_port = htons(addr_port_of(addr));
		else
			((struct sockaddr_in6 *)&from.storage)->sin6_port = htons(addr_port_of(addr));
		own = addr_equal(addr, &from);
	}
	close(fd);
	return own;
}

/* [::] takes IPv4 as well: our listeners never set IPV6_V6ONLY. */
static bool is_every_address(const struct addr *listen, const struct addr *addr)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)&listen->storage;
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&listen->storage;

	if (listen->sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&sin6->sin6_addr);
	return listen->sa.sa_family == AF_INET && addr->sa.sa_family == AF_INET &&
	       sin->sin_addr.s_addr == htonl(INADDR_ANY);
}

bool addr_covers(const struct addr *listen, const struct addr *addr)
{
	const uint16_t port = addr_port_of(listen);

	return addr_equal(listen, addr) ||
	       (port && port == addr_port_of(addr) && is_every_address(listen, addr));
}

/* IPv4 as the mapped address of IPv6.  False: it is of neither. */
static bool get_host(const struct addr *addr, struct in6_addr *out)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&addr->storage;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)&addr->storage;

	if (addr->sa.sa_family == AF_INET6) {
		*out = sin6->sin6_addr;
		return true;
	}
	*out = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
	memcpy(&out->s6_addr[12], &sin->sin_addr, sizeof(sin->sin_addr));
	return addr->sa.sa_family == AF_INET;
}

static bool has_path(const struct addr *addr)
{
	return addr->sa.sa_family == AF_UNIX && addr->un.sun_path[0] == '/';
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	char text_a[ADDR_TEXT_MAX], text_b[ADDR_TEXT_MAX];
	struct in6_addr host_a, host_b;

	/* flow label, mapping and the like do not make another listener */
	if (get_host(a, &host_a) && get_host(b, &host_b))
		return addr_port_of(a) == addr_port_of(b) && IN6_ARE_ADDR_EQUAL(&host_a, &host_b);
	if (has_path(a) && has_path(b))
		return unix_path_same(a->un.sun_path, b->un.sun_path);
	return !strcmp(addr_format(&a->sa, a->len, text_a), addr_format(&b->sa, b->len, text_b));
}
