// SPDX-License-Identifier: MIT
#include "daemon/together.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* NULL: the text is the address of a server that can be delivered to, *server. */
static const char *not_a_server(const char *backend, struct addr *server)
{
	struct addr addrs[ADDR_LIST_MAX];
	const char *why;

	if (!addr_port(backend))
		return "connections cannot be delivered to a UNIX socket: give ADDR:PORT";
	if (addr_is_name(backend) || addr_resolve(backend, addrs, &why) != 1)
		return "connections cannot be delivered to a name: give one address of this machine, ADDR:PORT or [V6]:PORT";
	*server = addrs[0];
	return NULL;
}

/* NULL: the gate has several, or none. */
static const char *only_backend(const struct gate_settings *gate)
{
	const struct text_list *list = &gate->backend.list;

	return list->count == 1 && !gate->block_count ? list->items[0] : NULL;
}

int together_listen(const struct gate_settings *gate, const char *text, struct addr *out,
		    const char **why)
{
	char all[sizeof("0.0.0.0:65535")];
	const char *backend = only_backend(gate);
	struct addr server;

	if (gate->deliver == DELIVER_NO || starttls_server_begins(gate->starttls) || text[0] != ':' || !backend ||
	    not_a_server(backend, &server) || server.sa.sa_family != AF_INET)
		return addr_parse_listen(text, out, why);
	snprintf(all, sizeof(all), "0.0.0.0%s", text);
	return addr_parse_listen(all, out, why);
}

/* Nobody comes to it by IPv4. */
static bool is_ipv6_alone(const struct addr *addr)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)(const void *)&addr->sa;

	return addr->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&sin6->sin6_addr) &&
	       !IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr);
}

/*
 * NULL: what comes there may be delivered to the server.  To [::] comes what suits an IPv6 socket
 * that is bound to an IPv4 address, ::ffff:V4.
 */
static const char *not_its_family(const struct addr *listen, const struct addr *server)
{
	if (listen->sa.sa_family == AF_UNIX)
		return "connections to a UNIX socket cannot be delivered: give deliver = no, or an address";
	if (server->sa.sa_family == AF_INET6 && listen->sa.sa_family == AF_INET)
		return "connections to an IPv4 address cannot be delivered to an IPv6 server: give :PORT, or a backend of IPv4";
	if (server->sa.sa_family == AF_INET && is_ipv6_alone(listen))
		return "connections to an IPv6 address cannot be delivered to an IPv4 server: give an IPv4 address, or a backend of IPv6";
	return NULL;
}

/* An accepted socket has the family of the one that it came to, and the server's must have it, too. */
static int check_families(const struct gate_settings *gate, const struct addr *server)
{
	struct addr addr;
	const char *why;
	int ret = 0;
	size_t i;

	for (i = 0; i < gate->listen.count; i++) {
		if (together_listen(gate, gate->listen.items[i], &addr, &why))
			continue;
		why = not_its_family(&addr, server);
		if (why)
			ret += gate_refuse(gate, "listen", gate->listen.items[i], why);
	}
	return ret;
}

/* Settings of a relay: nothing would heed them in connections that are the server's. */
static int check_relay_settings(const struct gate_settings *gate)
{
	static const struct {
		const char *name, *why;
	} rows[] = {
		{ "idle-timeout", "with deliver the server ends idle connections: leave it out" },
		{ "keepalive", "with deliver the server's socket has its own: leave it out" },
		{ "keepalive-interval", "with deliver the server's socket has its own: leave it out" },
		{ "keepalive-probes", "with deliver the server's socket has its own: leave it out" },
		{ "user-timeout", "with deliver the server's socket has its own: leave it out" },
	};
	int ret = 0;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (setting_given(setting_find(rows[i].name), NULL, gate)->yes)
			ret += gate_refuse(gate, rows[i].name, NULL, rows[i].why);
	if (gate->proxy_protocol)
		ret += gate_refuse(gate, "proxy-protocol", NULL,
				   "a delivered connection cannot begin with a header, and comes from the client's address: leave it out");
	if (gate->data_path == DATA_PATH_USER)
		ret += gate_refuse(gate, "data-path", NULL,
				   "deliver needs the kernel: give auto or kernel");
	return ret;
}

static int check_server(const struct gate_settings *gate)
{
	const char *backend = only_backend(gate), *why;
	struct addr server;

	/* deliver = auto relays: delivery_open() says so */
	if (!backend)
		return gate->deliver != DELIVER_ALWAYS ? 0 :
		       gate_refuse(gate, "deliver", "always",
				   "it delivers to one server: give one backend and neither route nor pass, or deliver = auto");
	why = not_a_server(backend, &server);
	return why ? gate_refuse(gate, "backend", backend, why) : check_families(gate, &server);
}

/* The kernel has TLS on TCP alone. */
static int check_unix_listens(const struct gate_settings *gate)
{
	int ret = 0;
	size_t i;

	for (i = 0; i < gate->listen.count; i++)
		if (!strncmp(gate->listen.items[i], "unix:", 5))
			ret += gate_refuse(gate, "listen", gate->listen.items[i],
					   "TLS on a UNIX socket stays in the daemon: give data-path = auto or user");
	return ret;
}

static size_t count_unix_listens(const struct gate_settings *gate)
{
	size_t count = 0, i;

	for (i = 0; i < gate->listen.count; i++)
		count += !strncmp(gate->listen.items[i], "unix:", 5);
	return count;
}

/* Settings of TCP where nobody comes by it. */
static int check_unix_alone(const struct gate_settings *gate)
{
	static const struct {
		const char *name, *why;
		bool by_header;			/* it has an effect on clients that a PROXY header names */
	} rows[] = {
		{ "bind-device", "a UNIX socket is of no device: leave it out", false },
		{ "fast-open", "it is TCP's, and the gate listens on UNIX sockets alone: leave it out", false },
		{ "freebind", "it is TCP's, and the gate listens on UNIX sockets alone: leave it out", false },
		{ "mark", "no client's packets come by a UNIX socket: leave it out", false },
		{ "max-per-address", "clients of UNIX sockets have no address: give max-connections, or accept-proxy", true },
		{ "handshake-rate", "clients of UNIX sockets have no address: leave it out, or give accept-proxy", true },
	};
	int ret = 0;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (setting_given(setting_find(rows[i].name), NULL, gate)->yes &&
		    !(rows[i].by_header && gate->accept_proxy.count))
			ret += gate_refuse(gate, rows[i].name, NULL, rows[i].why);
	return ret;
}

static int check_unix(const struct gate_settings *gate)
{
	const size_t count = count_unix_listens(gate);
	size_t i;

	if (count)
		return count == gate->listen.count ? check_unix_alone(gate) : 0;
	for (i = 0; i < gate->accept_proxy.count; i++)
		if (!strcmp(gate->accept_proxy.items[i], "unix"))
			return gate_refuse(gate, "accept-proxy", "unix",
					   "the gate listens on no UNIX socket: leave it out, or give listen = unix:/path");
	return 0;
}

int together_check(const struct gate_settings *gate)
{
	if (check_unix(gate))
		return -1;
	if (gate->mode == GATE_SERVE && gate->data_path == DATA_PATH_KERNEL && check_unix_listens(gate))
		return -1;
	if (gate->mode != GATE_SERVE || gate->deliver == DELIVER_NO || !gate->backend.list.count)
		return 0;
	if (starttls_server_begins(gate->starttls))	/* likewise */
		return gate->deliver != DELIVER_ALWAYS ? 0 :
		       gate_refuse(gate, "deliver", "always",
				   "by this starttls the server greets, and would do so a second time after TLS began: leave it out");
	return check_relay_settings(gate) + check_server(gate);
}
