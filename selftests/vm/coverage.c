// SPDX-License-Identifier: MIT
/*
 * QEMU plugin: at which addresses of its modules the guest's kernel ran
 * instructions.  QEMU translates what is about to run, and a translated block
 * ends at the first branch, so what was translated has run: nothing is counted
 * while it runs, and the guest is as fast as without.
 *
 *	-plugin coverage.so,into=FILE
 *
 * FILE gets one address a line, in hexadecimal, when QEMU ends.  Debian ships
 * no qemu-plugin.h: what is used of the plugin API, version 1, is declared here.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef void (*vcpu_tb_trans_t)(qemu_plugin_id_t id, void *tb);
typedef void (*udata_t)(qemu_plugin_id_t id, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, vcpu_tb_trans_t cb);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, udata_t cb, void *data);
size_t qemu_plugin_tb_n_insns(const void *tb);
void *qemu_plugin_tb_get_insn(const void *tb, size_t idx);
uint64_t qemu_plugin_insn_vaddr(const void *insn);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* Where x86-64 puts modules, without address randomization. */
#define MODULES		0xffffffffc0000000ull
#define MODULES_LEN	(64u << 20)

static _Atomic uint8_t ran[MODULES_LEN / 8];
static char file[512];

static void translated(qemu_plugin_id_t id, void *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb), i;

	(void)id;
	for (i = 0; i < n; i++) {
		uint64_t at = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, i)) - MODULES;

		if (at < MODULES_LEN)
			atomic_fetch_or(&ran[at / 8], 1 << at % 8);
	}
}

static void write_addresses(qemu_plugin_id_t id, void *data)
{
	FILE *f = fopen(file, "w");
	uint64_t at;

	(void)id;
	(void)data;
	if (!f) {
		perror(file);
		return;
	}
	for (at = 0; at < MODULES_LEN; at++)
		if (ran[at / 8] & 1 << at % 8)
			fprintf(f, "%" PRIx64 "\n", (uint64_t)MODULES + at);
	fclose(f);
}

__attribute__((visibility("default")))
int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "into=", 5)) {
		fprintf(stderr, "coverage: into=FILE is needed\n");
		return -1;
	}
	snprintf(file, sizeof(file), "%s", argv[0] + 5);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, write_addresses, NULL);
	return 0;
}
