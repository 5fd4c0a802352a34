// SPDX-License-Identifier: MIT
/* daemon/options, daemon/config: what is taken, and that the rest is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/options.h"
#include "daemon/together.h"
#include "engine/engine.h"
#include "tests/tap.h"

#define MAX_ARGS	16

struct line {
	const char *text;		/* words, one blank between */
	enum options_result result;
};

static const struct line lines[] = {
	{ "serve :443 127.0.0.1:80 --cert c --key k", OPTIONS_RUN },
	{ "serve --cert=c --key=k :443 unix:/run/x --workers=4 --verbose", OPTIONS_RUN },
	{ "connect 127.0.0.1:80 example.org:443", OPTIONS_RUN },
	{ "connect :80 unix:/run/x --server-name example.org", OPTIONS_RUN },
	{ "connect :80 h:443 --cert c --key k", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --ocsp r", OPTIONS_RUN },
	{ "serve :443 :80 --cert c --key k", OPTIONS_BAD },
	{ "-c file", OPTIONS_RUN },
	{ "-c file --verbose", OPTIONS_RUN },
	{ "", OPTIONS_BAD },
	{ "dance :443 127.0.0.1:80", OPTIONS_BAD },
	{ "serve :443 --cert c --key k", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 :81 --cert c --key k", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --cert d --key k", OPTIONS_BAD },
	{ "serve localhost:443 127.0.0.1:80 --cert c --key k", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:99999 --cert c --key k", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --ca f", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --min-version 1.1", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --min-version 1.3 --max-version 1.2", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --workers 0", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --workers 2x", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --max-message 2048", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --max-message 2047", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --max-message 65537", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --max-connections 1000000 --max-per-address 1", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --max-connections 0", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --max-connections 1000001", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --max-per-address -1", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --handshake-rate 4000 --max-handshakes 1", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --handshake-rate 4001", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --max-handshakes 1k", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --idle-timeout 3d", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --idle-timeout -1", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --connect-timeout 5000", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --handshake-timeout 601", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --connect-timeout 600 --idle-timeout 5000", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --connect-timeout 2h", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --keepalive 9h --keepalive-interval 1", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --keepalive-probes 127 --user-timeout 500ms", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --keepalive-probes 128", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --backlog 1 --mark 0xffffffff", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --backlog 0", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --mark 0", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --mark 4294967296", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --mark -1", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --bind-device a23456789012345", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --bind-device a234567890123456", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --keepalive 0", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --keepalive 10h", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --keepalive 1500ms", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --keepalive-interval 0", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --data-path turbo", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --verify-client request", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --frobnicate", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert= --key k", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --verify-client require", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --verify-client require --client-ca f", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --alpn a --alpn b", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --cert d --key l", OPTIONS_RUN },
	{ "connect :80 h:443 --verify-client require", OPTIONS_BAD },
	{ "connect :80 h:443 --client-ca f", OPTIONS_BAD },
	{ "connect :80 h:443 --key k", OPTIONS_BAD },
	{ "connect :80 h:443 --control /run/x --control-mode 0600 --control-group adm", OPTIONS_RUN },
	{ "connect :80 h:443 --control none", OPTIONS_RUN },
	{ "connect :80 h:443 --control run/x", OPTIONS_BAD },
	{ "connect :80 h:443 --control none --control-mode 0600", OPTIONS_BAD },
	{ "connect :80 h:443 --control-group adm", OPTIONS_BAD },
	{ "connect :80 h:443 --log syslog", OPTIONS_RUN },
	{ "connect :80 h:443 --log journal --log-facility user", OPTIONS_RUN },
	{ "connect :80 h:443 --log syslog --log-facility local7", OPTIONS_RUN },
	{ "connect :80 h:443 --log syslog --log-facility local8", OPTIONS_BAD },
	{ "connect :80 h:443 --log stderr --log-facility local7", OPTIONS_BAD },
	{ "connect :80 h:443 --log-facility local7", OPTIONS_BAD },
	{ "connect :80 h:443 --log /var/log/x", OPTIONS_BAD },
	{ "connect :80 h:443 --log-format json", OPTIONS_BAD },
	{ "connect :80 h:443 --log-format json --connection-log", OPTIONS_RUN },
	{ "connect :80 h:443 --control-mode 0888", OPTIONS_BAD },
	{ "connect :80 h:443 --control-mode 01000", OPTIONS_BAD },
	{ "connect :80 h:443 --control-mode rw", OPTIONS_BAD },
	{ "-t", OPTIONS_RUN },
	{ "-t -c file", OPTIONS_RUN },
	{ "-t serve", OPTIONS_BAD },
	{ "connect :80 h:443 --cert c", OPTIONS_BAD },
	{ "connect :80 h:443 --ocsp r", OPTIONS_BAD },
	{ "connect :80 h:443 --proxy-protocol", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --proxy-protocol", OPTIONS_RUN },
	{ "serve --proxy-protocol :443 127.0.0.1:80 --cert c --key k", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --proxy-protocol=no", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --proxy-protocol=1", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --proxy-protocol=2", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --proxy-protocol=yes", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --proxy-protocol=3", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --proxy-protocol 1", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --accept-proxy 10.0.0.0/8 --accept-proxy ::1", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --accept-proxy 10.0.0.0/33", OPTIONS_BAD },
	{ "connect :80 h:443 --accept-proxy 10.0.0.0/8", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --client-ca f --allow-client CN=a", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --allow-client CN=a", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --client-ca f --allow-client CN=a --verify-client request", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver auto", OPTIONS_RUN },
	{ "serve :443 [::1]:80 --cert c --key k --deliver always --data-path kernel", OPTIONS_RUN },
	{ "serve [::]:443 127.0.0.1:80 --cert c --key k --deliver always", OPTIONS_RUN },
	{ "serve :443 unix:/run/x --cert c --key k --deliver no --idle-timeout 5", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver yes", OPTIONS_BAD },
	{ "connect :443 127.0.0.1:80 --server-name h --deliver auto", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver auto --starttls smtp", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver always --starttls ldap", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver always --starttls imap", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --starttls mysql", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --starttls postgresql --alpn h2", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --starttls postgresql --alpn h2,postgresql", OPTIONS_RUN },
	{ "serve :443 127.0.0.1:80 --cert c --key k --starttls postgresql --alpn postgresqlx,h2", OPTIONS_BAD },
	{ "serve :443 unix:/run/x --cert c --key k --deliver auto", OPTIONS_BAD },
	{ "serve :443 h:80 --cert c --key k --deliver auto", OPTIONS_BAD },
	{ "serve :443 localhost:80 --cert c --key k --deliver auto", OPTIONS_BAD },
	{ "serve 127.0.0.1:443 [::1]:80 --cert c --key k --deliver auto", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver auto --proxy-protocol", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver auto --data-path user", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver auto --idle-timeout 5", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver auto --keepalive 5", OPTIONS_BAD },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver auto --keepalive-interval 5", OPTIONS_BAD },
	{ "connect :80 unix:/run/x", OPTIONS_BAD },
	{ "-c file serve", OPTIONS_BAD },
	{ "-c file --workers 3", OPTIONS_BAD },
	{ "-c", OPTIONS_BAD },
};

static enum options_result parse(const char *text, struct options *options)
{
	char *argv[MAX_ARGS + 1] = { strdup("tlsgated") };
	char *copy = strdup(text);
	enum options_result result;
	char *word, *save = NULL;
	int argc = 1;

	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	optind = 0;
	result = options_parse(argc, argv, options);
	free(argv[0]);
	free(copy);
	return result;
}

static void test_lines(void)
{
	struct options options;
	char what[160];
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		snprintf(what, sizeof(what), "%s: tlsgated %s",
			 lines[i].result == OPTIONS_RUN ? "taken" : "refused", lines[i].text);
		tap_ok(parse(lines[i].text, &options) == lines[i].result, "%s", what);
		settings_free(options.settings);
	}
}

static void test_values(void)
{
	const struct gate_settings *gate;
	struct options options;

	if (parse("serve :443 127.0.0.1:80 --cert c --key k --idle-timeout=500ms --connect-timeout 2m"
		  " --min-version 1.3 --alpn h2,http/1.1", &options) != OPTIONS_RUN)
		exit(1);
	gate = &options.settings->gates[0];
	tap_ok(gate->idle_timeout == 500 && gate->connect_timeout == 120000 &&
	      gate->handshake_timeout == 10000, "times and their default");
	tap_ok(gate->min_version == TLS_1_3 && gate->max_version == 0, "versions");
	tap_ok(!strcmp(gate->alpn, "h2,http/1.1") && gate->certs.count == 1, "texts");
	settings_free(options.settings);
}

struct listen_case {
	const char *settings, *expected;
};

/* A delivered connection has the family of the socket that it came to. */
static const struct listen_case listen_cases[] = {
	{ "serve :443 127.0.0.1:80 --cert c --key k", "[::]:443" },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver auto", "0.0.0.0:443" },
	{ "serve :443 127.0.0.1:80 --cert c --key k --deliver always", "0.0.0.0:443" },
	{ "serve :443 [::1]:80 --cert c --key k --deliver always", "[::]:443" },
	{ "serve [::]:443 127.0.0.1:80 --cert c --key k --deliver always", "[::]:443" },
};

static void test_listen(void)
{
	const struct gate_settings *gate;
	char text[ADDR_TEXT_MAX];
	struct options options;
	const char *why;
	struct addr addr;
	size_t i;

	for (i = 0; i < sizeof(listen_cases) / sizeof(listen_cases[0]); i++) {
		if (parse(listen_cases[i].settings, &options) != OPTIONS_RUN)
			exit(1);
		gate = &options.settings->gates[0];
		tap_ok(!together_listen(gate, gate->listen.items[0], &addr, &why) &&
		       !strcmp(addr_format(&addr.sa, addr.len, text), listen_cases[i].expected),
		       "%s: on %s", listen_cases[i].settings, listen_cases[i].expected);
		settings_free(options.settings);
	}
}

struct file {
	const char *what, *text;
	enum config_result result;
};

#define GATE	"gate web {\n mode = serve\n listen = {\":443\"}\n backend = \"127.0.0.1:80\"\n" \
		" cert = {\"c\"}\n key = {\"k\"}\n"

static const struct file files[] = {
	{ "one gate", GATE "}\n", CONFIG_OK },
	{ "globals and a comment", "# x\nworkers = 3\nverbose = true\n" GATE "}\n", CONFIG_OK },
	{ "two gates", GATE "}\ngate out {\n mode = connect\n listen = {\":80\"}\n"
	  " backend = \"example.org:443\"\n}\n", CONFIG_OK },
	{ "two of one name", GATE "}\n" GATE "}\n", CONFIG_BAD },
	{ "no gate", "workers = 3\n", CONFIG_BAD },
	{ "unknown key", GATE "colour = red\n}\n", CONFIG_BAD },
	{ "unknown global", "colour = red\n" GATE "}\n", CONFIG_BAD },
	{ "bad value", GATE "min-version = 1.1\n}\n", CONFIG_BAD },
	{ "bad list item", "gate web {\n mode = serve\n listen = {\":443\", \"x\"}\n}\n", CONFIG_BAD },
	{ "other mode's key", GATE "ca = f\n}\n", CONFIG_BAD },
	{ "incomplete gate", "gate web {\n mode = serve\n}\n", CONFIG_BAD },
	{ "key of the other mode, as its first value", "gate out {\n mode = connect\n listen = {\":80\"}\n"
	  " backend = \"example.org:443\"\n verify-client = require\n}\n", CONFIG_BAD },
	{ "what it needs is missing", GATE "verify-client = require\n}\n", CONFIG_BAD },
	{ "key twice", GATE "alpn = a\nalpn = b\n}\n", CONFIG_BAD },
	{ "list twice", GATE "cert = {\"d\"}\n}\n", CONFIG_BAD },
	{ "global twice", "workers = 1\nworkers = 2\n" GATE "}\n", CONFIG_BAD },
	{ "global in a gate", GATE "workers = 2\n}\n", CONFIG_BAD },
	{ "gate's key outside", "alpn = a\n" GATE "}\n", CONFIG_BAD },
	{ "list for one value", GATE "alpn = {a, b}\n}\n", CONFIG_BAD },
	{ "one value for a list", GATE "ocsp = r\n}\n", CONFIG_OK },
	{ "list over lines, comma at its end", GATE "ocsp = {\n r, # x\n /* y */ s,\n}\n}\n", CONFIG_OK },
	{ "list not closed", GATE "ocsp = { r\n}\n", CONFIG_BAD },
	{ "no comma", GATE "ocsp = { r s }\n}\n", CONFIG_BAD },
	{ "quotes", GATE "alpn = 'a'\nocsp = \"\\\"\\\\\"}\n", CONFIG_OK },
	{ "quote not closed", GATE "alpn = \"a\n}\n", CONFIG_BAD },
	{ "escape that means nothing", GATE "ocsp = \"a\\n\"\n}\n", CONFIG_BAD },
	{ "byte order mark", "\xef\xbb\xbf" GATE "}\n", CONFIG_OK },
	{ "no value", GATE "alpn =\n}\n", CONFIG_BAD },
	{ "no =", GATE "alpn a\n}\n", CONFIG_BAD },
	{ "name of 65 bytes", "gate aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccddddddddddddddddd {\n mode = serve\n"
	  " listen = {\":443\"}\n backend = \"127.0.0.1:80\"\n cert = {\"c\"}\n key = {\"k\"}\n}\n", CONFIG_BAD },
	{ "gate without name", "gate {\n}\n", CONFIG_BAD },
	{ "brace too many", GATE "}\n}\n", CONFIG_BAD },
	{ "brace missing", GATE, CONFIG_BAD },
	{ "empty file", "", CONFIG_BAD },
	{ "empty name", "\"\" = x\n" GATE "}\n", CONFIG_BAD },
	{ "comment not closed", GATE "}\n/* x", CONFIG_BAD },
	{ "brace missing, comment not closed", GATE "/* x", CONFIG_BAD },
};

static void test_files(void)
{
	char path[] = "/tmp/test_daemon_settings.XXXXXX";
	struct settings *settings;
	int fd = mkstemp(path);
	char what[80];
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (ftruncate(fd, 0) || pwrite(fd, files[i].text, strlen(files[i].text), 0) < 0)
			exit(1);
		snprintf(what, sizeof(what), "file: %s", files[i].what);
		tap_ok(config_read(path, &settings) == files[i].result &&
		      !settings == (files[i].result != CONFIG_OK), "%s", what);
		settings_free(settings);
	}
	unlink(path);
	close(fd);
	tap_ok(config_read(path, &settings) == CONFIG_UNREADABLE && !settings, "no such file");
}

/* What later refusals name: where each thing stands, counted from 1. */
static void test_places(void)
{
	static const char text[] = "# x\ngate  web {\n\tmode = serve\n\tlisten = {\":443\",\n"
				   "  \":444\"}\n\tbackend = \"127.0.0.1:80\"\n\tcert = c key=k\n}\n";
	char path[] = "/tmp/test_daemon_settings.XXXXXX";
	const struct gate_settings *gate;
	struct settings *settings;
	const struct given *given;
	int fd = mkstemp(path);

	if (write(fd, text, strlen(text)) < 0 || config_read(path, &settings) != CONFIG_OK)
		exit(1);
	unlink(path);
	close(fd);
	gate = &settings->gates[0];
	tap_ok(gate->place.line == 2 && gate->place.column == 7, "place of a gate");
	tap_ok(gate->listen.places[1].line == 5 && gate->listen.places[1].column == 3,
	       "place of a list's item");
	given = setting_given(setting_find("key"), settings, gate);
	tap_ok(given->yes && given->place.line == 7 && given->place.column == 15,
	       "place of a value");
	given = setting_given(setting_find("alpn"), settings, gate);
	tap_ok(!given->yes, "what was not given");
	settings_free(settings);
}

int main(void)
{
	test_lines();
	test_values();
	test_listen();
	test_files();
	test_places();
	return tap_done();
}
