// SPDX-License-Identifier: MIT
/* daemon/census: each process counts in a row of its own, and sees what all rows come to. */
#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/census.h"
#include "tests/tap.h"

#define NOW	1000000000000ull

static struct sockaddr_in6 address(const char *text)
{
	struct sockaddr_in6 out = { .sin6_family = AF_INET6 };
	struct sockaddr_in *sin = (struct sockaddr_in *)&out;

	if (inet_pton(AF_INET6, text, &out.sin6_addr) == 1)
		return out;
	out = (struct sockaddr_in6){0};
	sin->sin_family = AF_INET;
	if (inet_pton(AF_INET, text, &sin->sin_addr) != 1)
		tap_bail("address");
	return out;
}

static uint64_t hash_of(const struct census *census, size_t gate, const char *text)
{
	const struct sockaddr_in6 client = address(text);

	return census_hash(census, gate, &client);
}

static void test_hash(const struct census *census)
{
	tap_ok(hash_of(census, 0, "192.0.2.1") == hash_of(census, 0, "::ffff:192.0.2.1"),
	       "an IPv4 address is the same by IPv6");
	tap_ok(hash_of(census, 0, "192.0.2.1") != hash_of(census, 0, "192.0.2.2"), "another one is not");
	tap_ok(hash_of(census, 0, "192.0.2.1") != hash_of(census, 1, "192.0.2.1"), "nor is it at another gate");
	tap_ok(hash_of(census, 0, "2001:db8:1:2::1") == hash_of(census, 0, "2001:db8:1:2:ffff::9"),
	       "64 bits of an IPv6 address count");
	tap_ok(hash_of(census, 0, "2001:db8:1:2::1") != hash_of(census, 0, "2001:db8:1:3::1"),
	       "and all of these");
}

/* A worker that counts as work() says.  The end of a pipe that keeps it alive. */
static int worker(struct census *census, size_t row, void (*work)(const struct census *census), pid_t *pid)
{
	int ready[2], alive[2];
	char byte;

	if (pipe(ready) || pipe(alive))
		tap_bail("pipe");
	census_lend(census, row, true);
	*pid = fork();
	census_lend(census, row, false);
	if (*pid < 0)
		tap_bail("fork");
	if (!*pid) {
		close(ready[0]);
		close(alive[1]);
		census->own = row;
		work(census);
		close(ready[1]);
		_exit(read(alive[0], &byte, 1) != 0);
	}
	close(ready[1]);
	close(alive[0]);
	if (read(ready[0], &byte, 1))
		tap_bail("no end of file");
	close(ready[0]);
	return alive[1];
}

static void count_three(const struct census *census)
{
	int i;

	for (i = 0; i < 3; i++) {
		census_add_connections(census, 7, 1);
		(void)census_add_address(census, hash_of(census, 7, "192.0.2.1"));
		census_add_start(census, hash_of(census, 7, "192.0.2.1"), NOW);
	}
	census_add_handshakes(census, 2);
	census_remove_address(census, hash_of(census, 7, "192.0.2.1"));
}

static void test_workers(struct census *census)
{
	size_t row = census_take_row(census);
	struct census_sum sum;
	pid_t pid;
	int alive;

	alive = worker(census, row, count_three, &pid);
	census_add_connections(census, 7, 2);	/* as the kernel's */
	sum = census_connections(census, 7);
	tap_ok(sum.own == 2 && sum.others == 3, "connections of a worker, and the monitor's");
	sum = census_address(census, hash_of(census, 7, "192.0.2.1"));
	tap_ok(sum.own == 0 && sum.others == 2, "of an address");
	tap_equal(census_handshakes(census).others, 2, "handshakes");
	tap_equal(census_starts(census, hash_of(census, 7, "192.0.2.1"), NOW).others, 3, "starts");
	close(alive);
	waitpid(pid, NULL, 0);
	tap_equal(census_connections(census, 7).others, 3, "they stay until the row is freed");
	census_free_row(census, row);
	tap_equal(census_connections(census, 7).others, 0, "and go with it");
	tap_equal(census_address(census, hash_of(census, 7, "192.0.2.1")).others, 0, "all of them");
	census_add_connections(census, 7, -3);
	tap_equal(census_connections(census, 7).own, 0, "never less than none");
}

static void count_two_more(const struct census *census)
{
	count_three(census);
	census_add_connections(census, 7, 2);
}

/* For another worker. */
static struct census_sum seen(const struct census *census)
{
	struct census other = *census;

	other.own = CENSUS_NONE;
	return census_connections(&other, 7);
}

static void test_retired(struct census *census)
{
	const size_t row = census_take_row(census);
	struct census_sum sum;
	pid_t pid[2];
	int alive[2];

	alive[0] = worker(census, row, count_three, &pid[0]);
	census_retire_row(census, row);
	sum = seen(census);
	tap_ok(sum.carried == 3 && !sum.others, "a worker that drains is believed what it had");
	tap_equal(census_address(census, hash_of(census, 7, "192.0.2.1")).carried, 2, "of an address, too");
	alive[1] = worker(census, row, count_two_more, &pid[1]);
	sum = seen(census);
	tap_ok(sum.carried == 3 && sum.others == 5, "what it claims beyond is another's word");
	close(alive[1]);
	waitpid(pid[1], NULL, 0);	/* it has the other's pipe, too */
	close(alive[0]);
	waitpid(pid[0], NULL, 0);
	census_free_row(census, row);
	sum = seen(census);
	tap_ok(!sum.carried && !sum.others, "nothing is left");
	tap_equal(census_take_row(census), row, "the row");
	census_add_connections(census, 7, 1);
	tap_equal(seen(census).carried, 1, "is the next one's, which is not retired");
	census_add_connections(census, 7, -1);
	census_free_row(census, row);
}

static void test_foreign_row(struct census *census)
{
	const size_t row = census_take_row(census), other = census_take_row(census);
	pid_t pid;

	census_lend(census, row, true);
	pid = fork();
	census_lend(census, row, false);
	if (pid < 0)
		tap_bail("fork");
	if (!pid) {
		(void)signal(SIGSEGV, SIG_DFL);	/* the sanitizer would report it */
		census->own = other;
		census_add_connections(census, 1, 1);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	tap_equal(census_connections(census, 1).others, 0, "a worker cannot write a row that was not lent to it");
	census_free_row(census, row);
	census_free_row(census, other);
}

static void test_room(const struct census *census)
{
	const uint64_t one = (uint64_t)1 << 20;	/* apart from others in the same bucket */
	uint64_t i;

	for (i = 1; i <= CENSUS_WAYS; i++)
		tap_ok(census_add_address(census, i * one), "room for address %u of a bucket", (unsigned int)i);
	tap_ok(!census_add_address(census, i * one), "no room for one more");
	tap_ok(census_add_address(census, one), "but for another connection of one that has some");
	tap_equal(census_address(census, one).own, 2, "which is counted");
	tap_equal(census_address(census, i * one).own, 0, "the other is not");
	census_remove_address(census, 2 * one);
	tap_ok(census_add_address(census, i * one), "room, once an address has no connection");
}

static void test_starts(const struct census *census)
{
	const uint64_t one = (uint64_t)1 << 40;
	uint64_t i;
	int j;

	for (j = 0; j < 10; j++)
		census_add_start(census, one, NOW);
	tap_equal(census_starts(census, one, NOW + 999).own, 10, "within their second");
	tap_equal(census_starts(census, one, NOW + 1000).own, 10, "at the end of it");
	tap_equal(census_starts(census, one, NOW + 1700).own, 3, "less and less in the next");
	tap_equal(census_starts(census, one, NOW + 2000).own, 0, "and then no more");
	for (i = 2; i <= CENSUS_WAYS + 1; i++)
		census_add_start(census, i * one, NOW);
	tap_equal(census_starts(census, one, NOW).own, 10, "who comes most often is not forgotten");
	for (j = 0; j < 2 * CENSUS_RATE_MAX; j++)
		census_add_start(census, one, NOW);
	tap_ok(census_starts(census, one, NOW).own >= CENSUS_RATE_MAX, "a number has an end");
}

static void test_gates(struct census *census)
{
	const size_t gate = census_gate(census, "one"), other = census_gate(census, "two");

	tap_ok(gate != other && census_gate(census, "one") == gate, "a name has a number, and keeps it");
	tap_equal(census_find_gate(census, "two"), other, "which can be found");
	census_put_gate(census, gate);
	census_put_gate(census, gate);
	census_add_connections(census, gate, 1);
	tap_ok(census_gate(census, "three") != gate, "also while it has but a connection");
	census_add_connections(census, gate, -1);
	tap_equal(census_gate(census, "four"), gate, "then another name may have it");
	tap_equal(census_find_gate(census, "one"), CENSUS_NONE, "and the old one has none");
}

static bool is_full(uint64_t own, uint64_t carried, uint64_t others, uint64_t limit, size_t workers)
{
	return census_is_full((struct census_sum){ own, carried, others }, limit, workers);
}

static void test_full(void)
{
	tap_ok(!is_full(3, 2, 4, 10, 2) && is_full(3, 2, 5, 10, 2), "a limit is of the sum");
	tap_ok(is_full(0, 0, 1, 1, 4) && is_full(0, 1, 0, 1, 4), "also of one");
	tap_ok(is_full(0, 10, 0, 10, 4), "what the kernel carries is no claim of a worker");
	tap_ok(!is_full(24, 0, 1u << 31, 100, 2), "no claim keeps a worker from half of its share");
	tap_ok(is_full(25, 0, 1u << 31, 100, 2), "but from more");
	tap_ok(!is_full(0, 49, 1u << 31, 100, 2) && is_full(0, 50, 1u << 31, 100, 2),
	       "nor the kernel from half of the limit");
}

int main(void)
{
	static struct census census;

	if (census_open(&census) || census_open(&census))
		tap_bail("no memory");
	test_hash(&census);
	test_workers(&census);
	test_retired(&census);
	test_foreign_row(&census);
	test_room(&census);
	test_starts(&census);
	test_gates(&census);
	test_full();
	census_close(&census);
	return tap_done();
}
