// SPDX-License-Identifier: MIT
/* What numbers of the ABI are called, for people. */
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>

#include "libtlsgate.h"

#define ROWS(table)	(sizeof(table) / sizeof(*(table)))
#define REASON(id, name, text)	[TLSGATE_REASON_##id] = { TLSGATE_REASON_##id, name, text }

/* docs/reasons.md is made from this list; kmod/stats.c counts under the same names. */
static const struct tlsgate_reason_info reasons[] = {
	REASON(NONE, "none", "the session is alive"),
	REASON(FINISHED, "finished", "both sides closed in order, each with close_notify"),
	REASON(LOCAL_CLOSE, "local_close",
	       "the program that held the socket, or the far end of a relay's UNIX socket, closed it"),
	REASON(ADMIN_CLOSE, "admin_close",
	       "an administrator ended the session, which may have been in mid-stream"),
	REASON(ADMIN_RESET, "admin_reset", "an administrator reset the session"),
	REASON(IDLE_TIMEOUT, "idle_timeout",
	       "no byte moved for the relay's idle timeout; raise it if such pauses are normal"),
	REASON(AEAD_LIMIT, "aead_limit",
	       "a TLS 1.2 key reached its limit, and the module's aead_limit_end asks for an end then"),
	REASON(TRUNCATED, "truncated",
	       "the peer's TCP stream ended without close_notify: data may be missing"),
	REASON(PEER_RESET, "peer_reset", "the peer reset the TCP connection, or it timed out"),
	REASON(PEER_ALERT, "peer_alert", "the peer sent a fatal alert: its number says why"),
	REASON(BAD_RECORD_MAC, "bad_record_mac",
	       "a record did not authenticate: damaged or forged on the way, or wrong keys"),
	REASON(RECORD_OVERFLOW, "record_overflow", "the peer sent a record longer than TLS allows"),
	REASON(BAD_RECORD, "bad_record", "the peer sent a malformed record header or content type"),
	REASON(BAD_VERSION, "bad_version",
	       "the peer sent a TLS 1.2 record whose header names another version"),
	REASON(UNEXPECTED_MESSAGE, "unexpected_message",
	       "the peer sent a message that has no place here, such as a renegotiation"),
	REASON(BAD_KEY_UPDATE, "bad_key_update", "the peer sent a malformed KeyUpdate"),
	REASON(KEY_UPDATE_FLOOD, "key_update_flood",
	       "the peer sent too many KeyUpdates in a row, with no data moving either way"),
	REASON(EMPTY_RECORD_FLOOD, "empty_record_flood",
	       "the peer sent too many empty records in a row"),
	REASON(ALERT_FLOOD, "alert_flood", "the peer sent too many warning alerts in a row"),
	REASON(MESSAGE_FLOOD, "message_flood",
	       "the peer sent too many post-handshake messages in a row"),
	REASON(PLAIN_RESET, "plain_reset", "the plain side of the relay reset its connection"),
	REASON(PLAIN_ERROR, "plain_error", "the plain side of the relay failed"),
	REASON(NO_MEMORY, "no_memory", "the kernel ran out of memory"),
	REASON(CRYPTO_ERROR, "crypto_error", "the kernel's cipher failed for a reason of its own"),
	REASON(SEQ_EXHAUSTED, "seq_exhausted", "the record sequence number would have wrapped"),
	REASON(REFUSED_FD, "refused_fd",
	       "no TCP socket (for a relay: no stream socket, or the TLS socket's other end)"),
	REASON(REFUSED_STATE, "refused_state", "the socket is not connected"),
	REASON(REFUSED_ULP, "refused_ulp",
	       "the socket has keys, a ULP or a relay already: use a fresh connection"),
	REASON(REFUSED_NETNS, "refused_netns",
	       "the socket belongs to another network namespace than the caller"),
	REASON(REFUSED_SUITE, "refused_suite",
	       "unknown version or suite, or no crypto module for it: see tlsgate ciphers"),
	REASON(REFUSED_KEYS, "refused_keys", "a key, IV or secret has the wrong length"),
	REASON(REFUSED_LIMIT, "refused_limit",
	       "this network namespace has reached its limit of sessions: raise the module's sessions_max"),
	REASON(REFUSED_USER_LIMIT, "refused_user_limit", "this user has all the relays it may have"),
	REASON(REFUSED_PERM, "refused_perm",
	       "needs CAP_NET_ADMIN, or for installing a group that net.tlsgate.install_group_range names, and net.tlsgate.allow_install on"),
	REASON(REFUSED_BUSY, "refused_busy",
	       "another descriptor, or a call of another thread, has the socket: hand over its only descriptor"),
	REASON(NETNS_END, "netns_end",
	       "the network namespace ended: nothing but relays was left of it"),
	REASON(NOT_DELIVERED, "not_delivered",
	       "no server could take the connection when its descriptor was closed: see that it listens, and its backlog"),
	REASON(LISTENER_CLOSED, "listener_closed",
	       "the server closed its listening socket before it had accepted the connection"),
	REASON(REFUSED_LISTENER, "refused_listener",
	       "the server's listening socket cannot take the connection: the refusal says what of it"),
	REASON(REFUSED_SERVER, "refused_server",
	       "nobody listens at the server's address now, or its backlog is full: try again"),
	[TLSGATE_REASON_MAX + 1] = { TLSGATE_REASON_NONE, NULL, NULL },
};

static const char * const states[] = {
	[TLSGATE_STATE_HANDSHAKING] = "handshaking",
	[TLSGATE_STATE_ESTABLISHED] = "established",
	[TLSGATE_STATE_TX_CLOSED] = "tx-closed",
	[TLSGATE_STATE_RX_CLOSED] = "rx-closed",
	[TLSGATE_STATE_CLOSED] = "closed",
};

static const char * const deliveries[] = {
	[TLSGATE_DELIVERY_WAITING] = "waiting",
	[TLSGATE_DELIVERY_QUEUED] = "queued",
	[TLSGATE_DELIVERY_ACCEPTED] = "delivered",
};

static const char * const roles[] = {
	[TLSGATE_ROLE_CLIENT] = "client",
	[TLSGATE_ROLE_SERVER] = "server",
};

static const char * const events[] = {
	[TLSGATE_CMD_NTF_SESSION_OPENED] = "opened",
	[TLSGATE_CMD_NTF_SESSION_CLOSED] = "closed",
	[TLSGATE_CMD_NTF_REKEYED] = "rekeyed",
	[TLSGATE_CMD_NTF_AUTH_FAILED] = "auth-failed",
	[TLSGATE_CMD_NTF_MESSAGE] = "message",
};

static const char *name_in(const char * const *table, size_t rows, unsigned int row)
{
	return row < rows && table[row] ? table[row] : "unknown";
}

const struct tlsgate_reason_info *tlsgate_reasons(void)
{
	return reasons;
}

const char *tlsgate_reason_name(uint16_t reason)
{
	return reason <= TLSGATE_REASON_MAX ? reasons[reason].name : "unknown";
}

const char *tlsgate_reason_text(uint16_t reason)
{
	return reason <= TLSGATE_REASON_MAX ? reasons[reason].text :
	       "a reason that this program is too old to know";
}

const char *tlsgate_state_name(uint8_t state)
{
	return name_in(states, ROWS(states), state);
}

const char *tlsgate_delivery_name(uint8_t delivery)
{
	return name_in(deliveries, ROWS(deliveries), delivery);
}

const char *tlsgate_role_name(uint8_t role)
{
	return name_in(roles, ROWS(roles), role);
}

const char *tlsgate_event_name(enum tlsgate_cmd kind)
{
	return name_in(events, ROWS(events), kind);
}

const char *tlsgate_version_name(uint16_t version)
{
	return version == TLSGATE_TLS_1_3 ? "TLS 1.3" :
	       version == TLSGATE_TLS_1_2 ? "TLS 1.2" : "unknown";
}

static char *put_byte(char *p, unsigned char c)
{
	if (c >= 0x20 && c < 0x7f && c != '\\')
		*p++ = (char)c;
	else
		p += snprintf(p, sizeof("\\xff"), "\\x%02x", c);
	return p;
}

/*
 * An abstract name starts with a NUL, written as @ everywhere, and may have more.
 * Whoever bound the socket chose the bytes: none of them moves a terminal's cursor.
 */
static void unix_text(const struct tlsgate_address *address, char *text)
{
	int len = (int)address->len - (int)offsetof(struct sockaddr_un, sun_path);
	const char *path = address->un.sun_path;
	char *p = text + snprintf(text, TLSGATE_ADDRESS_TEXT_MAX, "unix:");
	bool abstract = len > 0 && !path[0];
	int i = abstract;

	if (abstract)
		*p++ = '@';
	for (; i < len && (path[i] || abstract); i++)
		p = put_byte(p, (unsigned char)path[i]);
	*p = 0;
}

/* An IPv4 peer of an IPv6 socket is shown as what it is. */
static void inet6_text(const struct tlsgate_address *address, char *text)
{
	const struct in6_addr *ip = &address->in6.sin6_addr;
	unsigned int port = ntohs(address->in6.sin6_port);
	char host[INET6_ADDRSTRLEN] = "?";

	if (IN6_IS_ADDR_V4MAPPED(ip)) {
		inet_ntop(AF_INET, &ip->s6_addr[12], host, sizeof(host));
		snprintf(text, TLSGATE_ADDRESS_TEXT_MAX, "%s:%u", host, port);
	} else {
		inet_ntop(AF_INET6, ip, host, sizeof(host));
		snprintf(text, TLSGATE_ADDRESS_TEXT_MAX, "[%s]:%u", host, port);
	}
}

const char *tlsgate_address_text(const struct tlsgate_address *address,
				 char text[TLSGATE_ADDRESS_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (address->len >= sizeof(address->in) && address->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address->in.sin_addr, host, sizeof(host));
		snprintf(text, TLSGATE_ADDRESS_TEXT_MAX, "%s:%u", host,
			 ntohs(address->in.sin_port));
	} else if (address->len >= sizeof(address->in6) && address->sa.sa_family == AF_INET6) {
		inet6_text(address, text);
	} else if (address->len >= sizeof(sa_family_t) && address->sa.sa_family == AF_UNIX) {
		unix_text(address, text);
	} else {
		snprintf(text, TLSGATE_ADDRESS_TEXT_MAX, "-");
	}
	return text;
}
