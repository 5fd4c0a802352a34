/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * tlsgate: generic netlink ABI between the tlsgate module and userspace.
 *
 * Family "tlsgate", version 3, multicast group "events".  kmod/tlsgate.yaml
 * describes the same in the kernel's netlink spec format; a test holds both
 * together.  The version goes up with each change that an older program or
 * module would not understand, such as an attribute; libtlsgate refuses a
 * module of another version.  All integers are in host byte order.  Every refusal carries an
 * extended ack naming the attribute and a sentence saying what to do.
 *
 * Who may call.  A netlink socket "may install" if who opened it had
 * CAP_NET_ADMIN in the user namespace that owns the network namespace, or is
 * in the groups of the sysctl net.tlsgate.install_group_range (a first and a
 * last group id, empty by default; egid and supplementary groups count).  It
 * may be passed on: who sends on it needs no privilege.
 *
 *	SESSION_NEW, RELAY_NEW	need a netlink socket that may install
 *	by FD, CIPHER_GET	the same, or a sender with CAP_NET_ADMIN; the
 *				holder of a keyed socket who has neither uses it
 *				by system calls only
 *	by ID, dumps, events,	need a sender with CAP_NET_ADMIN in the user
 *	DELIVER_NEW		namespace that owns the network namespace
 *
 * All others get EPERM before any attribute is parsed.  In a network namespace
 * that the initial user namespace does not own nobody may install, and only
 * who has CAP_NET_ADMIN in the initial user namespace may do the rest but for
 * events, until the latter has set net.tlsgate.allow_install there to 1.
 *
 * All is per network namespace: the caller's and the socket's must be the same.
 * Ids are unique on the machine.  Who sends with CAP_NET_ADMIN in the initial
 * user namespace reaches every session by ID and lists those of all namespaces;
 * for others an id of another namespace does not exist.
 *
 * Commands and their attributes (! required, ? optional, | one of)
 *
 * SESSION_NEW   do: install keys on a connected TCP socket; one call makes it
 *               a TLS socket, and with RELAY_FD joins it, in one step: on error
 *               both sockets are as before.  EBUSY unless the caller's process
 *               has the only descriptor of each, and nobody is in a call on it:
 *               dup(), a forked child, a descriptor on its way in a UNIX socket,
 *               and a call of another thread, poll() and select() included, are
 *               in the way; epoll is not.  A call that another thread begins
 *               meanwhile is EBUSY, or makes this EBUSY: no window is left in
 *               which a byte could pass without keys.  After SESSION_NEW
 *               descriptors of a keyed socket may be duplicated and passed on.
 *   request:
 *     TLSGATE_A_FD            ! u32  a TCP socket, ESTABLISHED or CLOSE_WAIT
 *     TLSGATE_A_VERSION       ! u16  TLSGATE_TLS_1_2 | TLSGATE_TLS_1_3
 *     TLSGATE_A_SUITE         ! u16  IANA cipher suite number
 *     TLSGATE_A_ROLE          ! u8   enum tlsgate_role
 *     TLSGATE_A_TX            ! nest enum tlsgate_keys_attr, what we seal with
 *     TLSGATE_A_RX            ! nest enum tlsgate_keys_attr, what we open with
 *     TLSGATE_A_RX_PENDING    ? binary <= TLSGATE_RX_PENDING_MAX: TLS records
 *                                    already read from the socket but not
 *                                    consumed; opened before what the socket
 *                                    still holds
 *     TLSGATE_A_RELAY_FD      | u32  join with this plain socket, see RELAY_NEW
 *     TLSGATE_A_DELIVER_FD    | u32  deliver by this handle, see DELIVER_NEW
 *     TLSGATE_A_IDLE_TIMEOUT  ? u32  ms, relay only; 0 = none
 *     TLSGATE_A_RECORD_SIZE   ? u16  see SESSION_SET
 *     TLSGATE_A_PADDING       ? u16  see SESSION_SET
 *     TLSGATE_A_LABEL         ? binary <= TLSGATE_LABEL_MAX: whatever the
 *                                    caller calls the session by, such as the
 *                                    gate's name; reported as it is
 *   reply:
 *     TLSGATE_A_ID              u32  never 0
 *
 * SESSION_GET   do (ID | FD), dump: the whole of enum tlsgate_attr that says
 *               "reported" below.  Never a key, an IV or a secret.
 *   dump request:
 *     TLSGATE_A_NETNS         ? u32  whose sessions: a namespace's inode number,
 *                                    0 = all; the caller's own if absent
 *
 * SESSION_SET   do: (ID | FD) and any of
 *     TLSGATE_A_RECORD_SIZE   ? u16  most plaintext bytes in a record we seal,
 *                                    content type not counted; 63..16384,
 *                                    0 = 16384 (RFC 8449's least is 64, of
 *                                    which TLS 1.3 takes one for the type)
 *     TLSGATE_A_PADDING       ? u16  pad TLS 1.3 records until data and padding
 *                                    are a multiple of this many bytes, as far
 *                                    as RECORD_SIZE allows; 0 = none; <= 4096
 *     TLSGATE_A_IDLE_TIMEOUT  ? u32  ms, relay only; 0 = none
 *
 * SESSION_REKEY do: (ID | FD).  Sends KeyUpdate and ratchets the send key
 *               (TLS 1.3 only, RFC 9846 section 4.7.3).
 *
 * SESSION_DEL   do: (ID | FD)
 *     TLSGATE_A_HOW           ? u8   enum tlsgate_close_how; 0 if absent
 *
 *               SESSION_SET, _REKEY and, without a relay, _DEL are EBUSY if a
 *               call holds the socket's lock for long: try again.  With a relay
 *               _DEL is an order that is carried out once such a call returns.
 *
 * RELAY_NEW     do: joins an established session with a plain stream socket.
 *               Data moves in the kernel from then on; the relay holds both
 *               sockets itself and outlives the fds and the process.  They are
 *               its own: a descriptor of either can be closed, and other calls
 *               on it are EBUSY, after the relay's end, too;
 *               docs/socket-api.md lists the few exceptions.  EBUSY as for
 *               SESSION_NEW: the caller's process must have the only
 *               descriptor of both sockets; and while either has a filter
 *               (SO_ATTACH_FILTER), which could cut the stream's tail off.  A
 *               relay does not keep its network namespace: when nobody else
 *               does, it ends (NETNS_END).  Plain bytes that arrive in a
 *               device's memory (devmem TCP) cannot be sealed: the relay ends
 *               (PLAIN_RESET).
 *     TLSGATE_A_FD            ! u32  the session's socket
 *     TLSGATE_A_RELAY_FD      ! u32  connected TCP or UNIX stream socket, not
 *                                    the other end of the TLS connection
 *     TLSGATE_A_IDLE_TIMEOUT  ? u32  ms; 0 = none
 *
 * DELIVER_NEW   do: makes a delivery handle, a descriptor of the caller's that
 *               SESSION_NEW takes as DELIVER_FD.  The keyed socket then goes
 *               into the accept queue of the TCP socket that listens at SERVER,
 *               whose program accepts a connection from the TLS peer's address
 *               to the gate's, and reads and writes plaintext.  The handle does
 *               not hold SERVER's socket, which may come and go.  Whoever has
 *               the handle may deliver, without any privilege but SESSION_NEW's;
 *               it ends when its last copy is closed.  It holds the module.
 *     TLSGATE_A_LOCAL         ! binary struct sockaddr_in or sockaddr_in6: where
 *                                    the TLS sockets are accepted; 0.0.0.0 for
 *                                    any IPv4 address, :: for any
 *     TLSGATE_A_SERVER        ! binary the same: where the server listens, an
 *                                    address of this network namespace
 *   reply:
 *     TLSGATE_A_DELIVER_FD      u32  close-on-exec
 *
 *               SESSION_NEW with DELIVER_FD takes a socket that was accepted at
 *               LOCAL, with role server, and leaves it as a relay's: it can be
 *               closed, and nothing else.  The close of its last descriptor
 *               delivers it; what cannot be delivered then is reset
 *               (NOT_DELIVERED).  DELIVERY tells how far it is.  SESSION_SET,
 *               _REKEY and _DEL by ID are EINPROGRESS until it is accepted.
 *               Refused before any key is in, with what the extended ack says:
 *
 *		REFUSED_LISTENER	what is configured: EADDRNOTAVAIL: SERVER is
 *					no address of this namespace;
 *					ESOCKTNOSUPPORT, which no other refusal has:
 *					the listening socket is of another address
 *					family, the kernel's own, bound to a device,
 *					has a filter, TCP-MD5 or TCP-AO keys, an
 *					IPsec policy, or time stamps on
 *		REFUSED_SERVER		what may be otherwise soon: ECONNREFUSED:
 *					nobody listens; EAGAIN: the backlog is full
 *		REFUSED_PERM		EACCES: role client, or not accepted at LOCAL
 *		REFUSED_NETNS		EXDEV: a handle of another namespace
 *		REFUSED_ULP		EBUSY: the TLS socket has a filter or time
 *					stamps on, or has sent by MSG_ZEROCOPY, or
 *					with time stamps, what is not acknowledged
 *
 * CIPHER_GET    dump: one message per (VERSION, SUITE)
 *     TLSGATE_A_VERSION, TLSGATE_A_SUITE, TLSGATE_A_CIPHER_NAME (string, IANA),
 *     TLSGATE_A_KEY_LEN u8, TLSGATE_A_IV_LEN u8 (bytes wanted in KEYS_A_IV),
 *     TLSGATE_A_TAG_LEN u8, TLSGATE_A_SECRET_LEN u8 (0 for TLS 1.2),
 *     TLSGATE_A_DRIVER (string, the crypto driver that serves it; absent when
 *     the kernel has none, and then SESSION_NEW refuses the suite)
 *
 * Events (multicast group "events"), each with TLSGATE_A_ID and what is named:
 *     NTF_SESSION_OPENED   as SESSION_GET
 *     NTF_SESSION_CLOSED   as SESSION_GET, REASON says why
 *     NTF_REKEYED          TX_EPOCH, RX_EPOCH
 *     NTF_AUTH_FAILED      RX_RECORDS: number of the record that failed
 *     NTF_MESSAGE          MESSAGE: a post-handshake message (e.g. a
 *                          NewSessionTicket), handshake header included
 *   A listener's next read is ENOBUFS after one was lost, for want of room in
 *   its socket or of memory: it lists the sessions anew.
 */
#ifndef _UAPI_LINUX_TLSGATE_H
#define _UAPI_LINUX_TLSGATE_H

#define TLSGATE_GENL_NAME	"tlsgate"
#define TLSGATE_GENL_VERSION	3
#define TLSGATE_MCGRP_EVENTS	"events"

#define TLSGATE_TLS_1_2		0x0303
#define TLSGATE_TLS_1_3		0x0304

#define TLSGATE_KEY_MAX		32	/* bytes, AES-256 and ChaCha20 */
#define TLSGATE_IV_MAX		12	/* bytes */
#define TLSGATE_SECRET_MAX	48	/* bytes, SHA-384 */
#define TLSGATE_RX_PENDING_MAX	32768	/* bytes */
#define TLSGATE_RECORD_SIZE_MIN	63
#define TLSGATE_RECORD_SIZE_MAX	16384
#define TLSGATE_PADDING_MAX	4096
#define TLSGATE_IDLE_TIMEOUT_MAX	(24 * 3600 * 1000)	/* ms */
#define TLSGATE_LABEL_MAX	64	/* bytes */
#define TLSGATE_MESSAGE_MAX	4096	/* bytes of one post-handshake message */

enum tlsgate_cmd {
	TLSGATE_CMD_UNSPEC,
	TLSGATE_CMD_SESSION_NEW,
	TLSGATE_CMD_SESSION_GET,
	TLSGATE_CMD_SESSION_SET,
	TLSGATE_CMD_SESSION_REKEY,
	TLSGATE_CMD_SESSION_DEL,
	TLSGATE_CMD_RELAY_NEW,
	TLSGATE_CMD_DELIVER_NEW,
	TLSGATE_CMD_CIPHER_GET,
	TLSGATE_CMD_NTF_SESSION_OPENED,
	TLSGATE_CMD_NTF_SESSION_CLOSED,
	TLSGATE_CMD_NTF_REKEYED,
	TLSGATE_CMD_NTF_AUTH_FAILED,
	TLSGATE_CMD_NTF_MESSAGE,

	__TLSGATE_CMD_MAX,
	TLSGATE_CMD_MAX = __TLSGATE_CMD_MAX - 1,
};

enum tlsgate_attr {
	TLSGATE_A_UNSPEC,
	TLSGATE_A_PAD,		/* alignment of 64-bit attributes */
	TLSGATE_A_ID,		/* u32, reported */
	TLSGATE_A_FD,		/* u32 */
	TLSGATE_A_VERSION,	/* u16, reported */
	TLSGATE_A_SUITE,	/* u16, reported */
	TLSGATE_A_ROLE,		/* u8, enum tlsgate_role, reported */
	TLSGATE_A_TX,		/* nest, enum tlsgate_keys_attr */
	TLSGATE_A_RX,		/* nest, enum tlsgate_keys_attr */
	TLSGATE_A_RX_PENDING,	/* binary */
	TLSGATE_A_RELAY_FD,	/* u32 */
	TLSGATE_A_IDLE_TIMEOUT,	/* u32 ms, reported */
	TLSGATE_A_RECORD_SIZE,	/* u16, reported */
	TLSGATE_A_PADDING,	/* u16, reported */
	TLSGATE_A_HOW,		/* u8, enum tlsgate_close_how */
	TLSGATE_A_STATE,	/* u8, enum tlsgate_state, reported */
	TLSGATE_A_REASON,	/* u16, enum tlsgate_reason, reported */
	TLSGATE_A_ALERT,	/* u8, last alert sent or received, reported if any */
	TLSGATE_A_LOCAL,	/* binary, struct sockaddr_in or sockaddr_in6, reported */
	TLSGATE_A_PEER,		/* the same, the TLS peer, reported */
	TLSGATE_A_RELAY_LOCAL,	/* as LOCAL, plain socket (or sockaddr_un), reported */
	TLSGATE_A_RELAY_PEER,	/* as PEER, plain socket (or sockaddr_un), reported */
	TLSGATE_A_TX_BYTES,	/* u64 plaintext bytes sealed, reported */
	TLSGATE_A_RX_BYTES,	/* u64 plaintext bytes opened, reported */
	TLSGATE_A_TX_RECORDS,	/* u64 records sealed since install, reported */
	TLSGATE_A_RX_RECORDS,	/* u64 records opened since install, reported */
	TLSGATE_A_TX_EPOCH,	/* u32 times the send key was ratcheted, reported */
	TLSGATE_A_RX_EPOCH,	/* u32 times the receive key was ratcheted, reported */
	TLSGATE_A_AGE,		/* u64 ms since install, reported */
	TLSGATE_A_IDLE,		/* u64 ms since a byte moved, reported */
	TLSGATE_A_UID,		/* u32 who installed it, reported */
	TLSGATE_A_COOKIE,	/* u64 socket cookie as in sock_diag, reported */
	TLSGATE_A_CIPHER_NAME,	/* string */
	TLSGATE_A_DRIVER,	/* string */
	TLSGATE_A_KEY_LEN,	/* u8 */
	TLSGATE_A_IV_LEN,	/* u8 */
	TLSGATE_A_TAG_LEN,	/* u8 */
	TLSGATE_A_SECRET_LEN,	/* u8 */
	TLSGATE_A_MESSAGE,	/* binary */
	TLSGATE_A_NETNS,	/* u32 inode number of the network namespace, reported */
	TLSGATE_A_TX_PAST_LIMIT, /* u8, 1: a TLS 1.2 key sealed more than its limit, reported */
	TLSGATE_A_LABEL,	/* binary, as installed; empty if none was; reported */
	TLSGATE_A_DELIVER_FD,	/* u32 */
	TLSGATE_A_SERVER,	/* binary, as LOCAL, reported of a delivery */
	TLSGATE_A_DELIVERY,	/* u8, enum tlsgate_delivery, reported of a delivery */

	__TLSGATE_A_MAX,
	TLSGATE_A_MAX = __TLSGATE_A_MAX - 1,
};

/*
 * One direction's keys.  IV is the whole static IV (12 bytes) for TLS 1.3 and
 * for ChaCha20-Poly1305, and the 4-byte salt for AES-GCM in TLS 1.2 (RFC 5288;
 * the explicit nonce is the record sequence number).  SECRET is the TLS 1.3
 * traffic secret of the current epoch and absent in TLS 1.2.  SEQ is the
 * sequence number of the next record in this direction.
 */
enum tlsgate_keys_attr {
	TLSGATE_KEYS_A_UNSPEC,
	TLSGATE_KEYS_A_PAD,
	TLSGATE_KEYS_A_KEY,	/* binary, exact length */
	TLSGATE_KEYS_A_IV,	/* binary, exact length */
	TLSGATE_KEYS_A_SEQ,	/* u64 */
	TLSGATE_KEYS_A_SECRET,	/* binary, exact length */

	__TLSGATE_KEYS_A_MAX,
	TLSGATE_KEYS_A_MAX = __TLSGATE_KEYS_A_MAX - 1,
};

enum tlsgate_role {
	TLSGATE_ROLE_CLIENT,
	TLSGATE_ROLE_SERVER,
};

enum tlsgate_close_how {
	TLSGATE_CLOSE_ALERT,	/* fatal internal_error alert, a reset on the plain side */
	TLSGATE_CLOSE_RESET,	/* RST at once */
};

enum tlsgate_state {
	TLSGATE_STATE_HANDSHAKING,	/* reserved: no keys yet */
	TLSGATE_STATE_ESTABLISHED,
	TLSGATE_STATE_TX_CLOSED,	/* we sent close_notify */
	TLSGATE_STATE_RX_CLOSED,	/* the peer sent close_notify */
	TLSGATE_STATE_CLOSED,		/* both, or failed: see REASON */
};

/* How far a delivered session is. */
enum tlsgate_delivery {
	TLSGATE_DELIVERY_WAITING,	/* for its descriptor to be closed */
	TLSGATE_DELIVERY_QUEUED,	/* for the server to accept it */
	TLSGATE_DELIVERY_ACCEPTED,
};

/* Why a session ended, or an offload was refused.  docs/reasons.md explains each. */
enum tlsgate_reason {
	TLSGATE_REASON_NONE,
	/* in order */
	TLSGATE_REASON_FINISHED,		/* close_notify both ways */
	TLSGATE_REASON_LOCAL_CLOSE,		/* holder, or a relay's UNIX far end */
	/* an order's, or a limit's */
	TLSGATE_REASON_ADMIN_CLOSE,		/* SESSION_DEL, fatal alert */
	TLSGATE_REASON_ADMIN_RESET,		/* SESSION_DEL, reset */
	TLSGATE_REASON_IDLE_TIMEOUT,
	TLSGATE_REASON_AEAD_LIMIT,		/* TLS 1.2 usage limit, with aead_limit_end */
	/* the peer's doing */
	TLSGATE_REASON_TRUNCATED,		/* FIN without close_notify */
	TLSGATE_REASON_PEER_RESET,		/* RST, or TCP timed out */
	TLSGATE_REASON_PEER_ALERT,		/* fatal alert received */
	TLSGATE_REASON_BAD_RECORD_MAC,
	TLSGATE_REASON_RECORD_OVERFLOW,
	TLSGATE_REASON_BAD_RECORD,		/* header or inner type malformed */
	TLSGATE_REASON_BAD_VERSION,		/* of a TLS 1.2 record's header */
	TLSGATE_REASON_UNEXPECTED_MESSAGE,
	TLSGATE_REASON_BAD_KEY_UPDATE,
	TLSGATE_REASON_KEY_UPDATE_FLOOD,
	TLSGATE_REASON_EMPTY_RECORD_FLOOD,
	TLSGATE_REASON_ALERT_FLOOD,
	TLSGATE_REASON_MESSAGE_FLOOD,		/* post-handshake messages */
	/* the plain side's doing */
	TLSGATE_REASON_PLAIN_RESET,
	TLSGATE_REASON_PLAIN_ERROR,
	/* ours */
	TLSGATE_REASON_NO_MEMORY,
	TLSGATE_REASON_CRYPTO_ERROR,
	TLSGATE_REASON_SEQ_EXHAUSTED,
	/* why SESSION_NEW or RELAY_NEW refused */
	TLSGATE_REASON_REFUSED_FD,		/* no socket, not TCP, listening... */
	TLSGATE_REASON_REFUSED_STATE,		/* not connected */
	TLSGATE_REASON_REFUSED_ULP,		/* has a ULP or is in use already */
	TLSGATE_REASON_REFUSED_NETNS,
	TLSGATE_REASON_REFUSED_SUITE,		/* unknown, or no crypto driver */
	TLSGATE_REASON_REFUSED_KEYS,		/* lengths wrong */
	TLSGATE_REASON_REFUSED_LIMIT,		/* sessions per namespace */
	TLSGATE_REASON_REFUSED_USER_LIMIT,	/* relays per user */
	TLSGATE_REASON_REFUSED_PERM,
	TLSGATE_REASON_REFUSED_BUSY,		/* somebody else has the socket */
	TLSGATE_REASON_NETNS_END,		/* ended: nobody but relays held the namespace */
	TLSGATE_REASON_NOT_DELIVERED,		/* ended: no server at the close */
	TLSGATE_REASON_LISTENER_CLOSED,		/* ended: the server did not accept it */
	TLSGATE_REASON_REFUSED_LISTENER,	/* the server's socket cannot take it */
	TLSGATE_REASON_REFUSED_SERVER,		/* nobody listens now, or the backlog is full */

	__TLSGATE_REASON_MAX,
	TLSGATE_REASON_MAX = __TLSGATE_REASON_MAX - 1,
};

#endif /* _UAPI_LINUX_TLSGATE_H */
