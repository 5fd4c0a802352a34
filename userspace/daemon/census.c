// SPDX-License-Identifier: MIT
#include "daemon/census.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define PAGE		4096u
#define MONITORS	0u		/* its row */

/* An address: 44 bits of its hash and 20 of a number; 0: free. */
#define NUMBER_BITS	20
#define NUMBER_MAX	((1u << NUMBER_BITS) - 1)

/* Starts: 24 bits of the hash, 16 of the second, 12 of the number in it, 12 of the one in the second before. */
#define PART_BITS	12
#define PART_MAX	((1u << PART_BITS) - 1)
#define SECOND_BITS	16
#define TAG_SHIFT	(2 * PART_BITS + SECOND_BITS)

_Static_assert(CENSUS_MAX <= NUMBER_MAX && CENSUS_RATE_MAX <= PART_MAX, "limits are within what is counted");

typedef _Atomic uint64_t bucket[CENSUS_WAYS];

struct row {
	_Atomic uint32_t connections[CENSUS_GATES];
	bucket addresses[CENSUS_BUCKETS];
	bucket starts[CENSUS_BUCKETS];
	_Atomic uint32_t handshakes;
	uint8_t pad[PAGE - sizeof(uint32_t)];	/* rows are lent by pages */
};

_Static_assert(sizeof(struct row) % PAGE == 0, "a row is whole pages");

struct head {
	_Atomic uint32_t rows;		/* the first so many may have been taken */
	_Atomic bool retired[CENSUS_ROWS];
	uint8_t pad[PAGE - sizeof(uint32_t) - CENSUS_ROWS];
};

/* What is never written takes no memory. */
struct region {
	struct head head;
	struct row rows[CENSUS_ROWS];
	struct row kept[CENSUS_ROWS];	/* of those that are retired: connections and addresses then */
};

_Static_assert(sizeof(struct head) == PAGE, "so that rows begin with a page");

/* The part that this process may write. */
static struct region *writable(const struct census *census)
{
	return census->memory.ours;
}

static const struct region *readable(const struct census *census)
{
	return census->memory.theirs;
}

static struct row *own_row(const struct census *census)
{
	return census->own == CENSUS_NONE ? NULL : &writable(census)->rows[census->own];
}

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

/* ---- rows ---- */

int census_open(struct census *census)
{
	if (census->memory.ours)
		return 0;
	if (shared_new(&census->memory, sizeof(struct region)))
		return -1;
	crypto_shorthash_keygen(census->key);
	census->own = MONITORS;
	census->taken[MONITORS] = true;
	atomic_store(&writable(census)->head.rows, MONITORS + 1);
	return 0;
}

void census_close(struct census *census)
{
	shared_free(&census->memory);
}

size_t census_take_row(struct census *census)
{
	size_t row = MONITORS + 1;

	while (row < CENSUS_ROWS && census->taken[row])
		row++;
	if (row == CENSUS_ROWS)
		return CENSUS_NONE;
	census->taken[row] = true;
	/* the one that had it may have been killed a moment before it was freed */
	memset(&writable(census)->rows[row], 0, sizeof(struct row));
	if (row >= atomic_load(&writable(census)->head.rows))
		atomic_store(&writable(census)->head.rows, (uint32_t)row + 1);
	return row;
}

void census_retire_row(const struct census *census, size_t row)
{
	struct region *region = writable(census);
	struct row *from, *to;
	size_t i;

	if (row == CENSUS_NONE)
		return;
	from = &region->rows[row];
	to = &region->kept[row];
	for (i = 0; i < CENSUS_GATES; i++)
		atomic_store_explicit(&to->connections[i], atomic_load_explicit(&from->connections[i],
				      memory_order_relaxed), memory_order_relaxed);
	for (i = 0; i < CENSUS_ADDRESSES; i++)
		store(&to->addresses[i / CENSUS_WAYS][i % CENSUS_WAYS],
		      load(&from->addresses[i / CENSUS_WAYS][i % CENSUS_WAYS]));
	atomic_store(&region->head.retired[row], true);
}

void census_free_row(struct census *census, size_t row)
{
	uint32_t rows;

	if (row == CENSUS_NONE)
		return;
	memset(&writable(census)->rows[row], 0, sizeof(struct row));
	atomic_store(&writable(census)->head.retired[row], false);
	census->taken[row] = false;
	rows = atomic_load(&writable(census)->head.rows);
	while (!census->taken[rows - 1])
		rows--;
	atomic_store(&writable(census)->head.rows, rows);
}

void census_lend(const struct census *census, size_t row, bool lend)
{
	/* fails only for memory that is not ours */
	if (row != CENSUS_NONE)
		(void)madvise(&writable(census)->rows[row], sizeof(struct row),
			      lend ? MADV_DOFORK : MADV_DONTFORK);
}

void census_clear(const struct census *census)
{
	memset(own_row(census), 0, sizeof(struct row));
}

/* ---- gates ---- */

size_t census_find_gate(const struct census *census, const char *name)
{
	size_t i;

	for (i = 0; i < CENSUS_GATES; i++)
		if (!strcmp(census->gates[i].name, name))
			return i;
	return CENSUS_NONE;
}

/* No generation has it, and nobody is connected. */
static bool is_forgotten(const struct census *census, size_t gate)
{
	const struct census_sum sum = census_connections(census, gate);

	return !census->gates[gate].users && !sum.own && !sum.carried && !sum.others;
}

static size_t free_gate(const struct census *census)
{
	size_t i;

	for (i = 0; i < CENSUS_GATES; i++)
		if (!census->gates[i].name[0] || is_forgotten(census, i))
			return i;
	return CENSUS_NONE;
}

size_t census_gate(struct census *census, const char *name)
{
	size_t gate = census_find_gate(census, name);

	if (gate == CENSUS_NONE) {
		gate = free_gate(census);
		if (gate == CENSUS_NONE)
			return gate;
		snprintf(census->gates[gate].name, sizeof(census->gates[gate].name), "%s", name);
	}
	census->gates[gate].users++;
	return gate;
}

void census_put_gate(struct census *census, size_t gate)
{
	census->gates[gate].users--;
}

/* ---- sums ---- */

/* What one row has of it; key: of the caller's choice. */
typedef uint32_t read_row(const struct row *row, uint64_t key, uint64_t now_ms);

/* As much of number as the row had when its worker was told to drain: it can only get less. */
static uint32_t kept_of(const struct region *region, size_t row, uint32_t number, read_row *read, uint64_t key,
			uint64_t now_ms)
{
	uint32_t kept;

	if (!number || !atomic_load_explicit(&region->head.retired[row], memory_order_relaxed))
		return 0;
	kept = read(&region->kept[row], key, now_ms);
	return kept < number ? kept : number;
}

static struct census_sum add_up(const struct census *census, read_row *read, uint64_t key, uint64_t now_ms)
{
	const struct region *region = readable(census);
	const size_t rows = atomic_load_explicit(&region->head.rows, memory_order_relaxed);
	struct census_sum sum = {0};
	uint32_t number, kept;
	size_t i;

	for (i = 0; i < rows; i++) {
		number = read(&region->rows[i], key, now_ms);
		kept = i == MONITORS ? number : kept_of(region, i, number, read, key, now_ms);
		if (i == census->own) {
			sum.own += number;
			continue;
		}
		sum.carried += kept;
		sum.others += number - kept;
	}
	return sum;
}

bool census_is_full(struct census_sum sum, uint64_t limit, size_t workers)
{
	return sum.own + sum.carried + sum.others >= limit &&
	       (sum.own >= limit / (2 * workers) || sum.own + sum.carried >= limit / 2);
}

/* There is no other writer, so that no locked instruction is needed. */
static void add_to(_Atomic uint32_t *to, int32_t number)
{
	const int64_t sum = (int64_t)atomic_load_explicit(to, memory_order_relaxed) + number;

	atomic_store_explicit(to, sum < 0 ? 0 : (uint32_t)sum, memory_order_relaxed);
}

static uint32_t read_connections(const struct row *row, uint64_t key, uint64_t now_ms)
{
	(void)now_ms;
	return atomic_load_explicit(&row->connections[key], memory_order_relaxed);
}

void census_add_connections(const struct census *census, size_t gate, int32_t number)
{
	struct row *row = own_row(census);

	if (row)
		add_to(&row->connections[gate], number);
}

struct census_sum census_connections(const struct census *census, size_t gate)
{
	return add_up(census, read_connections, gate, 0);
}

static uint32_t read_handshakes(const struct row *row, uint64_t key, uint64_t now_ms)
{
	(void)key;
	(void)now_ms;
	return atomic_load_explicit(&row->handshakes, memory_order_relaxed);
}

void census_add_handshakes(const struct census *census, int32_t number)
{
	struct row *row = own_row(census);

	if (row)
		add_to(&row->handshakes, number);
}

struct census_sum census_handshakes(const struct census *census)
{
	return add_up(census, read_handshakes, 0, 0);
}

/* ---- addresses ---- */

uint64_t census_hash(const struct census *census, size_t gate, const struct sockaddr_in6 *client)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)(const void *)client;
	struct {
		uint64_t gate;
		uint8_t address[8];
	} in = { .gate = gate };
	uint64_t hash;

	/* no network of IPv6 begins as IPv4 addresses do here: ::/8 is reserved (RFC 4291 section 2.4) */
	if (client->sin6_family == AF_INET)
		memcpy(in.address + 4, &sin->sin_addr, 4);
	else if (IN6_IS_ADDR_V4MAPPED(&client->sin6_addr))
		memcpy(in.address + 4, &client->sin6_addr.s6_addr[12], 4);
	else
		memcpy(in.address, client->sin6_addr.s6_addr, 8);
	(void)crypto_shorthash((uint8_t *)&hash, (const uint8_t *)&in, sizeof(in), census->key);
	return hash;
}

/* Its word in the bucket, or CENSUS_WAYS: there is none. */
static unsigned int find_address(const bucket words, uint64_t hash)
{
	unsigned int i;

	for (i = 0; i < CENSUS_WAYS; i++)
		if (load(&words[i]) && load(&words[i]) >> NUMBER_BITS == hash >> NUMBER_BITS)
			break;
	return i;
}

static unsigned int find_free(const bucket words)
{
	unsigned int i;

	for (i = 0; i < CENSUS_WAYS && load(&words[i]); i++)
		;
	return i;
}

static uint32_t read_address(const struct row *row, uint64_t key, uint64_t now_ms)
{
	const _Atomic uint64_t *words = row->addresses[key % CENSUS_BUCKETS];
	const unsigned int i = find_address(words, key);

	(void)now_ms;
	return i < CENSUS_WAYS ? load(&words[i]) & NUMBER_MAX : 0;
}

bool census_add_address(const struct census *census, uint64_t hash)
{
	struct row *row = own_row(census);
	_Atomic uint64_t *words;
	unsigned int i;

	if (!row)
		return false;
	words = row->addresses[hash % CENSUS_BUCKETS];
	i = find_address(words, hash);
	if (i < CENSUS_WAYS && (load(&words[i]) & NUMBER_MAX) == NUMBER_MAX)
		return false;
	if (i < CENSUS_WAYS) {
		store(&words[i], load(&words[i]) + 1);
		return true;
	}
	i = find_free(words);
	if (i < CENSUS_WAYS)
		store(&words[i], (hash & ~(uint64_t)NUMBER_MAX) | 1);
	return i < CENSUS_WAYS;
}

void census_remove_address(const struct census *census, uint64_t hash)
{
	_Atomic uint64_t *words = own_row(census)->addresses[hash % CENSUS_BUCKETS];
	const unsigned int i = find_address(words, hash);

	if (i < CENSUS_WAYS)
		store(&words[i], (load(&words[i]) & NUMBER_MAX) == 1 ? 0 : load(&words[i]) - 1);
}

struct census_sum census_address(const struct census *census, uint64_t hash)
{
	return add_up(census, read_address, hash, 0);
}

/* ---- starts ---- */

struct starts {
	uint32_t now, before;		/* in this second, and in the one before */
};

static uint64_t second_of(uint64_t now_ms)
{
	return now_ms / 1000 & ((1u << SECOND_BITS) - 1);
}

/* As of now: what is two seconds old is nothing. */
static struct starts unpack(uint64_t word, uint64_t now_ms)
{
	const uint64_t second = word >> 2 * PART_BITS & ((1u << SECOND_BITS) - 1);
	const uint64_t age = (second_of(now_ms) - second) & ((1u << SECOND_BITS) - 1);
	const uint32_t now = word >> PART_BITS & PART_MAX;

	if (age > 1)
		return (struct starts){0};
	return age ? (struct starts){ 0, now } : (struct starts){ now, word & PART_MAX };
}

static uint64_t pack(uint64_t hash, struct starts starts, uint64_t now_ms)
{
	return hash >> TAG_SHIFT << TAG_SHIFT | second_of(now_ms) << 2 * PART_BITS |
	       (uint64_t)starts.now << PART_BITS | starts.before;
}

static uint32_t weigh(struct starts starts, uint64_t now_ms)
{
	return starts.now + (uint32_t)(starts.before * (1000 - now_ms % 1000) / 1000);
}

static unsigned int find_starts(const bucket words, uint64_t hash)
{
	unsigned int i;

	for (i = 0; i < CENSUS_WAYS; i++)
		if (load(&words[i]) && load(&words[i]) >> TAG_SHIFT == hash >> TAG_SHIFT)
			break;
	return i;
}

static unsigned int find_least(const bucket words, uint64_t now_ms)
{
	unsigned int i, least = 0;

	for (i = 1; i < CENSUS_WAYS; i++)
		if (weigh(unpack(load(&words[i]), now_ms), now_ms) <
		    weigh(unpack(load(&words[least]), now_ms), now_ms))
			least = i;
	return least;
}

static uint32_t read_starts(const struct row *row, uint64_t key, uint64_t now_ms)
{
	const _Atomic uint64_t *words = row->starts[key % CENSUS_BUCKETS];
	const unsigned int i = find_starts(words, key);

	return i < CENSUS_WAYS ? weigh(unpack(load(&words[i]), now_ms), now_ms) : 0;
}

struct census_sum census_starts(const struct census *census, uint64_t hash, uint64_t now_ms)
{
	return add_up(census, read_starts, hash, now_ms);
}

void census_add_start(const struct census *census, uint64_t hash, uint64_t now_ms)
{
	struct row *row = own_row(census);
	struct starts starts = {0};
	_Atomic uint64_t *words;
	unsigned int i;

	if (!row)
		return;
	words = row->starts[hash % CENSUS_BUCKETS];
	i = find_starts(words, hash);
	if (i < CENSUS_WAYS)
		starts = unpack(load(&words[i]), now_ms);
	else
		i = find_least(words, now_ms);
	starts.now += starts.now < PART_MAX;
	store(&words[i], pack(hash, starts, now_ms));
}
