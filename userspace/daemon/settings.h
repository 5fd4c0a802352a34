/* SPDX-License-Identifier: MIT */
/*
 * What the operator asked for, as text and numbers, checked for form only.
 * The command line (options.c) and the configuration file (config.c) both
 * fill it through the one table in setting_table.c, so that they cannot differ.
 */
#ifndef TLSGATE_DAEMON_SETTINGS_H
#define TLSGATE_DAEMON_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/log.h"
#include "daemon/starttls/starttls.h"

#define SETTINGS_MAX_WORKERS	256
#define SETTINGS_MAX_GATES	256
#define SETTINGS_MAX_LISTENS	1024	/* of all gates */
#define SETTINGS_MAX_NAME	64	/* bytes of a gate's name */
#define SETTINGS_MAX_BLOCKS	256	/* of one gate */
#define SETTINGS_MAX_ROWS	96	/* of the table */
#define SETTINGS_MAX_BACKENDS	256	/* of one gate or block */
#define SETTINGS_MAX_WEIGHT	256	/* of a backend */
#define SETTINGS_WHY_MAX	256
#define CHECK_BY_COUNT		UINT32_MAX	/* of backends: pool.c says how often */

enum gate_mode {
	GATE_SERVE = 1,			/* TLS from the client, plain to the backend */
	GATE_CONNECT = 2,		/* plain from the client, TLS to the backend */
	GATE_ROUTE = 256,		/* a block of one of mode serve: some clients go elsewhere */
	GATE_PASS = 512,		/* likewise: ... and their TLS is somebody else's */
};

enum data_path {
	DATA_PATH_AUTO,			/* the kernel where the module is and it pays, else user */
	DATA_PATH_KERNEL,
	DATA_PATH_USER,
};

enum proxy_protocol {
	PROXY_NO,			/* the default */
	PROXY_VERSION_1,
	PROXY_VERSION_2,
};

enum deliver {
	DELIVER_NO,			/* the default: a relay connects to the backend */
	DELIVER_AUTO,			/* into the server's accept queue, if it can take connections */
	DELIVER_ALWAYS,			/* or not at all */
};

enum unknown_name {
	UNKNOWN_NAME_DEFAULT,		/* as a client that asks for none; the default */
	UNKNOWN_NAME_REFUSE,
};

enum crl_expired {
	CRL_EXPIRED_REFUSE,		/* the default */
	CRL_EXPIRED_WARN,
};

enum log_format {
	LOG_FORMAT_TEXT,		/* key=value */
	LOG_FORMAT_JSON,
};

enum verify_client {
	VERIFY_CLIENT_REQUIRE,		/* the default with a client CA */
	VERIFY_CLIENT_REQUEST,
};

/* Where in the file something stands, counted from 1; all zero: on the command line. */
struct position {
	unsigned int line, column;
};

struct text_list {
	char **items;
	struct position *places;		/* of items */
	size_t count;
};

/* Where to connect.  The addresses are without their weights: weights[i] is that of items[i]. */
struct backend_list {
	struct text_list list;
	uint32_t *weights;
};

/* Which backend of several takes a connection. */
enum balance {
	BALANCE_ROUND_ROBIN,
	BALANCE_LEAST,			/* the one with the fewest connections */
	BALANCE_HASH,			/* always the same for a client's address */
};

/* Whether a setting was given, and where. */
struct given {
	bool yes;
	struct position place;
};

struct settings;

/* Of a gate; or of a block within one, which has of these what its comments and the table's scopes say. */
struct gate_settings {
	char *name;			/* for messages; of a block: the clients that it is for */
	char *of;			/* a block: the gate's name; else NULL */
	struct gate_settings *blocks;	/* serve: in the file's order */
	size_t block_count;
	struct settings *all;		/* it is one gate of */
	struct position place;		/* of the gate's name */
	struct given given[SETTINGS_MAX_ROWS];	/* by the table's rows */
	enum gate_mode mode;
	struct text_list listen;
	struct backend_list backend;
	struct text_list certs, keys;	/* files, in pairs */
	struct text_list cert_dirs;	/* folders of such, serve */
	struct text_list ticket_keys;	/* files, serve */
	struct text_list bound;		/* NAME=VALUE of each row that is SETTING_BOUND, as given */
	struct text_list ocsp;		/* files; each says which certificate it is about */
	char *ca, *client_ca;		/* files; NULL: the system's store / none */
	enum verify_client verify_client;
	enum unknown_name unknown_name;	/* serve */
	struct text_list allow_client;	/* rules of tls_config_allow_client() */
	struct text_list crls;		/* files */
	enum crl_expired crl_expired;
	struct text_list accept_proxy;	/* serve: networks of proxies that say who the client is */
	enum proxy_protocol proxy_protocol;	/* serve: tell the backend whom it serves */
	enum starttls_protocol starttls;	/* what is spoken before TLS */
	enum deliver deliver;		/* serve */
	bool request_ocsp;		/* connect: want to see that the server's is good */
	bool legacy_server;		/* connect: one without renegotiation_info will do */
	char *server_name;		/* NULL: the host part of each backend */
	uint16_t min_version, max_version;	/* TLS_1_2...; 0: the engine's default */
	char *suites, *groups, *alpn;	/* lists as given; NULL: the engine's default */
	int pq;				/* enum tls_pq */
	enum data_path data_path;
	uint32_t max_connections, max_per_address;	/* 0: no limit */
	uint32_t handshake_rate;	/* a second, of one address; 0: no limit */
	uint32_t max_message;		/* bytes of a handshake message; 0: the engine's default */
	uint32_t handshake_timeout, connect_timeout, idle_timeout;	/* ms; 0: none */
	uint32_t resolve_interval;	/* ms; 0: never again, once it is known */
	int balance;			/* enum balance */
	uint32_t check;			/* ms between two of a backend; 0: never; or CHECK_BY_COUNT */
	uint32_t keepalive, keepalive_interval;	/* s; 0: none */
	uint32_t keepalive_probes;	/* 0: as the system has it */
	uint32_t user_timeout;		/* ms; 0: none */
	uint32_t backlog;		/* 0: as much as the system allows */
	bool fast_open, freebind;
	char *bind_device;		/* NULL: any */
	uint32_t mark;			/* of firewall and routing; 0: none */
};

struct settings {
	char *file;			/* that was read; NULL: the command line */
	struct given given[SETTINGS_MAX_ROWS];
	struct gate_settings *gates;
	size_t gate_count;
	uint32_t workers;		/* 0: one per core */
	char *user;			/* NULL: nobody, when started as root */
	char *key_user;			/* NULL: as user */
	char *keylog;			/* file or NULL */
	uint32_t max_handshakes;	/* of all workers; 0: each has a limit of its own */
	uint32_t drain_time, stop_time;	/* ms; drain_time 0: none */
	char *control;			/* path of a UNIX socket, "none", or NULL: control.h's default */
	uint32_t control_mode;		/* permission bits, if given */
	char *control_group;		/* name or number, or NULL */
	char *metrics;			/* an address, unix:/path, or NULL */
	enum log_target log;
	int log_facility;		/* LOG_DAEMON... of syslog(3) */
	bool verbose;
	bool connection_log;
	enum log_format log_format;	/* of its lines */
	unsigned int refusals;		/* settings_may_refuse() */
	unsigned int sharers;		/* settings_share(): owners beside the first */
};

/* One row: an option --name of the command line, and a key of the file. */
struct setting {
	const char *name;
	const char *argument;		/* for --help; NULL: a switch */
	unsigned int scope;		/* of SETTING_*: where it may be given */
	unsigned int required;		/* SETTING_SERVE, SETTING_CONNECT: where it must be */
	const char *needs;		/* another setting that must be given with it, or NULL */
	size_t offset;			/* in the object the scope says */
	int (*set)(void *field, const char *value, char why[SETTINGS_WHY_MAX]);
	const char *help;
};

#define SETTING_SERVE	1u		/* field of a gate of mode serve */
#define SETTING_CONNECT	2u
#define SETTING_GATE	3u
#define SETTING_GLOBAL	4u		/* field of struct settings */
#define SETTING_LIST	8u		/* may be given several times */
#define SETTING_FILE	16u		/* only in a file: given as words on the command line */
#define SETTING_CONTROL	32u		/* of the control socket: refused where there is none */
#define SETTING_SWITCH	64u		/* on the command line without a value, too: true */
#define SETTING_BOUND	128u		/* a rule for clients: session tickets end with it (binding.h) */
#define SETTING_ROUTE	256u		/* of a block: the values of enum gate_mode */
#define SETTING_PASS	512u

/* Ends with name NULL. */
const struct setting *settings_table(void);
/* The row of that name, or NULL. */
const struct setting *setting_find(const char *name);
/* The name that is meant, perhaps, by one that no row has: at most a letter in four and two in all differ; or NULL. */
const char *setting_like(const char *name);
/* Likewise the block that a gate (NULL: the file) may have: two letters may differ, for there are few; or NULL. */
const char *setting_like_block(const char *name, const struct gate_settings *gate);

/* file: what messages name; NULL: the command line. */
struct settings *settings_new(const char *file);
/* The same object, for one more owner. */
struct settings *settings_share(struct settings *settings);
/* Frees with the last owner; NULL is fine. */
void settings_free(struct settings *settings);
/* A further gate with its defaults; pointers to earlier gates become invalid. */
struct gate_settings *settings_add_gate(struct settings *settings, const char *name,
					struct position place);

/*
 * A further block of gate, GATE_ROUTE or GATE_PASS, without anything yet; pointers to earlier
 * blocks of it become invalid.
 */
struct gate_settings *settings_add_block(struct gate_settings *gate, enum gate_mode kind,
					 const char *name, struct position place);

/* Whether the row was given, and where, in the object that its scope asks for. */
const struct given *setting_given(const struct setting *row, const struct settings *settings,
				  const struct gate_settings *gate);
/*
 * Sets the row's field in the object its scope asks for.  0, or -1 and why: the
 * value is none, or the setting has one already and is no list.  It counts as given
 * in any case.
 */
int setting_apply(const struct setting *row, struct settings *settings, struct gate_settings *gate,
		  const char *value, struct position place, char why[SETTINGS_WHY_MAX]);

/*
 * May one more line say what is refused?  The first that may not is a line that says so, and
 * then there are no more: a file with many errors gives few lines.
 */
#define SETTINGS_MAX_REFUSALS	20
bool settings_may_refuse(struct settings *settings);

/*
 * Logs one line, if one more may be: where it stands in the file, the gate, what was refused, and
 * why.  setting: a row's name with the value refused (NULL: whatever it has),
 * or NULL for the gate as a whole.  Returns -1.
 */
int gate_refuse(const struct gate_settings *gate, const char *setting, const char *value,
		const char *why);
/* As gate_refuse(), but it is a warning: the gate goes on without. */
void gate_warn(const struct gate_settings *gate, const char *setting, const char *value,
	       const char *why);

/* It has blocks GATE_PASS alone, no certificate and no backend: whoever fits none is refused. */
bool gate_only_passes(const struct gate_settings *gate);
/* "gate", "route" or "pass": how the file begins it. */
const char *gate_kind(const struct gate_settings *gate);

/*
 * Whether one gate is complete, with its blocks, and its settings agree.  0, or -1 and a line was
 * logged for each of those that do not (of a mode, when it was refused).
 */
int gate_settings_check(const struct gate_settings *gate);
/* The same for the settings of the process, once all were given: 0 or -1. */
int settings_check(const struct settings *settings);
/* All of its backends, as "A, B"; for free(). */
char *gate_backends(const struct gate_settings *gate);
/*
 * As gate_refuse() and gate_warn(), for a setting of the process: a line with its place, where the file
 * has it.  value: NULL, or what was refused, perhaps a default.
 */
int settings_refuse(const struct settings *settings, const char *setting, const char *value,
		    const char *why);
void settings_warn(const struct settings *settings, const char *setting, const char *value,
		   const char *why);
/* Whether a control socket is wanted: one is given, or the default of a file applies. */
bool settings_has_control(const struct settings *settings);

#endif
