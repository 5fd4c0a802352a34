/* SPDX-License-Identifier: MIT */
/*
 * Reads what a ClientHello, a ServerHello and the messages after it say, to
 * show it.  Nothing is decided by what is read here: the engine has its own,
 * strict decoders.  What does not parse is left out.
 */
#ifndef TLSGATE_CTL_HANDSHAKE_DECODE_H
#define TLSGATE_CTL_HANDSHAKE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HELLO_MAX_LIST	64
#define HELLO_MAX_NAME	256

struct hello_list {
	uint16_t items[HELLO_MAX_LIST];
	size_t count;
};

struct hello_share {
	uint16_t group;
	size_t len;
};

/* Either hello; a ServerHello has one suite, one version and at most one share. */
struct hello {
	bool present;
	uint16_t legacy_version;
	uint8_t random[32];
	struct hello_list suites, versions, groups, schemes, extensions;
	struct hello_share shares[4];
	size_t share_count;
	char server_name[HELLO_MAX_NAME], alpn[HELLO_MAX_NAME];
	bool is_retry;			/* HelloRetryRequest */
};

/* data: the message with its four header bytes. */
void hello_read_client(struct hello *hello, const uint8_t *data, size_t len);
void hello_read_server(struct hello *hello, const uint8_t *data, size_t len);

/* TLS 1.2 ServerKeyExchange with ECDHE: group and bytes of the share. */
bool kex12_read_server(struct hello_share *share, const uint8_t *data, size_t len);

#endif
