// SPDX-License-Identifier: MIT
/*
 * The TLS 1.3 key schedule, transcript and record layer against the traces of
 * RFC 8448: every secret it names, and every record opened and sealed again
 * byte for byte.
 */
#include <stdio.h>
#include <string.h>

#include "engine/crypto/keysched13.h"
#include "engine/record.h"
#include "engine/transcript.h"
#include "tap.h"
#include "vectors/rfc8448.h"

#define SUITE		0x1301
#define BINDERS_LEN	(2 + 1 + 32)

struct run {
	const struct rfc8448_trace *trace;
	const struct tls_suite *suite;
	struct tls_keysched ks;
	struct tls_transcript transcript;
	uint8_t client_handshake[TLS_MAX_HASH], server_handshake[TLS_MAX_HASH];
	uint8_t client_traffic[TLS_MAX_HASH], server_traffic[TLS_MAX_HASH];
};

static void must(int err, const char *what)
{
	if (err)
		tap_bail("%s: %s", what, tls_strerror(err));
}

/* The value, where the RFC gives it. */
static void expect(const struct run *run, const void *got, size_t len, const char *want,
		   const char *what)
{
	if (want)
		tap_bytes(got, len, want, "%s: %s", run->trace->name, what);
}

static void add(struct run *run, struct tls_slice message)
{
	must(tls_transcript_add(&run->transcript, message.p, message.len), "transcript");
}

static void digest(struct run *run, uint8_t *out)
{
	must(tls_transcript_digest(&run->transcript, out), "digest");
}

/* Derives a secret over the transcript so far and compares it. */
static void derive(struct run *run, const char *label, uint8_t *out, const char *want)
{
	uint8_t hash[TLS_MAX_HASH];

	digest(run, hash);
	must(tls_keysched_derive(&run->ks, label, hash, out), label);
	expect(run, out, run->ks.len, want, label);
}

/* Keys of a secret, compared; both directions set to them. */
static void set_keys(struct run *run, const uint8_t *secret, const char *key, const char *iv,
		     struct tls_record_dir *reader, struct tls_record_dir *writer)
{
	struct tls_direction_keys keys;

	must(tls_keysched_keys(&run->ks, run->suite, secret, &keys), "keys");
	expect(run, keys.key, keys.key_len, key, "key");
	expect(run, keys.iv, keys.iv_len, iv, "iv");
	must(tls_record_set_keys(reader, run->suite, false, &keys), "reader");
	must(tls_record_set_keys(writer, run->suite, true, &keys), "writer");
}

/*
 * Opens the trace's record, seals what was in it again, compares.  The
 * plaintext goes to *out (to be freed with tls_buf_free()) if out is given.
 */
static void check_record(struct run *run, struct tls_record_dir *reader,
			 struct tls_record_dir *writer, const char *hex, uint8_t want_type,
			 struct tls_buf *out, const char *what)
{
	struct tls_slice record = tap_hex(hex);
	struct tls_buf again = { .limit = 1 << 16 };
	struct tls_record_header header;
	struct tls_record plain;

	tap_equal(tls_record_parse(reader, record.p, &header), 0, "%s: %s: header",
		  run->trace->name, what);
	tap_equal(header.len, (long)(record.len - TLS_RECORD_HEADER), "%s: %s: length",
		  run->trace->name, what);
	if (!tap_equal(tls_record_open(reader, (uint8_t *)record.p, record.len, &plain), 0,
		       "%s: %s: opens", run->trace->name, what))
		return;
	tap_equal(plain.type, want_type, "%s: %s: content type", run->trace->name, what);
	must(tls_record_seal(writer, plain.type, plain.data, plain.len, &again), "seal");
	tap_bytes(again.data, again.len, hex, "%s: %s: sealed again", run->trace->name, what);
	tls_buf_free(&again);
	if (out)
		tls_put_bytes(out, plain.data, plain.len);
}

static void check_binder(struct run *run, struct tls_slice hello)
{
	const struct tls_slice start = { hello.p, hello.len - BINDERS_LEN };
	uint8_t hash[TLS_MAX_HASH], binder[TLS_MAX_HASH], wanted[2 * 32 + 1] = "";

	must(tls_transcript_digest_with(&run->transcript, TLS_HASH_SHA256, start, hash), "hash");
	must(tls_keysched_binder(&run->ks, TLS_LABEL_RESUMPTION_BINDER, hash, binder), "binder");
	for (size_t i = 0; i < 32; i++)
		snprintf((char *)wanted + 2 * i, 3, "%02x", hello.p[hello.len - 32 + i]);
	expect(run, binder, 32, (const char *)wanted, "binder in the ClientHello");
	binder[0] ^= 1;
	tap_ok(!tls_equal(binder, hello.p + hello.len - 32, 32), "%s: another binder is another",
	       run->trace->name);
}

/* 0-RTT: the keys exist to be skipped over, and show that early secrets are right. */
static void check_early_data(struct run *run, struct tls_record_dir *reader,
			     struct tls_record_dir *writer)
{
	struct tls_buf data = { .limit = 64 };
	uint8_t secret[TLS_MAX_HASH];

	derive(run, "e exp master", secret, run->trace->early_exporter);
	derive(run, "c e traffic", secret, NULL);
	set_keys(run, secret, run->trace->early_key, run->trace->early_iv, reader, writer);
	check_record(run, reader, writer, run->trace->early_record, TLS_RECORD_APPLICATION_DATA,
		     &data, "early data");
	expect(run, data.data, data.len, run->trace->early_data, "early data");
	tls_buf_free(&data);
}

static void begin(struct run *run, const struct rfc8448_trace *trace)
{
	*run = (struct run){ .trace = trace, .suite = tls_suite_find(SUITE) };
	must(tls_keysched_init(&run->ks, run->suite->hash), "schedule");
	tls_transcript_init(&run->transcript);
	must(tls_keysched_early(&run->ks, trace->psk ? tap_hex(trace->psk) :
				(struct tls_slice){ NULL, 0 }), "early");
	expect(run, run->ks.secret, run->ks.len, trace->early_secret, "early secret");
	if (trace->hello_retry) {
		add(run, tap_hex(trace->client_hello_1));
		must(tls_transcript_choose(&run->transcript, run->suite->hash, false), "choose");
		must(tls_transcript_hello_retry(&run->transcript), "hello retry");
		add(run, tap_hex(trace->hello_retry));
	}
}

static void hellos(struct run *run)
{
	const struct rfc8448_trace *trace = run->trace;

	must(tls_transcript_choose(&run->transcript, run->suite->hash, false), "choose");
	add(run, tap_hex(trace->server_hello));
	must(tls_keysched_handshake(&run->ks, tap_hex(trace->shared)), "handshake");
	expect(run, run->ks.secret, run->ks.len, trace->handshake_secret, "handshake secret");
	derive(run, TLS_LABEL_CLIENT_HANDSHAKE, run->client_handshake, trace->client_handshake);
	derive(run, TLS_LABEL_SERVER_HANDSHAKE, run->server_handshake, trace->server_handshake);
	must(tls_keysched_master(&run->ks), "master");
	expect(run, run->ks.secret, run->ks.len, trace->master_secret, "master secret");
}

/* A flight that ends in a Finished: checks that and adds it to the transcript. */
static void flight(struct run *run, const struct tls_buf *messages, const uint8_t *secret,
		   const char *want)
{
	const size_t finished = 4 + run->ks.len;
	uint8_t hash[TLS_MAX_HASH], verify_data[TLS_MAX_HASH];

	add(run, (struct tls_slice){ messages->data, messages->len - finished });
	digest(run, hash);
	must(tls_keysched_finished(&run->ks, secret, hash, verify_data), "finished");
	expect(run, verify_data, run->ks.len, want, "finished");
	tap_ok(tls_equal(verify_data, messages->data + messages->len - run->ks.len, run->ks.len),
	       "%s: verify_data is the record's", run->trace->name);
	add(run, (struct tls_slice){ messages->data + messages->len - finished, finished });
}

static void server_flight(struct run *run, struct tls_record_dir *reader,
			  struct tls_record_dir *writer)
{
	const struct rfc8448_trace *trace = run->trace;
	struct tls_buf messages = { .limit = 4096 };
	uint8_t exporter[TLS_MAX_HASH];

	set_keys(run, run->server_handshake, trace->server_handshake_key,
		 trace->server_handshake_iv, reader, writer);
	check_record(run, reader, writer, trace->server_flight_record, TLS_RECORD_HANDSHAKE,
		     &messages, "server flight");
	flight(run, &messages, run->server_handshake, trace->server_finished);
	tls_buf_free(&messages);
	derive(run, TLS_LABEL_CLIENT_TRAFFIC, run->client_traffic, trace->client_traffic);
	derive(run, TLS_LABEL_SERVER_TRAFFIC, run->server_traffic, trace->server_traffic);
	derive(run, TLS_LABEL_EXPORTER, exporter, trace->exporter);
}

/* reader and writer still have the 0-RTT keys where there was 0-RTT. */
static void client_flight(struct run *run, struct tls_record_dir *reader,
			  struct tls_record_dir *writer)
{
	const struct rfc8448_trace *trace = run->trace;
	struct tls_buf messages = { .limit = 4096 };
	uint8_t resumption[TLS_MAX_HASH], psk[TLS_MAX_HASH];

	if (trace->end_of_early_data_record) {
		check_record(run, reader, writer, trace->end_of_early_data_record,
			     TLS_RECORD_HANDSHAKE, &messages, "end of early data");
		add(run, (struct tls_slice){ messages.data, messages.len });
		tls_buf_reset(&messages);
	}
	set_keys(run, run->client_handshake, trace->client_handshake_key,
		 trace->client_handshake_iv, reader, writer);
	check_record(run, reader, writer, trace->client_finished_record, TLS_RECORD_HANDSHAKE,
		     &messages, "client finished");
	flight(run, &messages, run->client_handshake, trace->client_finished);
	tls_buf_free(&messages);
	derive(run, TLS_LABEL_RESUMPTION, resumption, trace->resumption);
	must(tls_keysched_ticket_psk(&run->ks, resumption, tap_hex("0000"), psk), "psk");
	expect(run, psk, run->ks.len, trace->ticket_psk, "PSK of the ticket");
}

static void application(struct run *run, const char *who, struct tls_record_dir *reader,
			struct tls_record_dir *writer, const char *data, const char *alert)
{
	char what[64];

	snprintf(what, sizeof(what), "%s data", who);
	if (data)
		check_record(run, reader, writer, data, TLS_RECORD_APPLICATION_DATA, NULL, what);
	snprintf(what, sizeof(what), "%s close_notify", who);
	check_record(run, reader, writer, alert, TLS_RECORD_ALERT, NULL, what);
}

static void run_trace(const struct rfc8448_trace *trace)
{
	struct tls_record_dir client_in = { 0 }, client_out = { 0 };
	struct tls_record_dir server_in = { 0 }, server_out = { 0 };
	const struct tls_slice hello = tap_hex(trace->client_hello);
	struct run run;

	begin(&run, trace);
	if (trace->psk)
		check_binder(&run, hello);
	add(&run, hello);
	must(tls_transcript_choose(&run.transcript, run.suite->hash, false), "choose");
	if (trace->early_record)
		check_early_data(&run, &client_in, &client_out);
	hellos(&run);
	server_flight(&run, &server_in, &server_out);
	client_flight(&run, &client_in, &client_out);
	set_keys(&run, run.client_traffic, trace->client_traffic_key, trace->client_traffic_iv,
		 &client_in, &client_out);
	set_keys(&run, run.server_traffic, trace->server_traffic_key, trace->server_traffic_iv,
		 &server_in, &server_out);
	if (trace->ticket_record)
		check_record(&run, &server_in, &server_out, trace->ticket_record,
			     TLS_RECORD_HANDSHAKE, NULL, "ticket");
	application(&run, "client", &client_in, &client_out, trace->client_data_record,
		    trace->client_alert_record);
	application(&run, "server", &server_in, &server_out, trace->server_data_record,
		    trace->server_alert_record);
	tls_record_free(&client_in);
	tls_record_free(&client_out);
	tls_record_free(&server_in);
	tls_record_free(&server_out);
	tls_transcript_free(&run.transcript);
	tls_keysched_free(&run.ks);
}

/* A binder while the hash is not known, the messages themselves, and misuse. */
static void test_transcript_states(void)
{
	const struct tls_slice none = { NULL, 0 }, abc = { (const uint8_t *)"abc", 3 };
	struct tls_transcript t;
	uint8_t out[TLS_MAX_HASH];

	tls_transcript_init(&t);
	must(tls_transcript_digest_with(&t, TLS_HASH_SHA384, abc, out), "with");
	tap_bytes(out, 48, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
		  "8086072ba1e7cc2358baeca134c825a7", "SHA-384 of abc, with extra");
	must(tls_transcript_add(&t, "ab", 2), "add");
	tap_equal(tls_transcript_digest(&t, out), TLS_ERR_STATE,
		  "no digest before a choice of hash");
	must(tls_transcript_choose(&t, TLS_HASH_SHA256, true), "choose");
	tap_equal(tls_transcript_choose(&t, TLS_HASH_SHA384, true), TLS_ERR_STATE,
		  "the choice is final");
	tap_equal(tls_transcript_digest_with(&t, TLS_HASH_SHA384, none, out), TLS_ERR_STATE,
		  "no other hash");
	must(tls_transcript_add(&t, "c", 1), "add");
	tap_bytes(tls_transcript_messages(&t).p, tls_transcript_messages(&t).len, "616263",
		  "the messages are kept");
	tls_transcript_drop(&t);
	tap_equal(tls_transcript_messages(&t).len, 0, "until they are dropped");
	must(tls_transcript_digest(&t, out), "digest");
	tap_bytes(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		  "SHA-256 of abc, the peek left no trace");
	tls_transcript_free(&t);
	tls_transcript_free(&t);
}

/* The generations of a traffic secret: computed here once more, the long way. */
static void test_update(void)
{
	/* HkdfLabel and the block counter */
	static const uint8_t info[] = "\x00\x20\x11" "tls13 traffic upd" "\x00\x01";
	struct tls_slice secret = tap_hex(rfc8448_simple.client_traffic);
	const struct tls_slice part = { info, sizeof(info) - 1 };
	uint8_t next[TLS_MAX_HASH], want[TLS_MAX_HASH];
	struct tls_keysched ks;

	must(tls_keysched_init(&ks, TLS_HASH_SHA256), "schedule");
	memcpy(next, secret.p, secret.len);
	must(tls_keysched_update(&ks, next), "update");
	must(tls_hmac_run(ks.hmac, secret, &part, 1, want), "hmac");
	tap_ok(!memcmp(next, want, 32), "KeyUpdate takes the next generation, in place");
	tls_keysched_free(&ks);
	tls_keysched_free(&ks);
}

/* The value is by another implementation (Python's hmac), from section 3's exporter secret. */
static void test_export(void)
{
	const struct tls_slice context = { (const uint8_t *)"context", 7 };
	struct tls_keysched ks;
	uint8_t out[40];

	must(tls_keysched_init(&ks, TLS_HASH_SHA256), "schedule");
	must(tls_keysched_export(&ks, tap_hex(rfc8448_simple.exporter).p, "EXPORTER-tlsgate",
				 context, out, sizeof(out)), "export");
	tap_bytes(out, sizeof(out), "c9d5d25c153870cf69cb9ffe3a41a64586b84b8e31868e9399f55a8be6b3a104"
		  "fa89224ccf4727e1", "exported keying material");
	tls_keysched_free(&ks);
}

int main(void)
{
	run_trace(&rfc8448_simple);
	run_trace(&rfc8448_resumed);
	run_trace(&rfc8448_retry);
	test_transcript_states();
	test_update();
	test_export();
	return tap_done();
}
