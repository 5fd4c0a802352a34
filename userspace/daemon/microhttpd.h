/* SPDX-License-Identifier: MIT */
/*
 * libmicrohttpd, loaded by the one process that uses it: with it comes a TLS library of its own,
 * which has no place in the processes that hold keys.
 */
#ifndef TLSGATE_DAEMON_MICROHTTPD_H
#define TLSGATE_DAEMON_MICROHTTPD_H

#include <microhttpd.h>

struct microhttpd {
	__typeof__(MHD_start_daemon) *start_daemon;
	__typeof__(MHD_get_daemon_info) *get_daemon_info;
	__typeof__(MHD_get_timeout) *get_timeout;
	__typeof__(MHD_run) *run;
	__typeof__(MHD_get_connection_info) *get_connection_info;
	__typeof__(MHD_lookup_connection_value) *lookup_connection_value;
	__typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
	__typeof__(MHD_add_response_header) *add_response_header;
	__typeof__(MHD_queue_response) *queue_response;
	__typeof__(MHD_destroy_response) *destroy_response;
};

/* 0, or -1 and *why is the loader's sentence. */
int microhttpd_load(struct microhttpd *http, const char **why);

#endif
