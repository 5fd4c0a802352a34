// SPDX-License-Identifier: MIT
/* tlsgate ciphers: the suites of the handshake engine, and which kernel driver serves each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine.h"

#include "ctl.h"

#define MODULE_SUITES	32

/* What the module said, to be matched with the engine's list. */
struct offer {
	struct tlsgate_cipher cipher[MODULE_SUITES];
	size_t count;
	const char *none;	/* why a suite has no driver */
};

static int take_cipher(void *arg, const struct tlsgate_cipher *cipher)
{
	struct offer *offer = arg;

	if (offer->count < MODULE_SUITES)
		offer->cipher[offer->count++] = *cipher;
	return 0;
}

/*
 * A module that is not loaded, or tells us nothing, is no failure here: the
 * user data path needs none.
 */
static int ask_module(struct offer *offer)
{
	struct tlsgate *tg;
	int err;

	offer->none = "tlsgate module not loaded";
	if (tlsgate_open(&tg, NULL))
		return CTL_DONE;
	err = tlsgate_cipher_dump(tg, take_cipher, offer);
	offer->none = err ? "unknown: asking needs CAP_NET_ADMIN" : "none: user data path only";
	if (err && err != -EPERM)
		ctl_error("ciphers: %s", tlsgate_error(tg));
	tlsgate_close(tg);
	return err && err != -EPERM ? CTL_FAILED : CTL_DONE;
}

/* The driver's name, or NULL and *why there is none. */
static const char *driver_of(const struct offer *offer, const struct tls_suite_info *info,
			     const char **why)
{
	size_t i;

	*why = offer->none;
	for (i = 0; i < offer->count; i++) {
		const struct tlsgate_cipher *c = &offer->cipher[i];

		if (c->suite != info->suite || c->version != info->version)
			continue;
		*why = "no crypto module for it";
		return *c->driver ? c->driver : NULL;
	}
	return NULL;
}

static void print_table(const struct offer *offer)
{
	static const char * const headings[] = { "VERSION", "SUITE", "DEFAULT", "KERNEL DRIVER" };
	struct ctl_table *table = ctl_table_new(headings, 4);
	const struct tls_suite_info *info;
	const char *driver, *why;

	for (info = tls_suites(); info->suite; info++) {
		driver = driver_of(offer, info, &why);
		ctl_table_add(table, tlsgate_version_name(info->version));
		ctl_table_add(table, info->name);
		ctl_table_add(table, info->by_default ? "yes" : "no");
		ctl_table_add(table, driver ? driver : why);
	}
	ctl_table_print(table);
	ctl_table_free(table);
}

static int print_json(const struct offer *offer)
{
	struct json_object *array = ctl_must(json_object_new_array());
	const struct tls_suite_info *info;
	const char *why;

	for (info = tls_suites(); info->suite; info++) {
		struct json_object *object = ctl_cipher_json(info->version, info->name,
							     driver_of(offer, info, &why));

		if (json_object_array_add(array, object))
			ctl_must(NULL);
	}
	return ctl_json_print(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
}

int cmd_ciphers(int argc, char **argv)
{
	struct offer offer = { .count = 0 };
	bool json;

	if (ctl_arguments(argc, argv, &json, NULL))
		return CTL_USAGE;
	if (ask_module(&offer))
		return CTL_FAILED;
	if (json)
		return print_json(&offer);
	print_table(&offer);
	return CTL_DONE;
}
