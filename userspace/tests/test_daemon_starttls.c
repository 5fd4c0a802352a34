// SPDX-License-Identifier: MIT
/* daemon/starttls: what is said in plain text before TLS, by each protocol and role, from its RFC. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/starttls/starttls.h"
#include "tests/tap.h"

#define HOST		"mx.test"
#define TEXT(text)	text, sizeof(text) - 1

static struct starttls *talk;

/* What is to be sent, as text; gone with the next call. */
static const char *said(void)
{
	static char text[2048];
	size_t len;
	const uint8_t *out = starttls_output(talk, &len);

	if (len >= sizeof(text))
		tap_bail("too much output");
	memcpy(text, out, len);
	text[len] = 0;
	starttls_output_done(talk, len);
	return text;
}

static void begin(enum starttls_protocol protocol, enum starttls_role role)
{
	starttls_free(talk);
	talk = starttls_new(protocol, role, HOST);
	if (!talk)
		tap_bail("out of memory");
}

static void begin_saying(enum starttls_protocol protocol, enum starttls_role role, const char *opening)
{
	const char *out;

	begin(protocol, role);
	out = said();
	tap_ok(!strcmp(out, opening), "%s, role %d begins with: %s", starttls_name(protocol), role, out);
}

static const char * const results[] = { "MORE", "DONE", "END", "BAD" };

/* All of it at once gives this result, and this as output. */
static void answer_is(const char *data, size_t len, enum starttls_result want, const char *output)
{
	size_t used;
	const enum starttls_result got = starttls_input(talk, (const uint8_t *)data, len, &used);
	const size_t shown = strcspn(data, "\r\n");
	const char *out = said();

	if (!tap_ok(got == want && !strcmp(out, output) && (want == STARTTLS_BAD || used == len),
		    "%.*s: %s", shown < 40 ? (int)shown : 40, data, results[want]))
		printf("# got %s, %zu of %zu bytes used, output: %s, why: %s\n", results[got], used, len,
		       out, starttls_why(talk));
}

static void line(const char *text, enum starttls_result want, const char *output)
{
	answer_is(text, strlen(text), want, output);
}

static void bad(const char *data, size_t len, const char *why)
{
	answer_is(data, len, STARTTLS_BAD, "");
	tap_ok(strstr(starttls_why(talk), why), "because %s", starttls_why(talk));
}

#define SMTP_FIRST	"530 5.7.0 Must issue a STARTTLS command first\r\n"

static void test_smtp_server(void)
{
	begin_saying(STARTTLS_SMTP, STARTTLS_SERVER, "220 mx.test ESMTP\r\n");
	line("EHLO client.test\r\n", STARTTLS_MORE, "250-mx.test\r\n250 STARTTLS\r\n");
	line("ehlo client.test\r\n", STARTTLS_MORE, "250-mx.test\r\n250 STARTTLS\r\n");
	line("HELO client.test\r\n", STARTTLS_MORE, "250 mx.test\r\n");
	line("EHLO\r\n", STARTTLS_MORE, "501 5.5.4 Wrong arguments\r\n");
	line("NOOP\r\n", STARTTLS_MORE, "250 2.0.0 OK\r\n");
	line("RSET\r\n", STARTTLS_MORE, "250 2.0.0 OK\r\n");
	line("MAIL FROM:<a@b.test>\r\n", STARTTLS_MORE, SMTP_FIRST);
	line("AUTH PLAIN AGEAYg==\r\n", STARTTLS_MORE, SMTP_FIRST);
	line("\r\n", STARTTLS_MORE, SMTP_FIRST);
	line("STARTTLSX\r\n", STARTTLS_MORE, SMTP_FIRST);
	line("STARTTLS now\r\n", STARTTLS_MORE, "501 5.5.4 Wrong arguments\r\n");
	line("StartTLS\r\n", STARTTLS_DONE, "220 2.0.0 Go ahead\r\n");
	begin(STARTTLS_SMTP, STARTTLS_SERVER);
	(void)said();
	line("QUIT\r\n", STARTTLS_END, "221 2.0.0 mx.test closes the connection\r\n");
}

/* One command is answered before the next is looked at. */
static void test_pipelining(void)
{
	static const char commands[] = "NOOP\r\nNOOP\r\n";
	size_t used;

	begin(STARTTLS_SMTP, STARTTLS_SERVER);
	(void)said();
	tap_ok(starttls_input(talk, (const uint8_t *)commands, 12, &used) == STARTTLS_MORE && used == 6,
	       "one command at a time");
}

static void test_injection(void)
{
	static const struct {
		enum starttls_protocol protocol;
		const char *data;
		size_t len;
	} rows[] = {
		{ STARTTLS_SMTP, TEXT("STARTTLS\r\nMAIL FROM:<a@b.test>\r\n") },
		{ STARTTLS_SMTP, TEXT("STARTTLS\r\n\x16") },
		{ STARTTLS_IMAP, TEXT("a STARTTLS\r\nb NOOP\r\n") },
		{ STARTTLS_POP3, TEXT("STLS\r\nUSER a\r\n") },
		{ STARTTLS_POSTGRESQL, TEXT("\0\0\0\x08\x04\xd2\x16\x2f\0") },
		{ STARTTLS_LDAP, TEXT("\x30\x1d\x02\x01\x01\x77\x18\x80\x16" "1.3.6.1.4.1.1466.20037\x30") },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(rows[i].protocol, STARTTLS_SERVER);
		(void)said();
		bad(rows[i].data, rows[i].len, "behind the start of TLS");
	}
}

static void test_odd_lines(void)
{
	static char long_line[600];
	size_t used;
	int i;

	begin(STARTTLS_SMTP, STARTTLS_SERVER);
	(void)said();
	bad(TEXT("NOOP\n"), "CR LF");
	begin(STARTTLS_SMTP, STARTTLS_SERVER);
	(void)said();
	bad(TEXT("NO\rOP\r\n"), "CR LF");
	begin(STARTTLS_SMTP, STARTTLS_SERVER);
	(void)said();
	bad(TEXT("NO\0OP\r\n"), "NUL");
	begin(STARTTLS_SMTP, STARTTLS_SERVER);
	(void)said();
	bad(TEXT("\x16\3\1\0\5hello"), "it began TLS at once");
	memset(long_line, 'x', 514);
	begin(STARTTLS_SMTP, STARTTLS_SERVER);
	(void)said();
	bad(long_line, 513, "too long");
	memcpy(long_line + 510, "\r\n", 2);
	begin(STARTTLS_SMTP, STARTTLS_SERVER);
	(void)said();
	answer_is(long_line, 512, STARTTLS_MORE, SMTP_FIRST);	/* RFC 5321, section 4.5.3.1.4 */
	for (i = 1; i < 100; i++) {
		(void)starttls_input(talk, (const uint8_t *)"NOOP\r\n", 6, &used);
		(void)said();
	}
	bad(TEXT("NOOP\r\n"), "too much");
}

/* RFC 5321, section 4.5.3.1.5: 512 bytes with its end. */
static void test_longest_greeting(void)
{
	char greeting[512] = "220 ";
	size_t used, len = 0;

	memset(greeting + 4, 'a', 506);
	memcpy(greeting + 510, "\r\n", 2);
	begin(STARTTLS_SMTP, STARTTLS_CLIENT);
	(void)starttls_input(talk, (const uint8_t *)greeting, sizeof(greeting), &used);
	tap_ok(!memcmp(starttls_greeting(talk, &len), greeting, sizeof(greeting)) && len == sizeof(greeting),
	       "the longest greeting is kept for the client");
}

static void test_smtp_client(void)
{
	size_t len;

	begin_saying(STARTTLS_SMTP, STARTTLS_CLIENT, "");
	line("220-first\r\n", STARTTLS_MORE, "");
	line("220 server.test ready\r\n", STARTTLS_MORE, "EHLO mx.test\r\n");
	line("250-server.test\r\n", STARTTLS_MORE, "");
	line("250-PIPELINING\r\n", STARTTLS_MORE, "");
	line("250-starttls\r\n", STARTTLS_MORE, "");
	line("250 8BITMIME\r\n", STARTTLS_MORE, "STARTTLS\r\n");
	line("220 go\r\n", STARTTLS_DONE, "");
	tap_ok(!memcmp(starttls_greeting(talk, &len), TEXT("220 server.test ready\r\n")) && len == 23,
	       "the greeting is kept for the client");
	test_longest_greeting();
	begin(STARTTLS_SMTP, STARTTLS_CLIENT);
	bad(TEXT("554 no\r\n"), "'554 no'");
	begin(STARTTLS_SMTP, STARTTLS_CLIENT);
	line("220 a\r\n", STARTTLS_MORE, "EHLO mx.test\r\n");
	bad(TEXT("250 a\r\n"), "offers no STARTTLS");
	begin(STARTTLS_SMTP, STARTTLS_CLIENT);
	line("220 a\r\n", STARTTLS_MORE, "EHLO mx.test\r\n");
	line("250-a\r\n", STARTTLS_MORE, "");
	line("250 STARTTLS\r\n", STARTTLS_MORE, "STARTTLS\r\n");
	bad(TEXT("454 TLS not available\r\n"), "refuses STARTTLS");
	begin(STARTTLS_SMTP, STARTTLS_CLIENT);
	line("220 a\r\n", STARTTLS_MORE, "EHLO mx.test\r\n");
	line("250-STARTTLS\r\n", STARTTLS_MORE, "");
	line("250 SIZE\r\n", STARTTLS_MORE, "STARTTLS\r\n");
	bad(TEXT("220 go\r\n250 injected\r\n"), "behind the start of TLS");
}

static void test_greetings(void)
{
	begin_saying(STARTTLS_SMTP, STARTTLS_GREETING, "");
	line("220-a\r\n", STARTTLS_MORE, "");
	line("220 b\r\n", STARTTLS_DONE, "");
	begin(STARTTLS_SMTP, STARTTLS_GREETING);
	bad(TEXT("421 busy\r\n"), "'421 busy'");
	begin(STARTTLS_IMAP, STARTTLS_GREETING);
	line("* OK [CAPABILITY IMAP4rev1] hello\r\n", STARTTLS_DONE, "");
	begin(STARTTLS_IMAP, STARTTLS_GREETING);
	bad(TEXT("* PREAUTH hello\r\n"), "'* PREAUTH hello'");
	begin(STARTTLS_POP3, STARTTLS_GREETING);
	line("+OK <1.2@b.test>\r\n", STARTTLS_DONE, "");
	begin(STARTTLS_POP3, STARTTLS_GREETING);
	bad(TEXT("-ERR busy\r\n"), "'-ERR busy'");
	tap_ok(starttls_server_begins(STARTTLS_SMTP) && starttls_server_begins(STARTTLS_IMAP) &&
	       starttls_server_begins(STARTTLS_POP3) && !starttls_server_begins(STARTTLS_LDAP) &&
	       !starttls_server_begins(STARTTLS_POSTGRESQL) && !starttls_server_begins(STARTTLS_NONE),
	       "servers of SMTP, IMAP and POP3 speak first");
}

#define IMAP_FIRST	" NO [PRIVACYREQUIRED] Must issue a STARTTLS command first\r\n"

static void test_imap(void)
{
	size_t len;

	begin_saying(STARTTLS_IMAP, STARTTLS_SERVER,
		     "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] mx.test ready\r\n");
	line("a1 CAPABILITY\r\n", STARTTLS_MORE,
	     "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na1 OK Completed\r\n");
	line("a2 noop\r\n", STARTTLS_MORE, "a2 OK Completed\r\n");
	line("a3 LOGIN me secret\r\n", STARTTLS_MORE, "a3" IMAP_FIRST);
	line("a4 LOGIN {2}\r\n", STARTTLS_MORE, "a4" IMAP_FIRST);
	line("a5 STARTTLS x\r\n", STARTTLS_MORE, "a5 BAD Wrong arguments\r\n");
	line("a6\r\n", STARTTLS_MORE, "* BAD No tag or no command\r\n");
	line("* STARTTLS\r\n", STARTTLS_MORE, "* BAD No tag or no command\r\n");
	line("+ STARTTLS\r\n", STARTTLS_MORE, "* BAD No tag or no command\r\n");
	line("a  STARTTLS\r\n", STARTTLS_MORE, "* BAD No tag or no command\r\n");
	line("a7 STARTTLS\r\n", STARTTLS_DONE, "a7 OK Begin TLS\r\n");
	begin(STARTTLS_IMAP, STARTTLS_SERVER);
	(void)said();
	bad(TEXT("a LOGIN {10+}\r\n"), "literal");
	begin(STARTTLS_IMAP, STARTTLS_SERVER);
	(void)said();
	line("a LOGOUT\r\n", STARTTLS_END, "* BYE mx.test closes the connection\r\na OK Completed\r\n");

	begin_saying(STARTTLS_IMAP, STARTTLS_CLIENT, "");
	line("* OK [CAPABILITY STARTTLS LOGINDISABLED] there\r\n", STARTTLS_MORE, "t STARTTLS\r\n");
	line("* CAPABILITY IMAP4rev1\r\n", STARTTLS_MORE, "");
	line("t OK go\r\n", STARTTLS_DONE, "");
	tap_ok(!memcmp(starttls_greeting(talk, &len), TEXT("* OK ready\r\n")) && len == 12,
	       "a greeting without what was true before TLS");
	begin(STARTTLS_IMAP, STARTTLS_CLIENT);
	bad(TEXT("* PREAUTH you are in\r\n"), "PREAUTH");
	begin(STARTTLS_IMAP, STARTTLS_CLIENT);
	line("* OK there\r\n", STARTTLS_MORE, "t STARTTLS\r\n");
	bad(TEXT("t NO none\r\n"), "'t NO none'");
	begin(STARTTLS_IMAP, STARTTLS_CLIENT);
	line("* OK there\r\n", STARTTLS_MORE, "t STARTTLS\r\n");
	bad(TEXT("t OK go\r\n* LIST injected\r\n"), "behind the start of TLS");
}

static void test_pop3(void)
{
	size_t len;

	begin_saying(STARTTLS_POP3, STARTTLS_SERVER, "+OK mx.test ready\r\n");
	line("CAPA\r\n", STARTTLS_MORE, "+OK\r\nSTLS\r\n.\r\n");
	line("USER me\r\n", STARTTLS_MORE, "-ERR Must issue an STLS command first\r\n");
	line("STLS x\r\n", STARTTLS_MORE, "-ERR Wrong arguments\r\n");
	line("stls\r\n", STARTTLS_DONE, "+OK Begin TLS\r\n");
	begin(STARTTLS_POP3, STARTTLS_SERVER);
	(void)said();
	line("QUIT\r\n", STARTTLS_END, "+OK mx.test closes the connection\r\n");

	begin_saying(STARTTLS_POP3, STARTTLS_CLIENT, "");
	line("+OK <1.2@there>\r\n", STARTTLS_MORE, "STLS\r\n");
	line("+OK go\r\n", STARTTLS_DONE, "");
	tap_ok(!memcmp(starttls_greeting(talk, &len), TEXT("+OK <1.2@there>\r\n")) && len == 17,
	       "the greeting with its timestamp is kept for the client");
	begin(STARTTLS_POP3, STARTTLS_CLIENT);
	line("+OK there\r\n", STARTTLS_MORE, "STLS\r\n");
	bad(TEXT("-ERR none\r\n"), "'-ERR none'");
}

/* The result of so many bytes in hexadecimal, and the output in hexadecimal. */
static void hex(const char *what, const char *in, enum starttls_result want, const char *output)
{
	const struct tls_slice data = tap_hex(in), expected = tap_hex(output);
	size_t used, len;
	const enum starttls_result got = starttls_input(talk, data.p, data.len, &used);
	const uint8_t *out = starttls_output(talk, &len);

	tap_ok(got == want, "%s: %s, not %s", what, results[want], results[got]);
	if (tap_equal((long)len, (long)expected.len, "%s: length of the answer", what))
		tap_bytes(out, len, output, "%s: answer", what);
	starttls_output_done(talk, len);
}

#define SSL_REQUEST	"00000008 04d2162f"
#define GSSENC_REQUEST	"00000008 04d21630"
#define CANCEL_REQUEST	"00000010 04d2162e 00000001 00000002"
#define STARTUP		"00000009 00030000 00"
/* FATAL twice, 28000, and the sentence. */
#define REFUSAL		"45 00000066 53464154414c00 56464154414c00 43323830303000 4d"		\
			"544c5320697320726571756972656420686572653a20636f6e6e656374207769746820"	\
			"73736c6d6f64653d72657175697265206f722c206265747465722c207665726966792d"	\
			"66756c6c"	\
			"00 00"

static void test_postgresql(void)
{
	begin(STARTTLS_POSTGRESQL, STARTTLS_SERVER);
	hex("SSLRequest", SSL_REQUEST, STARTTLS_DONE, "53");
	tap_ok(!starttls_is_direct(talk), "asked for");
	begin(STARTTLS_POSTGRESQL, STARTTLS_SERVER);
	hex("GSSENCRequest", GSSENC_REQUEST, STARTTLS_MORE, "4e");
	hex("then SSLRequest", SSL_REQUEST, STARTTLS_DONE, "53");
	begin(STARTTLS_POSTGRESQL, STARTTLS_SERVER);
	hex("GSSENCRequest", GSSENC_REQUEST, STARTTLS_MORE, "4e");
	hex("GSSENCRequest twice", GSSENC_REQUEST, STARTTLS_BAD, "");
	begin(STARTTLS_POSTGRESQL, STARTTLS_SERVER);
	hex("GSSENCRequest", GSSENC_REQUEST, STARTTLS_MORE, "4e");
	hex("direct TLS after a request", "1603010100010000", STARTTLS_BAD, "");
	begin(STARTTLS_POSTGRESQL, STARTTLS_SERVER);
	hex("direct TLS", "16030101000100", STARTTLS_DONE, "");
	tap_ok(starttls_is_direct(talk), "TLS without being asked for");
	begin(STARTTLS_POSTGRESQL, STARTTLS_SERVER);
	hex("StartupMessage", STARTUP, STARTTLS_END, REFUSAL);
	begin(STARTTLS_POSTGRESQL, STARTTLS_SERVER);
	hex("CancelRequest", CANCEL_REQUEST, STARTTLS_END, REFUSAL);
	begin(STARTTLS_POSTGRESQL, STARTTLS_SERVER);
	hex("HTTP", "474554202f20485454502f312e310d0a", STARTTLS_BAD, "");

	tap_ok(starttls_is_request(tap_hex(SSL_REQUEST).p) && starttls_is_request(tap_hex(GSSENC_REQUEST).p) &&
	       !starttls_is_request(tap_hex(STARTUP).p) && !starttls_is_request(tap_hex(CANCEL_REQUEST).p),
	       "requests for encryption");

	begin(STARTTLS_POSTGRESQL, STARTTLS_CLIENT);
	hex("asks", "", STARTTLS_MORE, SSL_REQUEST);
	hex("may", "53", STARTTLS_DONE, "");
	begin(STARTTLS_POSTGRESQL, STARTTLS_CLIENT);
	hex("asks", "", STARTTLS_MORE, SSL_REQUEST);
	hex("may not", "4e", STARTTLS_BAD, "");
	begin(STARTTLS_POSTGRESQL, STARTTLS_CLIENT);
	hex("asks", "", STARTTLS_MORE, SSL_REQUEST);
	hex("an old server", "45", STARTTLS_BAD, "");
	begin(STARTTLS_POSTGRESQL, STARTTLS_CLIENT);
	hex("asks", "", STARTTLS_MORE, SSL_REQUEST);
	hex("an injected byte", "5352", STARTTLS_BAD, "");	/* CVE-2021-23222 */
}

#define OID		"312e332e362e312e342e312e313436362e3230303337"
#define START_TLS(id)	"301d 0201" id " 7718 8016" OID
/* "StartTLS is required first" */
#define FIRST		"5374617274544c53206973207265717569726564206669727374"

static void ldap_bad(const char *what, const char *in)
{
	begin(STARTTLS_LDAP, STARTTLS_SERVER);
	hex(what, in, STARTTLS_BAD, "");
}

static void test_ldap_server(void)
{
	begin(STARTTLS_LDAP, STARTTLS_SERVER);
	hex("a search", "3005 020102 6300", STARTTLS_MORE, "3026 020102 6521 0a010d 0400 041a" FIRST);
	hex("a bind", "3006 02020100 6000", STARTTLS_MORE, "3027 02020100 6121 0a010d 0400 041a" FIRST);
	hex("who am I", "300a 020103 7705 8003 312e32", STARTTLS_MORE,
	    "303e 020103 7839 0a010d 0400 041a" FIRST "8a16" OID);
	hex("abandon", "3006 020104 500102", STARTTLS_MORE, "");
	hex("StartTLS with a value", "301f 020105 771a 8016" OID "8100", STARTTLS_MORE,
	    "3039 020105 7834 0a0102 0400 0415 5374617274544c5320686173206e6f2076616c7565 8a16" OID);
	hex("StartTLS with controls", "301f 020106 7718 8016" OID "a000", STARTTLS_MORE,
	    "303a 020106 7835 0a010c 0400 0416 6e6f20636f6e74726f6c73206265666f726520544c53 8a16" OID);
	hex("StartTLS", START_TLS("07"), STARTTLS_DONE, "3024 020107 781f 0a0100 0400 0400 8a16" OID);
	begin(STARTTLS_LDAP, STARTTLS_SERVER);
	hex("lengths of four bytes", "308400000025 020101 77840000001c 808400000016" OID, STARTTLS_DONE,
	    "3024 020101 781f 0a0100 0400 0400 8a16" OID);
	begin(STARTTLS_LDAP, STARTTLS_SERVER);
	hex("unbind", "3005 020101 4200", STARTTLS_END, "");
	ldap_bad("no sequence", "31");
	ldap_bad("an indefinite length", "3080");
	ldap_bad("a length of five bytes", "30850000000005");
	ldap_bad("a length beyond the limit", "30821000");
	ldap_bad("a huge length", "3084ffffffff");
	ldap_bad("an id of five bytes", "3009 02050000000001 6000");
	ldap_bad("a negative id", "3005 0201ff 6000");
	ldap_bad("an empty id", "3004 0200 6000");
	ldap_bad("an id that is longer than the message", "3005 027f01 6000");
	ldap_bad("a request beyond the message", "3005 020101 6001");
	ldap_bad("bytes behind the request", "3006 020101 6000 00");
	ldap_bad("something else than controls", "3007 020101 6000 0400");
	ldap_bad("an unknown request", "3005 020101 7f00");
	ldap_bad("an empty message", "3000");
}

static void ldap_refused(const char *what, const char *in)
{
	begin(STARTTLS_LDAP, STARTTLS_CLIENT);
	hex("asks", "", STARTTLS_MORE, START_TLS("01"));
	hex(what, in, STARTTLS_BAD, "");
}

static void test_ldap_client(void)
{
	begin(STARTTLS_LDAP, STARTTLS_CLIENT);
	hex("asks", "", STARTTLS_MORE, START_TLS("01"));
	hex("may", "300c 020101 7807 0a0100 0400 0400", STARTTLS_DONE, "");
	ldap_refused("may not", "300c 020101 7807 0a0134 0400 0400");
	ldap_refused("another answer's", "300c 020102 7807 0a0100 0400 0400");
	ldap_refused("no answer of StartTLS", "300c 020101 6107 0a0100 0400 0400");
	ldap_refused("an injected message", "300c 020101 7807 0a0100 0400 0400 30");
	ldap_refused("a longer code", "300d 020101 7808 0a020000 0400 0400");
}

int main(void)
{
	test_smtp_server();
	test_smtp_client();
	test_pipelining();
	test_injection();
	test_odd_lines();
	test_greetings();
	test_imap();
	test_pop3();
	test_postgresql();
	test_ldap_server();
	test_ldap_client();
	starttls_free(talk);
	return tap_done();
}
