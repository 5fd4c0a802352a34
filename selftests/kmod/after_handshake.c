// SPDX-License-Identifier: MIT
/*
 * docs/after-the-handshake.md, row by row: every record and message that may come
 * once a connection is established, sent to both data paths of a tlsgated that
 * made the handshake.  What the TLS peer and the plain side see is compared byte
 * by byte, and so is what is logged.  The document's table is written from the
 * one here: after_handshake --table.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "engine/engine.h"
#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/task.h"
#include "libtlsgate.h"

/* ---- the table ------------------------------------------------------------------- */

#define V12		1u
#define V13		2u
#define BOTH		(V12 | V13)
#define SERVER		1u	/* to us as a server */
#define CLIENT		2u
#define ANY		(SERVER | CLIENT)

struct sent {
	uint8_t type;
	const char *hex;	/* content; of a raw one, the whole record */
	uint32_t zeros, pad;	/* bytes behind it; of padding behind those */
	uint16_t times;		/* 0: once */
	bool raw;		/* nothing is sealed */
	bool ratchet;		/* a KeyUpdate ends in it */
};

enum outcome {
	GOES_ON,
	HALF_CLOSED,		/* the plain side has its end of file, and can go on sending */
	WE_FAIL,		/* with this alert, fatal */
	PEER_FAILED,		/* no alert is answered */
	TRUNCATED,		/* nor is a FIN */
};

struct row {
	const char *name, *what;
	unsigned int versions, roles;
	struct sent sent[3];
	enum outcome outcome;
	uint8_t alert;			/* WE_FAIL: ours; PEER_FAILED: the peer's */
	uint8_t kernel_alert;		/* where it is another; 0: the same */
	bool kernel_goes_on;		/* where the user path fails */
	enum tlsgate_reason reason;	/* the kernel's */
	const char *answer;		/* hex: type and content of a record sent back */
	uint16_t answers;
	bool half;			/* our direction was closed before: close_notify, FIN */
	bool fin;			/* a FIN follows */
	const char *note;		/* why the two differ */
};

#define HS(...)		{ REF_HANDSHAKE, __VA_ARGS__ }
#define AL(...)		{ REF_ALERT, __VA_ARGS__ }
#define AD(...)		{ REF_DATA, __VA_ARGS__ }
#define RAW(hex_)	{ .raw = true, .hex = hex_ }
#define FAILS(alert_, reason_)	\
	.outcome = WE_FAIL, .alert = alert_, .reason = TLSGATE_REASON_##reason_
#define BY_PEER(alert_)	\
	.outcome = PEER_FAILED, .alert = alert_, .reason = TLSGATE_REASON_PEER_ALERT

#define UNEXPECTED	10
#define BAD_MAC		20
#define OVERFLOW	22
#define FAILURE		40
#define ILLEGAL		47
#define DECODE		50
#define VERSION		70
#define CANCELED	90
#define UNRECOGNIZED	112

#define ZEROS_32	"0000000000000000000000000000000000000000000000000000000000000000"
#define UPDATE		"1800000100"
#define REQUEST		"1800000101"
#define WARNED		"150164"	/* no_renegotiation */
#define TICKET		"0400000e00000e1000000000000001610000"

static const struct row rows[] = {
	/* records as they are on the wire */
	{ "unknown_type", "content type 24", BOTH, ANY, { RAW("180303000100") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "http", "no TLS: an HTTP request", BOTH, ANY, { RAW("474554202f20485454502f312e310d0a0d0a") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "plain_ccs", "change_cipher_spec", BOTH, ANY, { RAW("140303000101") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "plain_alert_12", "an alert in the clear", V12, ANY, { RAW("15030300020230") },
	  FAILS(BAD_MAC, BAD_RECORD_MAC) },
	{ "plain_alert_13", "an alert in the clear", V13, ANY, { RAW("15030300020230") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "plain_handshake_12", "a handshake message in the clear", V12, ANY,
	  { RAW("160303000401000000") }, FAILS(BAD_MAC, BAD_RECORD_MAC) },
	{ "plain_handshake_13", "a handshake message in the clear", V13, ANY,
	  { RAW("160303000401000000") }, FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "garbage", "a record that does not authenticate", BOTH, ANY,
	  { RAW("1703030020" ZEROS_32) }, FAILS(BAD_MAC, BAD_RECORD_MAC) },
	{ "short_record", "a record too short for its tag", BOTH, ANY, { RAW("170303000100") },
	  FAILS(BAD_MAC, BAD_RECORD_MAC) },
	{ "long_record", "a header that announces 65535 bytes", BOTH, ANY, { RAW("170303ffff") },
	  FAILS(OVERFLOW, RECORD_OVERFLOW) },
	{ "version_12", "a record of version 3.1", V12, ANY, { RAW("1703010020" ZEROS_32) },
	  FAILS(VERSION, BAD_VERSION) },
	{ "version_13", "the same: TLS 1.3 ignores the version", V13, ANY,
	  { RAW("1703010020" ZEROS_32) }, FAILS(BAD_MAC, BAD_RECORD_MAC) },
	/* types and lengths of what is sealed */
	{ "sealed_ccs", "change_cipher_spec, sealed", BOTH, ANY, { { REF_CHANGE_CIPHER_SPEC, "01" } },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "sealed_unknown_type", "content type 99, sealed", BOTH, ANY, { { 99, "00" } },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "data", "data", BOTH, ANY, { AD("616263"), AD("64") } },
	{ "longest_data", "16384 bytes of data", BOTH, ANY, { AD("", 16384) } },
	{ "too_long_data", "16385 bytes of data", BOTH, ANY, { AD("", 16385) },
	  FAILS(OVERFLOW, RECORD_OVERFLOW) },
	{ "padded_data", "data and padding", V13, ANY, { AD("616263", 0, 100) } },
	{ "only_padding", "padding without a type", V13, ANY, { { 0, "", 0, 20 } },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "empty_data_32", "32 empty records of data", BOTH, ANY, { AD("", .times = 32) } },
	{ "empty_data_33", "33 of them", BOTH, ANY, { AD("", .times = 33) },
	  FAILS(UNEXPECTED, EMPTY_RECORD_FLOOD) },
	{ "empty_among_data", "20 of them, data, 20 more", BOTH, ANY,
	  { AD("", .times = 20), AD("61"), AD("", .times = 20) } },
	/* alerts */
	{ "empty_alert", "an alert without content", BOTH, ANY, { AL("") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "half_alert", "an alert of one byte", BOTH, ANY, { AL("01") }, FAILS(DECODE, BAD_RECORD) },
	{ "two_alerts", "two alerts in a record", BOTH, ANY, { AL("015a015a") },
	  FAILS(DECODE, BAD_RECORD) },
	{ "close_notify", "close_notify", BOTH, ANY, { AL("0100") }, .outcome = HALF_CLOSED },
	{ "close_notify_fatal", "close_notify of level fatal", BOTH, ANY, { AL("0200") },
	  .outcome = HALF_CLOSED },
	{ "close_notify_then_data", "close_notify, data: that is ignored (RFC 9846 section 6.1)", BOTH,
	  ANY, { AL("0100"), AD("61") }, .outcome = HALF_CLOSED },
	{ "fatal_alert", "handshake_failure, fatal", BOTH, ANY, { AL("0228") }, BY_PEER(FAILURE) },
	{ "alert_of_no_level", "handshake_failure of level 0", BOTH, ANY, { AL("0028") },
	  BY_PEER(FAILURE) },
	{ "user_canceled", "user_canceled", BOTH, ANY, { AL("015a") } },
	{ "user_canceled_fatal_12", "user_canceled of level fatal", V12, ANY, { AL("025a") },
	  BY_PEER(CANCELED) },
	{ "user_canceled_fatal_13", "the same: the level says nothing", V13, ANY, { AL("025a") } },
	{ "warning_12", "a warning: unrecognized_name", V12, ANY, { AL("0170") } },
	{ "warning_13", "the same: it is an error, whatever its level", V13, ANY, { AL("0170") },
	  BY_PEER(UNRECOGNIZED) },
	{ "no_renegotiation", "a warning: no_renegotiation", V12, ANY, { AL("0164") } },
	{ "warnings_4", "user_canceled, 4 times", BOTH, ANY, { AL("015a", .times = 4) } },
	{ "warnings_5", "5 times", BOTH, ANY, { AL("015a", .times = 5) },
	  FAILS(DECODE, ALERT_FLOOD) },
	{ "warnings_among_data", "3 times, data, 3 times", BOTH, ANY,
	  { AL("015a", .times = 3), AD("61"), AL("015a", .times = 3) } },
	/* handshake messages of any version */
	{ "empty_handshake", "a handshake record without content", BOTH, ANY, { HS("") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "finished", "Finished", BOTH, ANY, { HS("1400000c000000000000000000000000") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "message_out_of_place", "the header of a Certificate, and not the rest", BOTH, ANY,
	  { HS("0b001000") }, FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	/* TLS 1.2 */
	{ "hello_request", "HelloRequest: ignored (RFC 5246 section 7.4.1.1)", V12, CLIENT,
	  { HS("00000000") } },
	{ "hello_request_pieces", "HelloRequest in two records", V12, CLIENT,
	  { HS("0000"), HS("0000") } },
	{ "hello_request_32", "32 of them", V12, CLIENT, { HS("00000000", .times = 32) } },
	{ "hello_request_33", "33 of them", V12, CLIENT, { HS("00000000", .times = 33) },
	  FAILS(UNEXPECTED, MESSAGE_FLOOD) },
	{ "hello_request_body", "HelloRequest with a body", V12, CLIENT, { HS("0000000100") },
	  FAILS(DECODE, BAD_RECORD) },
	{ "hello_request_server", "HelloRequest", V12, SERVER, { HS("00000000") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "client_hello", "ClientHello: a renegotiation (RFC 5246 section 7.2.2)", V12, SERVER,
	  { HS("01000000") }, .answer = WARNED, .answers = 1 },
	{ "client_hello_long", "ClientHello of 20000 bytes", V12, SERVER,
	  { HS("01004e20", 10000), HS("", 10000) }, .answer = WARNED, .answers = 1 },
	{ "client_hello_32", "32 of them", V12, SERVER, { HS("01000000", .times = 32) },
	  .answer = WARNED, .answers = 32 },
	{ "client_hello_33", "33 of them", V12, SERVER, { HS("01000000", .times = 33) },
	  FAILS(UNEXPECTED, MESSAGE_FLOOD), .answer = WARNED, .answers = 32 },
	{ "client_hello_half", "ClientHello once we have closed", V12, SERVER, { HS("01000000") },
	  .half = true },
	{ "client_hello_client", "ClientHello", V12, CLIENT, { HS("01000000") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "ticket_12", "NewSessionTicket", V12, ANY, { HS("04000006000000000000") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "data_in_message_12", "data between the parts of a message", V12, SERVER,
	  { HS("0100"), AD("61") }, FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "alert_in_message_12", "a warning there", V12, SERVER, { HS("0100"), AL("015a") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	/* TLS 1.3 */
	{ "key_update", "KeyUpdate", V13, ANY, { HS(UPDATE, .ratchet = true), AD("61") } },
	{ "key_update_pieces", "KeyUpdate in two records", V13, ANY,
	  { HS("180000"), HS("0100", .ratchet = true), AD("61") } },
	{ "key_update_requested", "KeyUpdate that asks for one: answered at once", V13, ANY,
	  { HS(REQUEST, .ratchet = true) }, .answer = "16" UPDATE, .answers = 1 },
	{ "key_update_requested_half", "the same once we have closed", V13, ANY,
	  { HS(REQUEST, .ratchet = true) }, .half = true },
	{ "key_update_32", "32 KeyUpdates", V13, ANY, { HS(UPDATE, .times = 32, .ratchet = true) } },
	{ "key_update_33", "33 KeyUpdates", V13, ANY, { HS(UPDATE, .times = 33, .ratchet = true) },
	  FAILS(UNEXPECTED, KEY_UPDATE_FLOOD) },
	{ "key_update_unknown", "KeyUpdate of kind 2", V13, ANY, { HS("1800000102") },
	  FAILS(ILLEGAL, BAD_KEY_UPDATE) },
	{ "key_update_long", "KeyUpdate of two bytes", V13, ANY, { HS("180000020000") },
	  FAILS(DECODE, BAD_RECORD) },
	{ "key_update_empty", "KeyUpdate of none", V13, ANY, { HS("18000000") },
	  FAILS(DECODE, BAD_RECORD) },
	{ "key_update_and_more", "KeyUpdate, and more in its record (RFC 9846 section 5.1)", V13, ANY,
	  { HS(UPDATE "18") }, FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "data_in_message_13", "data between the parts of a message", V13, ANY,
	  { HS("1800"), AD("61") }, FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "alert_in_message_13", "close_notify there", V13, ANY, { HS("1800"), AL("0100") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "ticket", "NewSessionTicket", V13, CLIENT, { HS(TICKET) } },
	{ "ticket_long", "NewSessionTicket of 20000 bytes", V13, CLIENT,
	  { HS("04004e20" "00000e10" "00000000" "00" "4e13", 10000), HS("", 9989) } },
	{ "ticket_32", "32 of them", V13, CLIENT, { HS(TICKET, .times = 32) } },
	{ "ticket_33", "33 of them", V13, CLIENT, { HS(TICKET, .times = 33) },
	  FAILS(UNEXPECTED, MESSAGE_FLOOD) },
	{ "tickets_and_key_updates", "20 of them, 20 KeyUpdates: no row is too long", V13, CLIENT,
	  { HS(TICKET, .times = 20), HS(UPDATE, .times = 20, .ratchet = true) } },
	{ "ticket_malformed", "NewSessionTicket cut off within", V13, CLIENT, { HS("0400000400000e10") },
	  FAILS(DECODE, NONE), .kernel_goes_on = true,
	  .note = "the module hands tickets on and reads none" },
	{ "ticket_too_long", "NewSessionTicket of 16 MiB", V13, CLIENT, { HS("04ffffff") },
	  FAILS(ILLEGAL, BAD_RECORD), .kernel_alert = DECODE,
	  .note = "the user path's limit is `max-message`, the kernel's the longest ticket that can be" },
	{ "ticket_server", "NewSessionTicket", V13, SERVER, { HS(TICKET) },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "certificate_request", "CertificateRequest", V13, CLIENT, { HS("0d000000") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "hello_request_13", "HelloRequest", V13, ANY, { HS("00000000") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	{ "client_hello_13", "ClientHello", V13, ANY, { HS("01000000") },
	  FAILS(UNEXPECTED, UNEXPECTED_MESSAGE) },
	/* ends of the stream */
	{ "fin", "FIN without close_notify", BOTH, ANY, { }, .fin = true, .outcome = TRUNCATED,
	  .reason = TLSGATE_REASON_TRUNCATED },
	{ "fin_in_record", "FIN within a record", BOTH, ANY, { RAW("1703030020" "00") }, .fin = true,
	  .outcome = TRUNCATED, .reason = TLSGATE_REASON_TRUNCATED },
	{ "fin_in_message", "FIN within a message", V13, ANY, { HS("1800") }, .fin = true,
	  .outcome = TRUNCATED, .reason = TLSGATE_REASON_TRUNCATED },
};

#define ROWS	(sizeof(rows) / sizeof(*rows))

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++)
		sscanf(hex + 2 * i, "%2hhx", &out[i]);
	return n;
}

/* ---- the document ------------------------------------------------------------------ */

static const char *sent_text(const struct row *r, uint8_t alert, char text[128])
{
	const char *answer = !r->answer ? "" : r->answer[1] == '5' ?
			     "warning no_renegotiation" : "KeyUpdate";

	snprintf(text, 128, "%s%s", answer, r->answers < 2 ? "" : r->outcome == WE_FAIL ?
		 " 32 times, then " : " 32 times");
	if (r->outcome == WE_FAIL)
		snprintf(text + strlen(text), 128 - strlen(text), "%s", tls_alert_name(alert));
	return text;
}

static const char *plain_text(const struct row *r)
{
	bool data = false;

	for (size_t i = 0; i < 3; i++)
		data |= r->sent[i].type == REF_DATA && (*r->sent[i].hex || r->sent[i].zeros);
	if (r->outcome == HALF_CLOSED)
		return "end of file";
	if (r->outcome != GOES_ON)
		return "reset";
	return data ? "the data" : "nothing";
}

static const char *user_log(const struct row *r)
{
	if (r->outcome == WE_FAIL)
		return tls_strerror(TLS_ERR_ALERT + r->alert);
	if (r->outcome == PEER_FAILED)
		return tls_strerror(TLS_ERR_PEER + r->alert);
	return r->outcome == TRUNCATED ? tls_strerror(TLS_ERR_TRUNCATED) : "";
}

static void put_row(FILE *to, const struct row *r)
{
	static const char *const versions[] = { "", "1.2", "1.3", "both" };
	static const char *const roles[] = { "", "server", "client", "either" };
	uint8_t other = r->kernel_alert ? r->kernel_alert : r->alert;
	char user[128], kernel[128], sent[300];

	sent_text(r, r->alert, user);
	sent_text(r, other, kernel);
	snprintf(sent, sizeof(sent), "%s", user);
	if (r->kernel_goes_on)
		snprintf(sent, sizeof(sent), "user: %s; kernel: goes on", user);
	else if (strcmp(user, kernel))
		snprintf(sent, sizeof(sent), "user: %s; kernel: %s", user, kernel);
	fprintf(to, "| `%s` | %s%s%s | %s | %s | %s | %s | %s | %s%s%s |\n", r->name, r->what,
		r->note ? "; " : "", r->note ? r->note : "", versions[r->versions],
		roles[r->roles], sent, plain_text(r), user_log(r), r->reason ? "`" : "",
		r->reason ? tlsgate_reason_name(r->reason) : "", r->reason ? "`" : "");
}

static void put_table(FILE *to)
{
	fprintf(to, "| row | what comes | TLS | to a | sent back | plain side | log, user path | reason, kernel |\n"
		"|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < ROWS; i++)
		put_row(to, &rows[i]);
}

/* ---- the daemon -------------------------------------------------------------------- */

FIXTURE(after)
{
	char folder[64];
	int plain, tls;			/* where the daemon connects: one of them is used */
	int port;			/* where it listens */
	pid_t daemon;
	int log;			/* its stderr */
	char text[16384];		/* what came of it, since the row began */
	size_t text_len;
	struct tls_config *config;	/* of the TLS peer */
	struct tls_private_key *key;
	struct tg *events;
	struct pair c;			/* the connection: fd is the plain side's */
	int at;				/* the client's port, which log lines name */
	char server[40];		/* the same of the server, of a gate of mode connect */
	uint32_t id;			/* of the kernel's session */
	uint8_t want[REF_RECORD_MAX], got[REF_RECORD_MAX];
	size_t want_len;
};

FIXTURE_VARIANT(after)
{
	bool kernel, serve;
	uint16_t version;
};

#define VARIANT(name, k, s, v) \
	FIXTURE_VARIANT_ADD(after, name) { .kernel = k, .serve = s, .version = v };

VARIANT(user_server_12, false, true, TLS_1_2)
VARIANT(user_server_13, false, true, TLS_1_3)
VARIANT(user_client_12, false, false, TLS_1_2)
VARIANT(user_client_13, false, false, TLS_1_3)
VARIANT(kernel_server_12, true, true, TLS_1_2)
VARIANT(kernel_server_13, true, true, TLS_1_3)
VARIANT(kernel_client_12, true, false, TLS_1_2)
VARIANT(kernel_client_13, true, false, TLS_1_3)

typedef FIXTURE_DATA(after) fixture;
typedef FIXTURE_VARIANT(after) variant_of;

static int port_of(int fd, bool peer)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	if (peer ? getpeername(fd, (void *)&addr, &len) : getsockname(fd, (void *)&addr, &len))
		return -1;
	return ntohs(addr.sin_port);
}

/* build/ of the tree that this program is in. */
static bool build_folder(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *end;

	if (n < 0)
		return false;
	path[n] = '\0';
	end = strstr(path, "/selftests/");
	if (end)
		*end = '\0';
	return end;
}

static bool make_certificate(const char *folder)
{
	char command[512];

	snprintf(command, sizeof(command), "openssl req -x509 -newkey ec -pkeyopt "
		 "ec_paramgen_curve:P-256 -nodes -keyout %s/key.pem -out %s/cert.pem -subj /CN=after "
		 "-days 30 -addext subjectAltName=DNS:localhost,IP:127.0.0.1 >/dev/null 2>&1",
		 folder, folder);
	return system(command) == 0;
}

static char *slurp(const char *folder, const char *name)
{
	static char text[8192];
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static pid_t spawn(fixture *self, const variant_of *v, int log)
{
	char program[PATH_MAX + 16], listen[32], backend[32], cert[96], key[96];
	const char *serve[] = { "serve", listen, backend, "--cert", cert, "--key", key };
	const char *connect[] = { "connect", listen, backend, "--ca", cert };
	const char *argv[16] = { program };
	size_t n = v->serve ? 7 : 5;
	pid_t pid;

	if (!build_folder(program))
		return -1;
	strcat(program, "/tlsgated");
	snprintf(listen, sizeof(listen), "127.0.0.1:%d", self->port);
	snprintf(backend, sizeof(backend), "127.0.0.1:%d",
		 port_of(v->serve ? self->plain : self->tls, false));
	snprintf(cert, sizeof(cert), "%s/cert.pem", self->folder);
	snprintf(key, sizeof(key), "%s/key.pem", self->folder);
	memcpy(argv + 1, v->serve ? serve : connect, n * sizeof(*argv));
	argv[n + 1] = v->kernel ? "--data-path=kernel" : "--data-path=user";
	argv[n + 2] = "--workers=1";
	argv[n + 3] = "--verbose";
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, 2);
	execv(program, (char **)argv);
	_exit(127);
}

/* Takes what the daemon has logged. */
static bool has_logged(fixture *self, const char *what)
{
	ssize_t n;

	do {
		if (strstr(self->text, what))
			return true;
		if (!net_poll(self->log, POLLIN, NET_DEADLINE))
			return false;
		n = read(self->log, self->text + self->text_len,
			 sizeof(self->text) - 1 - self->text_len);
		self->text_len += n > 0 ? n : 0;
		self->text[self->text_len] = '\0';
	} while (n > 0);
	return strstr(self->text, what);
}

static int64_t now(void *arg)
{
	return time(NULL);
}

static bool configure(fixture *self, const variant_of *v)
{
	const struct tls_hooks hooks = { .now = now };
	struct tls_certificate *cert;
	bool ok;

	self->config = tls_config_new(v->serve ? TLS_CLIENT : TLS_SERVER, &hooks);
	ok = self->config && !tls_config_set_versions(self->config, v->version, v->version);
	if (v->serve)
		return ok && !tls_config_set_verify(self->config, TLS_VERIFY_NONE);
	ok = ok && !tls_certificate_new(&cert, slurp(self->folder, "cert.pem"),
					strlen(slurp(self->folder, "cert.pem")), NULL) &&
	     !tls_config_add_certificate(self->config, cert);
	tls_certificate_free(cert);
	return ok && !tls_private_key_new(&self->key, slurp(self->folder, "key.pem"),
					  strlen(slurp(self->folder, "key.pem")), NULL);
}

FIXTURE_SETUP(after)
{
	int log[2], probe;

	strcpy(self->folder, "/tmp/after.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->folder));
	ASSERT_TRUE(make_certificate(self->folder));
	self->plain = net_listener(AF_INET);
	self->tls = net_listener(AF_INET);
	probe = net_listener(AF_INET);
	ASSERT_LE(0, self->plain | self->tls | probe);
	if (!variant->serve)
		snprintf(self->server, sizeof(self->server), ", server 127.0.0.1:%d",
			 port_of(self->tls, false));
	self->port = port_of(probe, false);
	close(probe);
	ASSERT_EQ(0, pipe2(log, O_CLOEXEC));
	self->log = log[0];
	self->daemon = spawn(self, variant, log[1]);
	close(log[1]);
	ASSERT_LT(0, self->daemon);
	ASSERT_TRUE(has_logged(self, "listening on")) TH_LOG("%s", self->text);
	ASSERT_TRUE(configure(self, variant));
	if (!variant->kernel)
		return;
	self->events = tg_open_ear();
	ASSERT_NE(NULL, self->events) TH_LOG("the module is not loaded");
}

FIXTURE_TEARDOWN(after)
{
	char command[128];

	EXPECT_TRUE(task_kill(self->daemon));
	snprintf(command, sizeof(command), "rm -rf %s", self->folder);
	EXPECT_EQ(0, system(command));
}

/* ---- a connection -------------------------------------------------------------------- */

/* Moves bytes until the engine wants nothing but application data. */
static bool shake_hands(fixture *self, struct tls_conn *conn, int fd)
{
	uint8_t reply[TLS_MAX_KEY_REPLY];
	unsigned int wants;

	for (int err = tls_conn_start(conn); !err && (wants = tls_conn_wants(conn));) {
		const struct tls_key_request *req = tls_conn_key_request(conn);
		size_t len = sizeof(reply);
		const uint8_t *out = tls_conn_output(conn, &len);
		ssize_t n;

		if (req) {
			len = sizeof(reply);
			err = tls_private_key_perform(self->key, req, reply, &len);
			err = err ? err : tls_conn_key_reply(conn, reply, len);
		} else if (wants & TLS_WANTS_OUTPUT) {
			err = net_write(fd, out, len);
			tls_conn_output_done(conn, len);
		} else {
			n = recv(fd, self->got, 16384, 0);
			err = n <= 0 ? -1 : tls_conn_input(conn, self->got, n);
		}
	}
	return tls_conn_established(conn);
}

/* Application data of that length, with what comes before it. */
static bool read_tls(fixture *self, struct tls_conn *conn, int fd, size_t len)
{
	uint8_t data[16];
	size_t have = 0;

	while (have < len) {
		size_t part = len - have;
		int err = tls_conn_read(conn, data, &part);

		have += part;
		if (err == TLS_ERR_AGAIN) {
			ssize_t n = recv(fd, self->got, 16384, 0);

			err = n <= 0 ? -1 : tls_conn_input(conn, self->got, n);
		}
		if (err)
			return false;
	}
	return true;
}

static bool send_tls(struct tls_conn *conn, int fd, const char *text)
{
	const uint8_t *out;
	size_t len;

	if (tls_conn_write(conn, (const uint8_t *)text, strlen(text)))
		return false;
	out = tls_conn_output(conn, &len);
	if (net_write(fd, out, len))
		return false;
	tls_conn_output_done(conn, len);
	return true;
}

static void take_direction(struct ref_keys *to, const struct ref_suite *suite,
			   const struct tls_direction_keys *from)
{
	if (suite->secret_len)
		ref_keys_from_secret(to, suite, from->secret);
	else
		ref_keys_set(to, suite, from->key, from->iv);
	to->seq = from->seq;
}

static bool take_keys(struct pair *c, struct tls_conn *conn)
{
	struct tls_session_keys keys;
	size_t left;

	tls_conn_pending(conn, &left);
	if (left || tls_conn_export_keys(conn, &keys))
		return false;
	c->suite = ref_suite(keys.version, keys.suite);
	take_direction(&c->peer.tx, c->suite, &keys.tx);
	take_direction(&c->peer.rx, c->suite, &keys.rx);
	tls_wipe(&keys, sizeof(keys));
	return true;
}

/* Both ends of what the daemon joins; data has gone both ways. */
static void establish(struct __test_metadata *_metadata, fixture *self, const variant_of *v)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(self->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct tls_conn *conn = tls_conn_new(self->config);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server;
	struct tg_info info;
	char got[4];

	net_timeouts(client, NET_DEADLINE);
	ASSERT_EQ(0, connect(client, (void *)&addr, sizeof(addr)));
	self->at = port_of(client, false);
	if (v->serve)
		ASSERT_TRUE(shake_hands(self, conn, client));
	ASSERT_TRUE(net_poll(v->serve ? self->plain : self->tls, POLLIN, NET_DEADLINE));
	server = accept4(v->serve ? self->plain : self->tls, NULL, NULL, SOCK_CLOEXEC);
	ASSERT_LE(0, server);
	net_timeouts(server, NET_DEADLINE);
	if (!v->serve)
		ASSERT_TRUE(shake_hands(self, conn, server));
	self->c.fd = v->serve ? server : client;
	self->c.peer.fd = v->serve ? client : server;
	ASSERT_TRUE(send_tls(conn, self->c.peer.fd, "ping"));
	ASSERT_EQ(0, net_read(self->c.fd, got, 4));
	ASSERT_EQ(0, net_write(self->c.fd, "pong", 4));
	ASSERT_TRUE(read_tls(self, conn, self->c.peer.fd, 4));
	ASSERT_TRUE(take_keys(&self->c, conn));
	tls_conn_free(conn);
	if (!v->kernel)
		return;
	ASSERT_EQ(0, tg_event(self->events, TLSGATE_CMD_NTF_SESSION_OPENED, 0, &info,
			      NET_DEADLINE));
	self->id = tg_num(&info, TLSGATE_A_ID);
}

static void clear(fixture *self)
{
	close(self->c.fd);
	close(self->c.peer.fd);
	ref_keys_free(&self->c.peer.tx);
	ref_keys_free(&self->c.peer.rx);
	self->want_len = 0;
	self->text_len = 0;
	self->text[0] = '\0';
}

/* ---- a row ------------------------------------------------------------------------- */

/* All of a row goes in one call, as far as the other side has room. */
static void send_row(struct __test_metadata *_metadata, fixture *self, const struct row *r)
{
	uint8_t *wire = malloc(1 << 18), *content = malloc(REF_RECORD_MAX);
	struct peer *peer = &self->c.peer;
	size_t len = 0;

	for (const struct sent *s = r->sent; s < r->sent + 3 && s->hex; s++) {
		size_t n = unhex(s->hex, content);

		memset(content + n, 0, s->zeros);
		n += s->zeros;
		for (int i = 0; i < (s->times ?: 1); i++) {
			if (s->raw)
				len += unhex(s->hex, wire + len);
			else
				len += ref_seal(&peer->tx, s->type, content, n, s->pad, wire + len);
			if (s->ratchet)
				ref_ratchet(&peer->tx);
		}
		if (s->type == REF_DATA && r->outcome == GOES_ON) {
			memcpy(self->want + self->want_len, content, n);
			self->want_len += n;
		}
	}
	ASSERT_EQ(0, net_write(peer->fd, wire, len));
	if (r->fin)
		ASSERT_EQ(0, shutdown(peer->fd, SHUT_WR));
	free(wire);
	free(content);
}

static void expect_answers(struct __test_metadata *_metadata, fixture *self, const struct row *r)
{
	uint8_t want[64], type;
	ssize_t n, len = r->answer ? (ssize_t)unhex(r->answer, want) : 0;

	for (int i = 0; i < r->answers; i++) {
		n = peer_recv(&self->c.peer, &type, self->got, sizeof(self->got));
		ASSERT_EQ(len - 1, n) TH_LOG("%s: answer %d", r->name, i);
		EXPECT_EQ(want[0], type) TH_LOG("%s", r->name);
		EXPECT_EQ(0, memcmp(want + 1, self->got, n)) TH_LOG("%s", r->name);
		if (type == REF_HANDSHAKE)
			ref_ratchet(&self->c.peer.rx);
	}
}

/* The peer's direction lives: data arrives, and nothing but it. */
static void expect_data(struct __test_metadata *_metadata, fixture *self, const struct row *r)
{
	ASSERT_EQ(0, peer_send(&self->c.peer, REF_DATA, "after", 5)) TH_LOG("%s", r->name);
	memcpy(self->want + self->want_len, "after", 5);
	self->want_len += 5;
	ASSERT_EQ(0, net_read(self->c.fd, self->got, self->want_len)) TH_LOG("%s", r->name);
	EXPECT_EQ(0, memcmp(self->want, self->got, self->want_len)) TH_LOG("%s", r->name);
	ASSERT_EQ(0, peer_alert(&self->c.peer, 1, TLS_CLOSE_NOTIFY));
}

/* And ours, until the plain side ends it. */
static void expect_back(struct __test_metadata *_metadata, fixture *self, const struct row *r)
{
	ASSERT_EQ(0, net_write(self->c.fd, "back", 4)) TH_LOG("%s", r->name);
	EXPECT_TRUE(peer_recv_data(&self->c.peer, self->got, 4)) TH_LOG("%s", r->name);
	ASSERT_EQ(0, shutdown(self->c.fd, SHUT_WR));
	EXPECT_TRUE(peer_expect_end(&self->c.peer)) TH_LOG("%s", r->name);
}

static void expect_failed(struct __test_metadata *_metadata, fixture *self, const struct row *r,
			  uint8_t alert)
{
	uint8_t type;
	ssize_t n = peer_recv(&self->c.peer, &type, self->got, sizeof(self->got));

	if (r->outcome == WE_FAIL) {
		EXPECT_EQ(2, n) TH_LOG("%s", r->name);
		EXPECT_EQ(REF_ALERT, type) TH_LOG("%s", r->name);
		EXPECT_EQ(2, self->got[0]) TH_LOG("%s", r->name);
		EXPECT_EQ(alert, self->got[1]) TH_LOG("%s", r->name);
		n = peer_recv(&self->c.peer, &type, self->got, sizeof(self->got));
	}
	EXPECT_TRUE(n == PEER_EOF || n == PEER_RESET) TH_LOG("%s: %zd", r->name, n);
	EXPECT_EQ(-1, recv(self->c.fd, self->got, sizeof(self->got), 0)) TH_LOG("%s", r->name);
	EXPECT_EQ(ECONNRESET, errno) TH_LOG("%s", r->name);
}

static void expect_log(struct __test_metadata *_metadata, fixture *self, const struct row *r,
		       bool kernel)
{
	struct tg_info info;
	char line[192];

	if (!kernel) {
		snprintf(line, sizeof(line), "127.0.0.1:%d%s: connection broken off: %s", self->at,
			 self->server, user_log(r));
		EXPECT_TRUE(has_logged(self, line)) TH_LOG("%s: no '%s' in\n%s", r->name, line,
							   self->text);
		return;
	}
	ASSERT_EQ(0, tg_event(self->events, TLSGATE_CMD_NTF_SESSION_CLOSED, self->id, &info,
			      NET_DEADLINE)) TH_LOG("%s", r->name);
	EXPECT_EQ(r->reason, tg_num(&info, TLSGATE_A_REASON)) TH_LOG("%s", r->name);
}

static void run_row(struct __test_metadata *_metadata, fixture *self, const variant_of *v,
		    const struct row *r)
{
	uint8_t alert = v->kernel && r->kernel_alert ? r->kernel_alert : r->alert;
	enum outcome outcome = v->kernel && r->kernel_goes_on ? GOES_ON : r->outcome;

	establish(_metadata, self, v);
	if (r->half) {
		ASSERT_EQ(0, shutdown(self->c.fd, SHUT_WR));
		ASSERT_TRUE(peer_expect_end(&self->c.peer)) TH_LOG("%s", r->name);
	}
	send_row(_metadata, self, r);
	expect_answers(_metadata, self, r);
	if (outcome == GOES_ON)
		expect_data(_metadata, self, r);
	if (outcome == GOES_ON || outcome == HALF_CLOSED) {
		EXPECT_EQ(0, recv(self->c.fd, self->got, 1, 0)) TH_LOG("%s", r->name);
		if (!r->half)
			expect_back(_metadata, self, r);
	} else {
		expect_failed(_metadata, self, r, alert);
		expect_log(_metadata, self, r, v->kernel);
	}
	clear(self);
}

TEST_F_TIMEOUT(after, rows, 300)
{
	unsigned int version = variant->version == TLS_1_2 ? V12 : V13;
	unsigned int role = variant->serve ? SERVER : CLIENT;

	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].versions & version && rows[i].roles & role)
			run_row(_metadata, self, variant, &rows[i]);
	}
}

TEST(the_document_has_this_table)
{
	char path[PATH_MAX], *table = NULL, *text;
	size_t len;
	FILE *out = open_memstream(&table, &len), *in;
	long size;

	put_table(out);
	fclose(out);
	ASSERT_TRUE(build_folder(path));
	strcat(path, "/../docs/after-the-handshake.md");
	in = fopen(path, "r");
	ASSERT_NE(NULL, in);
	fseek(in, 0, SEEK_END);
	size = ftell(in);
	rewind(in);
	text = calloc(1, size + 1);
	ASSERT_EQ(size, fread(text, 1, size, in));
	EXPECT_NE(NULL, strstr(text, table)) TH_LOG("write it anew: after_handshake --table");
	fclose(in);
	free(text);
	free(table);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--table")) {
		put_table(stdout);
		return 0;
	}
	return test_harness_run(argc, argv);
}
