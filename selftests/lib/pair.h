/* SPDX-License-Identifier: MIT */
/*
 * One TLS connection over loopback: a kernel session at one end, a plain TCP
 * socket on which the test reads and writes records of the reference at the
 * other.
 */
#ifndef TLSGATE_SELFTESTS_PAIR_H
#define TLSGATE_SELFTESTS_PAIR_H

#include "net.h"
#include "ref.h"
#include "tg.h"

/* What peer_recv() gives instead of a length. */
enum peer_result {
	PEER_EOF = -1,		/* FIN at a record boundary */
	PEER_RESET = -2,	/* RST */
	PEER_TIMEOUT = -3,
	PEER_BAD = -4,		/* does not open, or ends within a record */
};

/* The reference's end. */
struct peer {
	int fd;
	struct ref_keys tx, rx;
	size_t last_extra;	/* type and padding of the record received last */
	uint8_t last[2];	/* its first bytes: of an alert, all */
	uint8_t record[REF_RECORD_MAX];
};

struct pair {
	const struct ref_suite *suite;
	int family;
	struct tg *tg;
	int fd;			/* the kernel session's socket */
	uint32_t id;
	struct ref_keys tx, rx;	/* as installed: tx is peer.rx */
	struct peer peer;
};

/* Connected, keys made, nothing installed.  False: no family, or no loopback. */
bool pair_connect(struct pair *p, uint16_t version, uint16_t suite, int family);
/* The same by IPv4, with little room on the way: a record is more than TCP takes at once. */
bool pair_connect_narrow(struct pair *p, uint16_t version, uint16_t suite);
/* SESSION_NEW with nothing optional; 0 or negative errno. */
int pair_install(struct pair *p);
/* The same with a label. */
int pair_install_as(struct pair *p, const void *label, size_t len);
/* pair_connect() and pair_install(). */
bool pair_start(struct pair *p, uint16_t version, uint16_t suite, int family);
void pair_free(struct pair *p);
/* pair_free(), and pair_start() with the same version, suite and family. */
bool pair_again(struct pair *p);
/* Fresh keys for both ends. */
void pair_keys(struct pair *p, const struct ref_suite *suite);
/* SESSION_NEW that makes a relay with this plain socket; 0 or negative errno. */
int pair_join(struct pair *p, int plain);
/* Joins the session with a plain socket of which the other end is returned, -1 on failure. */
int pair_relay(struct pair *p, int plain_family, int idle_timeout);
/* The same, and then closes p->fd: only the relay holds it. */
int pair_relay_alone(struct pair *p, int plain_family, int idle_timeout);
/* True if there is no session of its id; for net_until(). */
bool pair_gone(void *pair);

/* The commands that take sockets; p is installed before PAIR_RELAY. */
enum pair_command { PAIR_KEYS, PAIR_KEYS_AND_RELAY, PAIR_RELAY };
int pair_give(struct pair *p, enum pair_command command, int plain);

/* One record, sealed and sent whole; 0 or -1. */
int peer_send(struct peer *peer, uint8_t type, const void *data, size_t len);
int peer_send_padded(struct peer *peer, uint8_t type, const void *data, size_t len, size_t pad);
/* Content of any size in records of at most 16384 bytes. */
int peer_send_data(struct peer *peer, const void *data, size_t len);
int peer_alert(struct peer *peer, uint8_t level, uint8_t description);
/* update_requested: 0 or 1; ratchets tx after it. */
int peer_key_update(struct peer *peer, uint8_t request);

/* Content length of the next record, or enum peer_result; data holds cap bytes. */
ssize_t peer_recv(struct peer *peer, uint8_t *type, void *data, size_t cap);
/* Exactly len bytes of application data, whatever the records. */
bool peer_recv_data(struct peer *peer, void *data, size_t len);
/* True if the next record is this alert. */
bool peer_expect_alert(struct peer *peer, uint8_t description);
/* True if it is close_notify and nothing follows but FIN. */
bool peer_expect_end(struct peer *peer);
/* What ends the connection once every record still to come has been thrown away. */
int peer_drain(struct peer *peer);

#define TLS_CLOSE_NOTIFY	0
#define TLS_UNEXPECTED_MESSAGE	10
#define TLS_BAD_RECORD_MAC	20
#define TLS_RECORD_OVERFLOW	22
#define TLS_HANDSHAKE_FAILURE	40
#define TLS_ILLEGAL_PARAMETER	47
#define TLS_DECODE_ERROR	50
#define TLS_PROTOCOL_VERSION	70
#define TLS_INTERNAL_ERROR	80
#define TLS_USER_CANCELED	90
#define TLS_NO_RENEGOTIATION	100

/*
 * The variants that every theme runs over.  Use where FIXTURE_VARIANT has the
 * members version, suite, family.
 */
#define PAIR_VARIANTS(fixture)							\
	PAIR_VARIANT(fixture, v12_aes128, 0x0303, 0xc02f, AF_INET)		\
	PAIR_VARIANT(fixture, v12_aes256, 0x0303, 0xc030, AF_INET)		\
	PAIR_VARIANT(fixture, v12_chacha, 0x0303, 0xcca8, AF_INET6)		\
	PAIR_VARIANTS_13(fixture)
#define PAIR_VARIANTS_13(fixture)						\
	PAIR_VARIANT(fixture, v13_aes128, 0x0304, 0x1301, AF_INET)		\
	PAIR_VARIANT(fixture, v13_aes256, 0x0304, 0x1302, AF_INET6)		\
	PAIR_VARIANT(fixture, v13_chacha, 0x0304, 0x1303, AF_INET)
#define PAIR_VARIANT(fixture, name, v, s, f)					\
	FIXTURE_VARIANT_ADD(fixture, name) { .version = v, .suite = s, .family = f };

#endif
