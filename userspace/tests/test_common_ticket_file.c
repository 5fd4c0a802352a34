// SPDX-License-Identifier: MIT
/* common/ticket_file: the two forms of files with ticket keys, and what is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/ticket_file.h"
#include "tests/tap.h"

#define A "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"	/* 48 bytes A */
#define B "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC"
#define C "Q0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0ND"
#define LONG "REREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREQ="

static uint8_t raw[9 * TICKET_LONG];

static void taken(const char *what, const void *data, size_t len, size_t count, uint8_t sealing,
		  size_t key_len)
{
	struct ticket_secrets *secrets;
	const char *why;
	size_t at;

	secrets = ticket_file_parse(data, len, &why);
	at = secrets ? ticket_secrets_sealing(secrets) : 0;
	tap_ok(secrets && secrets->count == count && secrets->keys[at].bytes[0] == sealing &&
	       secrets->keys[at].len == key_len, "%s%s%s", what, secrets ? "" : ": ", secrets ? "" : why);
	ticket_secrets_free(secrets);
}

static void refused(const char *what, const void *data, size_t len)
{
	const char *why = "";

	struct ticket_secrets *secrets = ticket_file_parse(data, len, &why);

	tap_ok(!secrets && strchr(why, ':'), "%s: %s", what, why);
	ticket_secrets_free(secrets);
}

static void refused_text(const char *what, const char *text)
{
	refused(what, text, strlen(text));
}

static void test_text(void)
{
	static const char unix_lines[] = A "\n" B "\n" C "\n", dos_lines[] = "\r\n" A "\r\n" B "\r\n\r\n" C,
			  mixed[] = A "\n" LONG "\n" C "\n";

	taken("three lines: the second seals", unix_lines, sizeof(unix_lines) - 1, 3, 'B', TICKET_SHORT);
	taken("lines that end otherwise", dos_lines, sizeof(dos_lines) - 1, 3, 'B', TICKET_SHORT);
	taken("a key of 80 bytes", mixed, sizeof(mixed) - 1, 3, 'D', TICKET_LONG);
	refused_text("two lines", A "\n" B "\n");
	refused_text("a line that is cut off", A "\n" B "\n" "QUFB\n");
	refused_text("two keys in one line", A "\n" B C "\n" C "\n" A "\n");
	refused_text("nine lines", A "\n" A "\n" A "\n" A "\n" A "\n" A "\n" A "\n" A "\n" A "\n");
	refused_text("empty lines alone", "\n\n\n");
}

static void test_raw(void)
{
	taken("a raw key of 80 bytes", raw, TICKET_LONG, 1, 0x80, TICKET_LONG);
	taken("one of 48", raw, TICKET_SHORT, 1, 0x80, TICKET_SHORT);
	taken("eight: the first seals", raw, 8 * TICKET_LONG, 8, 0x80, TICKET_LONG);
	taken("240 bytes are three keys of 80", raw, 240, 3, 0x80, TICKET_LONG);
	refused("nine keys", raw, 9 * TICKET_LONG);
	refused("81 bytes", raw, TICKET_LONG + 1);
	refused("an empty file", raw, 0);
}

static void test_mode(void)
{
	char path[] = "/tmp/test_ticket_file.XXXXXX";
	int fd = mkstemp(path);
	struct ticket_secrets *secrets;
	const char *why = "";

	if (fd < 0 || write(fd, raw, TICKET_LONG) != TICKET_LONG)
		tap_bail("no file");
	secrets = ticket_file_read(path, geteuid(), &why);
	tap_ok(secrets && secrets->count == 1, "a file of the owner alone");
	ticket_secrets_free(secrets);
	for (mode_t bit = 1; bit <= 040; bit <<= 1) {
		(void)fchmod(fd, 0600 | bit);
		tap_ok(!ticket_file_read(path, geteuid(), &why) && strstr(why, "chmod 600"), "mode %o is refused", 0600 | bit);
	}
	close(fd);
	(void)unlink(path);
}

int main(void)
{
	memset(raw, 1, sizeof(raw));
	raw[0] = 0x80;
	test_text();
	test_raw();
	test_mode();
	return tap_done();
}
