// SPDX-License-Identifier: MIT
/* tlsgate handshake HOST:PORT: one client handshake, each step shown. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"
#include "ctl/ctl.h"
#include "ctl/handshake_report.h"

#define TIMEOUT_MS	10000	/* for all, from the first connect() on */
#define VERDICT_MS	2000	/* for what a server says of a client certificate, within that */
#define END_MS		1000	/* for the server's end, after ours */
#define MAX_CA_FILE	(16u << 20)
#define MAX_PEM_FILE	(1u << 20)
#define MAX_CRL_FILE	(64u << 20)
#define MAX_CRLS	16

struct request {
	const char *target, *ca, *cert, *key, *server_name, *suites, *groups, *alpn;
	const char *crls[MAX_CRLS];
	size_t crl_count;
	uint16_t min_version, max_version;
	bool crl_expired_given, take_expired_crls;
	bool explain, json, secrets, insecure;
};

/* ---- command line ------------------------------------------------------------ */

enum {
	OPT_CA = 0x100,
	OPT_CRL,
	OPT_CRL_EXPIRED,
	OPT_CERT,
	OPT_KEY,
	OPT_SERVER_NAME,
	OPT_SUITES,
	OPT_GROUPS,
	OPT_ALPN,
	OPT_MIN,
	OPT_MAX,
	OPT_EXPLAIN,
	OPT_JSON,
	OPT_SECRETS,
	OPT_INSECURE,
};

const struct ctl_option ctl_handshake_options[] = {
	{ "--explain", NULL, "each step, with what was offered and chosen", OPT_EXPLAIN },
	{ "--json", NULL, "the same as one JSON object", OPT_JSON },
	{ "--ca", "FILE", "trust these CAs instead of the system's", OPT_CA },
	{ "--crl", "FILE", "the server's chain must be in no revocation list; several files", OPT_CRL },
	{ "--crl-expired", "refuse|warn", "what to do with lists that have expired (default: refuse)",
	  OPT_CRL_EXPIRED },
	{ "--cert", "FILE", "show this certificate chain, PEM, to a server that asks", OPT_CERT },
	{ "--key", "FILE", "its private key", OPT_KEY },
	{ "--server-name", "NAME", "name to ask for and to verify (default: HOST)", OPT_SERVER_NAME },
	{ "--min-version", "1.2|1.3", "what to offer (default: 1.2)", OPT_MIN },
	{ "--max-version", "1.2|1.3", "the same (default: 1.3)", OPT_MAX },
	{ "--ciphersuites", "A:B", "the same, most wanted first", OPT_SUITES },
	{ "--groups", "A:B", "the same", OPT_GROUPS },
	{ "--alpn", "a,b", "the same", OPT_ALPN },
	{ "--secrets", NULL, "show the secrets' values, too", OPT_SECRETS },
	{ "--insecure", NULL, "go on with a certificate that is not trusted", OPT_INSECURE },
	{ NULL, NULL, NULL, 0 },
};

#define OPTIONS	(sizeof(ctl_handshake_options) / sizeof(*ctl_handshake_options))

/* For getopt_long(). */
static void build_options(struct option out[OPTIONS])
{
	const struct ctl_option *row;
	size_t i;

	memset(out, 0, OPTIONS * sizeof(*out));
	for (i = 0; i + 1 < OPTIONS; i++) {
		row = &ctl_handshake_options[i];
		out[i].name = row->name + strlen("--");
		out[i].has_arg = row->argument ? required_argument : no_argument;
		out[i].val = row->code;
	}
}

static int parse_version(const char *option, const char *text, uint16_t *out)
{
	if (!strcmp(text, "1.2")) {
		*out = TLS_1_2;
	} else if (!strcmp(text, "1.3")) {
		*out = TLS_1_3;
	} else {
		ctl_error("handshake: --%s '%s' refused: it must be 1.2 or 1.3", option, text);
		return CTL_USAGE;
	}
	return CTL_DONE;
}

static int parse_crl(struct request *request, const char *path)
{
	if (request->crl_count == MAX_CRLS) {
		ctl_error("handshake: --crl refused: more than %d; one PEM file may hold several CRLs",
			  MAX_CRLS);
		return CTL_USAGE;
	}
	request->crls[request->crl_count++] = path;
	return CTL_DONE;
}

static int parse_crl_expired(struct request *request, const char *text)
{
	request->crl_expired_given = true;
	request->take_expired_crls = !strcmp(text, "warn");
	if (request->take_expired_crls || !strcmp(text, "refuse"))
		return CTL_DONE;
	ctl_error("handshake: --crl-expired '%s' refused: it must be refuse or warn", text);
	return CTL_USAGE;
}

static int parse_option(struct request *request, int code, char **argv)
{
	switch (code) {
	case OPT_CA:
		request->ca = optarg;
		return CTL_DONE;
	case OPT_CRL:
		return parse_crl(request, optarg);
	case OPT_CRL_EXPIRED:
		return parse_crl_expired(request, optarg);
	case OPT_CERT:
		request->cert = optarg;
		return CTL_DONE;
	case OPT_KEY:
		request->key = optarg;
		return CTL_DONE;
	case OPT_SERVER_NAME:
		request->server_name = optarg;
		return CTL_DONE;
	case OPT_SUITES:
		request->suites = optarg;
		return CTL_DONE;
	case OPT_GROUPS:
		request->groups = optarg;
		return CTL_DONE;
	case OPT_ALPN:
		request->alpn = optarg;
		return CTL_DONE;
	case OPT_MIN:
		return parse_version("min-version", optarg, &request->min_version);
	case OPT_MAX:
		return parse_version("max-version", optarg, &request->max_version);
	case OPT_EXPLAIN:
		request->explain = true;
		return CTL_DONE;
	case OPT_JSON:
		request->json = true;
		return CTL_DONE;
	case OPT_SECRETS:
		request->secrets = true;
		return CTL_DONE;
	case OPT_INSECURE:
		request->insecure = true;
		return CTL_DONE;
	default:
		ctl_error("handshake: '%s' is not understood, or lacks its value", argv[optind - 1]);
		return CTL_USAGE;
	}
}

static int parse(int argc, char **argv, struct request *request)
{
	struct option options[OPTIONS];
	const char *why;
	int code, ret;

	build_options(options);
	*request = (struct request){ .min_version = TLS_1_2, .max_version = TLS_1_3 };
	opterr = 0;
	while ((code = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		ret = parse_option(request, code, argv);
		if (ret)
			return ret;
	}
	if (!request->cert != !request->key) {
		ctl_error("handshake: --cert and --key go together");
		return CTL_USAGE;
	}
	if (request->crl_expired_given && !request->crl_count) {
		ctl_error("handshake: --crl-expired refused: it needs --crl");
		return CTL_USAGE;
	}
	if (argc - optind != 1) {
		ctl_error("handshake: exactly one HOST:PORT is wanted, %d given", argc - optind);
		return CTL_USAGE;
	}
	request->target = argv[optind];
	if (!addr_is_valid(request->target, &why)) {
		ctl_error("handshake: '%s' refused: %s", request->target, why);
		return CTL_USAGE;
	}
	if (request->min_version > request->max_version) {
		ctl_error("handshake: --min-version refused: it is newer than --max-version: lower it, or raise --max-version");
		return CTL_USAGE;
	}
	return CTL_DONE;
}

/* ---- engine ------------------------------------------------------------------- */

static int64_t now_s(void *arg)
{
	(void)arg;
	return (int64_t)time(NULL);
}

static int add_ca(struct tls_config *config, const char *path)
{
	char *pem;
	size_t len;
	int err;

	pem = file_read(path, MAX_CA_FILE, &len);
	if (!pem) {
		ctl_error("handshake: CA '%s' refused: %s", path, file_strerror(errno));
		return CTL_FAILED;
	}
	err = tls_config_add_ca(config, pem, len);
	free(pem);
	if (!err)
		return CTL_DONE;
	ctl_error("handshake: CA '%s' refused: it holds no PEM certificate", path);
	return CTL_FAILED;
}

static int add_crl(struct tls_config *config, const struct request *request, const char *path)
{
	const char *why = "out of memory";
	int64_t until;
	size_t len;
	char *data;
	int err;

	data = file_read(path, MAX_CRL_FILE, &len);
	if (!data) {
		ctl_error("handshake: CRL '%s' refused: %s", path, file_strerror(errno));
		return CTL_FAILED;
	}
	err = tls_config_add_crl(config, data, len, &until, &why);
	free(data);
	if (err) {
		ctl_error("handshake: CRL '%s' refused: %s", path, why);
		return CTL_FAILED;
	}
	if (until <= now_s(NULL))
		ctl_error("handshake: CRL '%s' has expired: %s", path, request->take_expired_crls ?
			  "it is used all the same" : "get a new one, or give --crl-expired=warn");
	return CTL_DONE;
}

static int add_crls(struct tls_config *config, const struct request *request)
{
	int ret = CTL_DONE;

	for (size_t i = 0; !ret && i < request->crl_count; i++)
		ret = add_crl(config, request, request->crls[i]);
	if (request->take_expired_crls)
		tls_config_take_expired_crls(config);
	return ret;
}

static int set_trust(struct tls_config *config, const struct request *request)
{
	if (request->insecure && tls_config_set_verify(config, TLS_VERIFY_REPORT)) {
		ctl_error("handshake: the engine refuses to go on with a bad certificate");
		return CTL_FAILED;
	}
	if (request->ca)
		return add_ca(config, request->ca);
	if (!tls_config_use_system_ca(config) || request->insecure)
		return CTL_DONE;
	ctl_error("handshake: the system's CAs cannot be read: install ca-certificates or give --ca");
	return CTL_FAILED;
}

static int set_list(struct tls_config *config, const char *option, const char *list,
		    int (*set)(struct tls_config *config, const char *list, const char **bad),
		    const char *where)
{
	const char *bad = NULL;

	if (!list || !set(config, list, &bad))
		return CTL_DONE;
	if (!bad)
		bad = list;
	ctl_error("handshake: --%s refused: '%.*s' is not known; see %s", option,
		  (int)strcspn(bad, ":"), bad, where);
	return CTL_USAGE;
}

static char *read_pem(const char *what, const char *path, size_t *len)
{
	char *pem = file_read(path, MAX_PEM_FILE, len);

	if (!pem)
		ctl_error("handshake: %s '%s' refused: %s", what, path, file_strerror(errno));
	return pem;
}

static int add_chain(struct tls_config *config, const char *path, struct tls_certificate **cert)
{
	const char *why = "it is no certificate that tlsgate can use";
	size_t len;
	char *pem = read_pem("certificate", path, &len);
	int err;

	if (!pem)
		return CTL_FAILED;
	err = tls_certificate_new(cert, pem, len, &why);
	free(pem);
	if (!err)
		err = tls_config_add_certificate(config, *cert);
	if (err)
		ctl_error("handshake: certificate '%s' refused: %s", path, why);
	return err ? CTL_FAILED : CTL_DONE;
}

static int read_key(const char *path, struct tls_private_key **key)
{
	const char *why = "it is no private key that tlsgate can use";
	size_t len;
	char *pem = read_pem("key", path, &len);
	int err;

	if (!pem)
		return CTL_FAILED;
	err = tls_private_key_new(key, pem, len, &why);
	file_wipe(pem, len);
	if (err)
		ctl_error("handshake: key '%s' refused: %s", path, why);
	return err ? CTL_FAILED : CTL_DONE;
}

/* What to show to a server that asks.  *key is the caller's, also after a failure. */
static int set_identity(struct tls_config *config, const struct request *request,
			struct tls_private_key **key)
{
	struct tls_certificate *cert = NULL;
	int ret;

	if (!request->cert)
		return CTL_DONE;
	ret = add_chain(config, request->cert, &cert);
	if (!ret)
		ret = read_key(request->key, key);
	if (!ret && tls_private_key_find(*key, cert)) {
		ctl_error("handshake: key '%s' refused: it is not the key of certificate '%s'",
			  request->key, request->cert);
		ret = CTL_FAILED;
	}
	tls_certificate_free(cert);
	return ret;
}

static int check_offer(const struct tls_config *config, const struct request *request)
{
	if (!tls_config_leaves_suite(config)) {
		ctl_error("handshake: --ciphersuites '%s' refused: none is of a version from --min-version to --max-version; see tlsgate ciphers",
			  request->suites);
		return CTL_USAGE;
	}
	if (!tls_config_leaves_group(config)) {
		ctl_error("handshake: --groups '%s' refused: none is of TLS 1.2, and there is no suite of another version",
			  request->groups);
		return CTL_USAGE;
	}
	return CTL_DONE;
}

static int configure(struct tls_config *config, const struct request *request)
{
	int ret;

	if (tls_config_set_versions(config, request->min_version, request->max_version)) {
		ctl_error("handshake: no such versions");
		return CTL_USAGE;
	}
	ret = set_list(config, "ciphersuites", request->suites, tls_config_set_suites,
		       "tlsgate ciphers");
	if (!ret)
		ret = set_list(config, "groups", request->groups, tls_config_set_groups,
			       "groups in tlsgated.conf(5)");
	if (!ret)
		ret = check_offer(config, request);
	if (ret)
		return ret;
	if (request->alpn && tls_config_set_alpn(config, request->alpn)) {
		ctl_error("handshake: --alpn '%s' refused: it is not a list of names with ',' between",
			  request->alpn);
		return CTL_USAGE;
	}
	if (tls_config_request_ocsp(config) || tls_config_request_scts(config)) {
		ctl_error("handshake: the engine does not ask for what is stapled");
		return CTL_FAILED;
	}
	ret = set_trust(config, request);
	return ret ? ret : add_crls(config, request);
}

/* ---- network ------------------------------------------------------------------- */

/* How long the next call on fd may wait.  0, or -1 and errno: there is no time left. */
static int limit_wait(int fd, double until_ms)
{
	double left = until_ms - report_now_ms();
	struct timeval limit = { .tv_sec = (time_t)(left / 1000) };

	limit.tv_usec = (suseconds_t)((left - 1000. * (double)limit.tv_sec) * 1000);
	if (left < 1) {
		errno = ETIMEDOUT;
		return -1;
	}
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	       setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ? -1 : 0;
}

/* The socket, or -1 and errno. */
static int connect_one(const struct addr *addr, double until_ms)
{
	int fd, error;

	fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (!limit_wait(fd, until_ms) && !connect(fd, &addr->sa, addr->len))
		return fd;
	error = errno == EINPROGRESS ? ETIMEDOUT : errno;
	close(fd);
	errno = error;
	return -1;
}

static int connect_target(struct report *report)
{
	struct addr list[ADDR_LIST_MAX];
	const char *why = "no address";
	double start = report_now_ms();
	int count, fd = -1;
	int i;

	count = addr_resolve(report->target, list, &why);
	report->until_ms = report_now_ms() + TIMEOUT_MS;
	for (i = 0; i < count && fd < 0; i++) {
		fd = connect_one(&list[i], report->until_ms);
		if (fd < 0)
			why = strerror(errno);
		addr_format(&list[i].sa, list[i].len, report->peer);
	}
	report->connect_ms = report_now_ms() - start;
	if (fd < 0)
		ctl_error("handshake: %s cannot be reached: %s", report->target, why);
	return fd;
}

static const char *io_error(int error)
{
	return error == EAGAIN || error == ETIMEDOUT ? "not complete within 10 s" : strerror(error);
}

static void send_output(int fd, struct tls_conn *conn, struct report *report)
{
	const uint8_t *data;
	size_t len;
	ssize_t n;

	while ((data = tls_conn_output(conn, &len)), len) {
		n = limit_wait(fd, report->until_ms) ? -1 : send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0) {
			report->io_error = io_error(errno);
			return;
		}
		tls_conn_output_done(conn, (size_t)n);
		report->bytes_out += (size_t)n;
	}
}

/* False: nothing came until then, or the socket failed: errno says. */
static bool receive_input(int fd, struct tls_conn *conn, struct report *report, double until_ms)
{
	uint8_t data[TLS_MAX_INPUT];
	size_t room = tls_conn_input_space(conn);
	ssize_t n = -1;

	if (!limit_wait(fd, until_ms))
		n = recv(fd, data, room < sizeof(data) ? room : sizeof(data), 0);
	if (n < 0)
		return false;
	report->bytes_in += (size_t)n;
	report->err = n ? tls_conn_input(conn, data, (size_t)n) : tls_conn_input_eof(conn);
	if (!n && !report->err)
		report->err = TLS_ERR_TRUNCATED;
	return true;
}

static int use_key(struct tls_conn *conn, const struct tls_private_key *key)
{
	uint8_t reply[TLS_MAX_KEY_REPLY];
	size_t len = sizeof(reply);
	int err;

	err = key ? tls_private_key_perform(key, tls_conn_key_request(conn), reply, &len) : -1;
	err = tls_conn_key_reply(conn, err ? NULL : reply, err ? 0 : len);
	tls_wipe(reply, sizeof(reply));
	return err;
}

/*
 * In TLS 1.3 a server judges the client's certificate, or that there is none,
 * when the client is through with its handshake: the first record tells.
 */
static void await_verdict(int fd, struct tls_conn *conn, struct report *report)
{
	double until = report_now_ms() + VERDICT_MS;
	uint8_t plain[TLS_MAX_INPUT];
	size_t len = sizeof(plain), session;

	if (until > report->until_ms)
		until = report->until_ms;
	while ((report->err = tls_conn_read(conn, plain, &len)) == TLS_ERR_AGAIN) {
		if (tls_conn_session(conn, &session))
			break;
		if (!receive_input(fd, conn, report, until))
			break;		/* silent: it may wait for the first request */
		if (report->err)
			return;
		len = sizeof(plain);
	}
	if (report->err == TLS_ERR_AGAIN || report->err == TLS_ERR_CLOSED)
		report->err = 0;
}

static bool is_over(const struct report *report, const struct tls_conn *conn)
{
	return report->io_error || report->err || tls_conn_established(conn);
}

static void run(int fd, struct tls_conn *conn, const struct tls_private_key *key, struct report *report)
{
	double start = report_now_ms();

	report->last_ms = start;
	report->err = tls_conn_start(conn);
	for (;;) {
		if (!report->err && tls_conn_wants(conn) & TLS_WANTS_PRIVATE_KEY)
			report->err = use_key(conn, key);
		send_output(fd, conn, report);
		if (is_over(report, conn))
			break;
		if (!(tls_conn_wants(conn) & TLS_WANTS_PRIVATE_KEY) &&
		    !receive_input(fd, conn, report, report->until_ms)) {
			report->io_error = io_error(errno);
			break;
		}
	}
	report->handshake_ms = report_now_ms() - start;
	report_finish(report, conn);
	if (report->established && report->certificate_asked && report->info.version == TLS_1_3) {
		await_verdict(fd, conn, report);
		if (report->err)
			report->step = STEP_AUTHENTICATION;
		report_finish(report, conn);
	}
}

/*
 * close_notify (RFC 8446 section 6.1), where no alert was sent, and a FIN.  Until
 * the server ends as well, the rest is read: closing while tickets lie unread would
 * make TCP send a reset.
 */
static void end_in_order(int fd, struct tls_conn *conn)
{
	struct report unused = { .until_ms = report_now_ms() + END_MS };
	uint8_t rest[TLS_MAX_INPUT];

	if (!tls_conn_close(conn))
		send_output(fd, conn, &unused);
	if (shutdown(fd, SHUT_WR))
		return;
	while (!limit_wait(fd, unused.until_ms) && recv(fd, rest, sizeof(rest), 0) > 0)
		;
}

static void show(const struct report *report, const struct request *request)
{
	if (request->json)
		report_json(report);
	else if (request->explain)
		report_explain(report);
	else
		report_print(report);
}

static int handshake(struct tls_conn *conn, const struct tls_private_key *key,
		     const struct request *request)
{
	struct report report;
	const char *port, *why;
	int fd;

	report_init(&report);
	report.target = request->target;
	report.insecure = request->insecure;
	report.has_certificate = request->cert;
	report.show_secrets = request->secrets;
	if (addr_split(request->target, report.server_name, &port, &why) || request->server_name)
		snprintf(report.server_name, sizeof(report.server_name), "%s",
			 request->server_name ? request->server_name : "");
	if (!report.server_name[0])
		strcpy(report.server_name, "localhost");
	if (tls_conn_set_server_name(conn, report.server_name)) {
		ctl_error("handshake: server name '%s' refused: it is no DNS name and no address",
			  report.server_name);
		return CTL_USAGE;
	}
	fd = connect_target(&report);
	if (fd < 0)
		return CTL_FAILED;
	tls_conn_set_arg(conn, &report);
	run(fd, conn, key, &report);
	show(&report, request);
	if (!report.io_error)
		end_in_order(fd, conn);
	close(fd);
	report_clear(&report);
	return report.established ? CTL_DONE : CTL_FAILED;
}

int cmd_handshake(int argc, char **argv)
{
	const struct tls_hooks hooks = { .now = now_s, .event = report_event };
	struct tls_private_key *key = NULL;
	struct tls_config *config;
	struct request request;
	struct tls_conn *conn;
	int ret;

	ret = parse(argc, argv, &request);
	if (ret)
		return ret;
	config = ctl_must(tls_config_new(TLS_CLIENT, &hooks));
	ret = configure(config, &request);
	if (!ret)
		ret = set_identity(config, &request, &key);
	if (!ret) {
		conn = ctl_must(tls_conn_new(config));
		ret = handshake(conn, key, &request);
		tls_conn_free(conn);
	}
	tls_private_key_free(key);
	tls_config_unref(config);
	return ret;
}
