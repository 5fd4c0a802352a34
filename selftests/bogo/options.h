/* SPDX-License-Identifier: MIT */
/* What the runner asks of one connection, from the command line. */
#ifndef BOGO_OPTIONS_H
#define BOGO_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define EXIT_UNIMPLEMENTED	89	/* the runner's: this shim cannot do what is asked */
#define MAX_LIST		16

struct int_list {
	int values[MAX_LIST];
	size_t count;
};

/* Strings are the command line's own; numbers are 0, strings NULL where a flag is not given. */
struct options {
	/* what to do */
	int port, resume_count, resumption_delay;
	const char *shim_id;		/* a newer runner's, which tells connections by it */
	bool server, async, shim_writes_first, shim_shuts_down, check_close_notify;
	bool key_update, write_different_record_sizes, export_traffic_secrets;
	bool send_alert, read_with_unfinished_write;
	int max_send_fragment, max_cert_list;
	bool handshaker_supported;
	int read_size, export_length;
	const char *export_label, *export_context;
	bool use_export_context;
	/* the configuration */
	bool no_tls13, no_tls12, no_tls11, no_tls1, no_ticket, renew_ticket;
	const char *suites;
	int min_version, max_version;
	struct int_list groups, signing_schemes, verify_schemes;
	const char *key_file, *cert_file, *host_name;
	const char *advertise_alpn, *select_alpn;
	bool reject_alpn, request_ocsp, decline_ocsp, verify_ocsp, refuse_ocsp, request_scts;
	const char *ocsp_response, *scts;	/* in base64, as what is expected of them */
	const char *ca_names;		/* in hexadecimal, between commas */
	bool verify_peer, require_certificate, verify_fail, reverify_on_resume, refuse_key;
	bool custom_verify;		/* refuse by another alert: as BoringSSL's two callbacks do */
	/* what must be true of the handshake */
	bool expect_hrr, expect_no_hrr, expect_extended_master_secret, expect_verify_result;
	bool expect_session_miss, expect_no_session, expect_ticket_renewal, handshake_never_done;
	int expect_version, expect_cipher, expect_cipher_aes, expect_group, expect_scheme;
	struct int_list expect_peer_schemes;
	const char *expect_ocsp_response, *expect_scts, *expect_cert_types, *expect_ca_names;
	const char *expect_trace;
	const char *expect_server_name, *expect_alpn, *expect_advertised_alpn;
	const char *expect_peer_cert_file;
};

/* The first connection's options, those of the ones that resume its session, and a retry's. */
struct option_sets {
	struct options initial, resume, retry;
};

/*
 * Reads the command line.  0, or the status to exit with: EXIT_UNIMPLEMENTED
 * for a flag that is not in the table, and the reason is on stderr.
 */
int options_parse(struct option_sets *sets, int argc, char **argv);

#endif /* BOGO_OPTIONS_H */
