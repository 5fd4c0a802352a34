// SPDX-License-Identifier: MIT
/*
 * How a server with GnuTLS gives a connection to the kernel: GnuTLS shakes hands, its key log tells the
 * secrets, libtlsgate makes keys of them, and from then on the server reads and writes plaintext on
 * the same socket.  The peer is GnuTLS, too, to the end.
 */
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/net.h"
#include "lib/libtlsgate.h"

#define HELLO	"hello"

struct setup {
	const char *priority;
	uint16_t version, suite;
};

static const struct setup tls13 = {
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM", TLSGATE_TLS_1_3, 0x1302
};
static const struct setup tls12 = {
	"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:-KX-ALL:+ECDHE-ECDSA",
	TLSGATE_TLS_1_2, 0xc02b
};

/* ---- from the key log to keys ------------------------------------------------------------- */

struct secret {
	uint8_t bytes[TLSGATE_SECRET_MAX];
	unsigned int len;
};

struct secrets {
	struct secret client, server, master;
};

static int on_keylog(gnutls_session_t session, const char *label, const gnutls_datum_t *secret)
{
	struct secrets *s = gnutls_session_get_ptr(session);
	struct secret *into = !strcmp(label, "CLIENT_TRAFFIC_SECRET_0") ? &s->client :
			      !strcmp(label, "SERVER_TRAFFIC_SECRET_0") ? &s->server :
			      !strcmp(label, "CLIENT_RANDOM") ? &s->master : NULL;

	if (into && secret->size <= sizeof(into->bytes)) {
		memcpy(into->bytes, secret->data, secret->size);
		into->len = secret->size;
	}
	return 0;
}

static int make_keys(gnutls_session_t session, const struct secrets *s,
		     struct tlsgate_session_params *params)
{
	gnutls_datum_t client, server;
	int err;

	if (params->version == TLSGATE_TLS_1_2) {
		gnutls_session_get_random(session, &client, &server);
		return tlsgate_keys_from_master(&params->rx, &params->tx, params->suite,
						s->master.bytes, client.data, server.data);
	}
	err = tlsgate_keys_from_secret(&params->rx, params->suite, s->client.bytes, s->client.len);
	return err ?: tlsgate_keys_from_secret(&params->tx, params->suite, s->server.bytes,
					       s->server.len);
}

/* ---- the server --------------------------------------------------------------------------- */

static gnutls_certificate_credentials_t new_credentials(bool server)
{
	gnutls_certificate_credentials_t credentials;
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t cert;

	gnutls_certificate_allocate_credentials(&credentials);
	if (!server)
		return credentials;
	gnutls_x509_privkey_init(&key);
	gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
				     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	gnutls_x509_crt_init(&cert);
	gnutls_x509_crt_set_version(cert, 3);
	gnutls_x509_crt_set_serial(cert, "\1", 1);
	gnutls_x509_crt_set_activation_time(cert, time(NULL) - 60);
	gnutls_x509_crt_set_expiration_time(cert, time(NULL) + 3600);
	gnutls_x509_crt_set_key(cert, key);
	gnutls_x509_crt_sign2(cert, cert, key, GNUTLS_DIG_SHA256, 0);
	gnutls_certificate_set_x509_key(credentials, &cert, 1, key);
	gnutls_x509_crt_deinit(cert);
	gnutls_x509_privkey_deinit(key);
	return credentials;
}

static gnutls_session_t new_session(const struct setup *setup, unsigned int side, int fd,
				    gnutls_certificate_credentials_t credentials)
{
	gnutls_session_t session;

	/* No tickets: they would be sent by the keys that the kernel gets. */
	gnutls_init(&session, side | GNUTLS_NO_TICKETS);
	gnutls_priority_set_direct(session, setup->priority, NULL);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_int(session, fd);
	return session;
}

/* NULL, or what went wrong. */
static const char *hand_over(struct tlsgate *tg, int fd, const struct setup *setup)
{
	struct tlsgate_session_params params = TLSGATE_SESSION_PARAMS_INIT;
	gnutls_certificate_credentials_t credentials = new_credentials(true);
	gnutls_session_t session = new_session(setup, GNUTLS_SERVER, fd, credentials);
	struct secrets secrets = { 0 };
	const char *why = NULL;
	uint32_t id;

	gnutls_session_set_ptr(session, &secrets);
	gnutls_session_set_keylog_function(session, on_keylog);
	params.fd = fd;
	params.version = setup->version;
	params.suite = setup->suite;
	params.role = TLSGATE_ROLE_SERVER;
	if (gnutls_handshake(session))
		why = "no handshake";
	else if (gnutls_record_check_pending(session))
		why = "GnuTLS has read more than the handshake";
	else if (make_keys(session, &secrets, &params))
		why = "no keys";
	else if (tlsgate_session_new(tg, &params, &id))
		why = tlsgate_error(tg);
	tlsgate_wipe(&params, sizeof(params));
	tlsgate_wipe(&secrets, sizeof(secrets));
	/* Says nothing to the peer, unlike gnutls_bye(). */
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(credentials);
	return why;
}

/* ---- the peer ----------------------------------------------------------------------------- */

struct peer_of {
	const struct setup *setup;
	int gate;
	char answer[64];
	ssize_t end;		/* of gnutls_record_recv() */
};

static void *peer(void *arg)
{
	struct peer_of *p = arg;
	gnutls_certificate_credentials_t credentials = new_credentials(false);
	int fd = net_connect_to(p->gate);
	gnutls_session_t session = new_session(p->setup, GNUTLS_CLIENT, fd, credentials);

	p->end = -1;
	if (!gnutls_handshake(session) && gnutls_record_send(session, HELLO, 5) == 5) {
		gnutls_record_recv(session, p->answer, sizeof(p->answer) - 1);
		p->end = gnutls_record_recv(session, p->answer, 1);
	}
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(credentials);
	close(fd);
	return NULL;
}

/* ---- both --------------------------------------------------------------------------------- */

FIXTURE(gnutls) {
	struct tlsgate *tg;
	int listener;
};

FIXTURE_VARIANT(gnutls) {
	const struct setup *setup;
};

FIXTURE_VARIANT_ADD(gnutls, tls13) { .setup = &tls13 };
FIXTURE_VARIANT_ADD(gnutls, tls12) { .setup = &tls12 };

FIXTURE_SETUP(gnutls)
{
	const char *why;

	self->listener = net_listener(AF_INET);
	ASSERT_EQ(0, tlsgate_open(&self->tg, &why)) TH_LOG("%s", why);
}

FIXTURE_TEARDOWN(gnutls)
{
	tlsgate_close(self->tg);
	close(self->listener);
}

TEST_F(gnutls, shakes_hands_and_the_kernel_goes_on)
{
	struct peer_of p = { .setup = variant->setup, .gate = self->listener };
	char line[16] = "";
	pthread_t thread;
	const char *why;
	int fd;

	pthread_create(&thread, NULL, peer, &p);
	fd = accept(self->listener, NULL, NULL);
	why = hand_over(self->tg, fd, variant->setup);
	ASSERT_EQ(NULL, why) TH_LOG("%s", why);
	EXPECT_EQ(5, read(fd, line, sizeof(line)));
	EXPECT_STREQ(HELLO, line);
	EXPECT_EQ(9, write(fd, "you said ", 9));
	close(fd);
	pthread_join(thread, NULL);
	EXPECT_STREQ("you said ", p.answer);
	/* close_notify: the server's close is an end in order. */
	EXPECT_EQ(0, p.end);
}

TEST_HARNESS_MAIN
