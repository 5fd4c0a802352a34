// SPDX-License-Identifier: MIT
#include "daemon/proxy.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/subject.h"

#define VERSION_2_PROXY		0x21	/* version 2, command PROXY */
#define TCP_OVER_IPV4		0x11
#define TCP_OVER_IPV6		0x21
#define UNSPEC			0x00	/* of UNIX sockets */

#define CLIENT_SSL		0x01
#define CLIENT_CERT_CONN	0x02	/* shown on this connection */
#define CLIENT_CERT_SESS	0x04	/* or on one of this session */

enum {
	TYPE_ALPN = 0x01,
	TYPE_AUTHORITY = 0x02,
	TYPE_SSL = 0x20,
	SUBTYPE_SSL_VERSION = 0x21,
	SUBTYPE_SSL_CN = 0x22,
	SUBTYPE_SSL_CIPHER = 0x23,
	SUBTYPE_SSL_GROUP = 0x26,
	SUBTYPE_SSL_CLIENT_CERT = 0x28,
};

static const uint8_t signature[] = { '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n' };

struct header {
	uint8_t *out;
	size_t len;
	bool full;
};

static void put(struct header *header, const void *data, size_t len)
{
	if (header->full || len > PROXY_HEADER_MAX - header->len) {
		header->full = true;
		return;
	}
	memcpy(header->out + header->len, data, len);
	header->len += len;
}

static void put_u8(struct header *header, uint8_t value)
{
	put(header, &value, 1);
}

static void put_u16(struct header *header, size_t value)
{
	put_u8(header, (uint8_t)(value >> 8));
	put_u8(header, (uint8_t)value);
}

/* Room for a length, filled in when what it counts is there. */
static size_t open_length(struct header *header)
{
	put_u16(header, 0);
	return header->len;
}

static void close_length(struct header *header, size_t start)
{
	size_t len = header->len - start;

	if (header->full)
		return;
	header->out[start - 2] = (uint8_t)(len >> 8);
	header->out[start - 1] = (uint8_t)len;
}

static void put_tlv(struct header *header, uint8_t type, const void *data, size_t len)
{
	put_u8(header, type);
	put_u16(header, len);
	put(header, data, len);
}

static void put_text(struct header *header, uint8_t type, const char *text)
{
	if (text)
		put_tlv(header, type, text, strlen(text));
}

/* An IPv4 client of an IPv6 listener is one of IPv4. */
static const void *ipv4_of(const struct sockaddr_in6 *addr)
{
	if (addr->sin6_family == AF_INET)
		return &((const struct sockaddr_in *)addr)->sin_addr;
	return IN6_IS_ADDR_V4MAPPED(&addr->sin6_addr) ? &addr->sin6_addr.s6_addr[12] : NULL;
}

static uint8_t family_of(const struct sockaddr_in6 *client, const struct sockaddr_in6 *server)
{
	if (ipv4_of(client) && ipv4_of(server))
		return TCP_OVER_IPV4;
	return client->sin6_family == AF_INET6 && server->sin6_family == AF_INET6 ? TCP_OVER_IPV6 : UNSPEC;
}

/* The port is at the same place in both. */
static void put_addresses(struct header *header, uint8_t family, const struct sockaddr_in6 *client,
			  const struct sockaddr_in6 *server)
{
	if (family == UNSPEC)
		return;
	if (family == TCP_OVER_IPV4) {
		put(header, ipv4_of(client), 4);
		put(header, ipv4_of(server), 4);
	} else {
		put(header, &client->sin6_addr, 16);
		put(header, &server->sin6_addr, 16);
	}
	put(header, &client->sin6_port, 2);
	put(header, &server->sin6_port, 2);
}

static void put_common_name(struct header *header, const struct tls_conn_info *info)
{
	char *name;
	int len = subject_common_name(info->peer_certificate, info->peer_certificate_len, &name);

	if (len >= 0)
		put_tlv(header, SUBTYPE_SSL_CN, name, (size_t)len);
	free(name);
}

static void put_ssl(struct header *header, const struct tls_conn_info *info)
{
	const bool certified = info->peer_certificate;
	uint8_t client = CLIENT_SSL;
	size_t start;

	if (certified)
		client |= CLIENT_CERT_SESS | (info->resumed ? 0 : CLIENT_CERT_CONN);
	put_u8(header, TYPE_SSL);
	start = open_length(header);
	put_u8(header, client);
	put(header, certified ? "\0\0\0" : "\0\0\0\1", 4);	/* 0: shown, and verified */
	put_text(header, SUBTYPE_SSL_VERSION, info->version == TLS_1_3 ? "TLSv1.3" : "TLSv1.2");
	put_text(header, SUBTYPE_SSL_CIPHER, tls_suite_name(info->suite));
	put_text(header, SUBTYPE_SSL_GROUP, info->group ? tls_group_name(info->group) : NULL);
	if (certified) {
		put_common_name(header, info);
		put_tlv(header, SUBTYPE_SSL_CLIENT_CERT, info->peer_certificate,
			info->peer_certificate_len);
	}
	close_length(header, start);
}

size_t proxy_header(const struct sockaddr_in6 *client, const struct sockaddr_in6 *server,
		    const struct tls_conn_info *info, uint8_t out[PROXY_HEADER_MAX])
{
	const uint8_t family = family_of(client, server);
	struct header header = { .out = out };
	size_t start;

	put(&header, signature, sizeof(signature));
	put_u8(&header, VERSION_2_PROXY);
	put_u8(&header, family);
	start = open_length(&header);
	put_addresses(&header, family, client, server);
	put_text(&header, TYPE_ALPN, info->alpn);
	put_text(&header, TYPE_AUTHORITY, info->server_name);
	put_ssl(&header, info);
	close_length(&header, start);
	return header.full ? 0 : header.len;
}

static void host_text(int family, const struct sockaddr_in6 *addr, char out[INET6_ADDRSTRLEN])
{
	(void)inet_ntop(family, family == AF_INET ? ipv4_of(addr) : &addr->sin6_addr, out, INET6_ADDRSTRLEN);
}

size_t proxy_line(const struct sockaddr_in6 *client, const struct sockaddr_in6 *server,
		  char out[PROXY_LINE_MAX + 1])
{
	const uint8_t code = family_of(client, server);
	const int family = code == TCP_OVER_IPV4 ? AF_INET : AF_INET6;
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

	if (code == UNSPEC)
		return (size_t)snprintf(out, PROXY_LINE_MAX + 1, "PROXY UNKNOWN\r\n");
	host_text(family, client, from);
	host_text(family, server, to);
	return (size_t)snprintf(out, PROXY_LINE_MAX + 1, "PROXY %s %s %s %u %u\r\n",
				family == AF_INET ? "TCP4" : "TCP6", from, to,
				ntohs(client->sin6_port), ntohs(server->sin6_port));
}
