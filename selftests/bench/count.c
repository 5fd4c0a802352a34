// SPDX-License-Identifier: MIT
/*
 * QEMU plugin: how many instructions the guest ran at each address, between
 * two calls of one function of its kernel (the mark).  Every second call
 * writes FILE.N, one line "ADDRESS COUNT" for each translated block, in which
 * user addresses are those of whatever process ran.
 *
 *	-plugin count.so,mark=0xADDRESS,into=FILE
 *
 * Debian ships no qemu-plugin.h: what is used of QEMU's plugin API, version 1,
 * is declared here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef void (*vcpu_tb_trans_t)(qemu_plugin_id_t id, void *tb);
typedef void (*vcpu_udata_t)(unsigned int vcpu, void *data);
enum { CB_NO_REGS = 0 };
enum { INLINE_ADD_U64 = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, vcpu_tb_trans_t cb);
void qemu_plugin_register_vcpu_tb_exec_cb(void *tb, vcpu_udata_t cb, int flags, void *data);
void qemu_plugin_register_vcpu_tb_exec_inline(void *tb, int op, void *ptr, uint64_t imm);
size_t qemu_plugin_tb_n_insns(const void *tb);
uint64_t qemu_plugin_tb_vaddr(const void *tb);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

#define SLOTS	(1u << 20)

/* One for each block address and length; blocks are translated anew now and then. */
static struct slot {
	uint64_t address, insns, count;
} slots[SLOTS];

static uint64_t mark;
static const char *file;
static unsigned int marks;

static struct slot *slot_of(uint64_t address, uint64_t insns)
{
	uint64_t h = (address * 0x9e3779b97f4a7c15u + insns) >> 44;
	unsigned int tries;

	for (tries = 0; tries < SLOTS; tries++, h++) {
		struct slot *s = &slots[h % SLOTS];

		if (s->address == address && s->insns == insns)
			return s;
		if (!s->insns) {
			s->address = address;
			s->insns = insns;
			return s;
		}
	}
	fprintf(stderr, "count: more blocks than slots\n");
	abort();
}

static void write_counts(void)
{
	char name[512];
	size_t i;
	FILE *f;

	snprintf(name, sizeof(name), "%s.%u", file, marks / 2);
	f = fopen(name, "w");
	if (!f) {
		perror(name);
		return;
	}
	for (i = 0; i < SLOTS; i++)
		if (slots[i].count)
			fprintf(f, "%" PRIx64 " %" PRIu64 "\n", slots[i].address, slots[i].count);
	fclose(f);
}

static void on_mark(unsigned int vcpu, void *data)
{
	size_t i;

	(void)vcpu;
	(void)data;
	if (++marks % 2 == 0)
		write_counts();
	for (i = 0; i < SLOTS; i++)
		slots[i].count = 0;
}

static void on_block(qemu_plugin_id_t id, void *tb)
{
	uint64_t address = qemu_plugin_tb_vaddr(tb), insns = qemu_plugin_tb_n_insns(tb);

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &slot_of(address, insns)->count,
						 insns);
	if (address == mark)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, on_mark, CB_NO_REGS, NULL);
}

__attribute__((visibility("default")))
int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "mark=", 5))
			mark = strtoull(argv[i] + 5, NULL, 16);
		else if (!strncmp(argv[i], "into=", 5))
			file = strdup(argv[i] + 5);
	}
	if (!mark || !file) {
		fprintf(stderr, "count: needs mark=ADDRESS,into=FILE\n");
		return 1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
	return 0;
}
