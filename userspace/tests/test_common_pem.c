// SPDX-License-Identifier: MIT
/* common/pem: what is said of files of another kind; file_read(): of what is no file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/pem.h"
#include "tests/pki.h"
#include "tests/tap.h"

#define TEXT(string)	string, sizeof(string) - 1

static const struct {
	const char *what, *text;
	size_t len;
	const char *says;		/* part of it; NULL: nothing */
} cases[] = {
	{ "a trusted certificate", TEXT("x\n-----BEGIN TRUSTED CERTIFICATE-----\n"), "openssl x509" },
	{ "a request", TEXT("-----BEGIN CERTIFICATE REQUEST-----\n"), "certificate request" },
	{ "a key of OpenSSH's", TEXT("-----BEGIN OPENSSH PRIVATE KEY-----\n"), "ssh-keygen" },
	{ "PKCS#7 in PEM", TEXT("-----BEGIN PKCS7-----\n"), "pkcs7" },
	{ "PKCS#12", TEXT("\x30\x82\x03\x00\x02\x01\x03\x30"), "pkcs12" },
	{ "PKCS#8 in DER", TEXT("\x30\x81\x87\x02\x01\x00\x30"), "openssl pkey" },
	{ "PKCS#7 in DER", TEXT("\x30\x82\x03\x00\x06\x09\x2a"), "inform DER -print_certs" },
	{ "a certificate in PEM", TEXT("-----BEGIN CERTIFICATE-----\n"), NULL },
	{ "nothing", TEXT(""), NULL },
	{ "the begin of a SEQUENCE", TEXT("\x30"), NULL },
	{ "an empty SEQUENCE", TEXT("\x30\x00"), NULL },
	{ "a length that is cut off", TEXT("\x30\x84\x00\x00"), NULL },
	{ "a length of a length", TEXT("\x30\xff\x00\x00\x00\x00\x00\x00\x00"), NULL },
	{ "text", TEXT("hello\n"), NULL },
};

static void test_advice(void)
{
	struct pki *ca = pki_ca(PKI_P256, "ca");
	struct tls_slice der = pki_der(ca);
	const char *says;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		says = pem_advice(cases[i].text, cases[i].len);
		tap_ok(cases[i].says ? says && strstr(says, cases[i].says) : !says, "advice on %s",
		       cases[i].what);
	}
	says = pem_advice((const char *)der.p, der.len);
	tap_ok(says && strstr(says, "-inform DER"), "advice on a certificate in DER");
	pki_free(ca);
}

static void test_no_files(void)
{
	char dir[] = "/tmp/test_common_pem.XXXXXX", path[64];
	size_t len;

	if (!mkdtemp(dir))
		exit(1);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	tap_ok(!mkfifo(path, 0600) && !file_read(path, 100, &len) && errno == ESPIPE &&
	       strstr(file_strerror(errno), "no regular file"), "a FIFO is no file");
	tap_ok(!file_read(dir, 100, &len) && errno == EISDIR, "a directory is none");
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	test_advice();
	test_no_files();
	return tap_done();
}
