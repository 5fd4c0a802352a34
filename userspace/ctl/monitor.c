// SPDX-License-Identifier: MIT
/* tlsgate monitor: events as they happen, one line each, until it is ended by a signal. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/engine.h"

#include "ctl.h"

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void print_time(void)
{
	int64_t ms = now_ms();
	time_t s = ms / 1000;
	struct tm tm;
	char text[16];

	localtime_r(&s, &tm);
	strftime(text, sizeof(text), "%H:%M:%S", &tm);
	printf("%s.%03d  ", text, (int)(ms % 1000));
}

static void print_session(const struct tlsgate_session *s)
{
	char text[CTL_TEXT_MAX], address[TLSGATE_ADDRESS_TEXT_MAX], label[CTL_LABEL_MAX];

	if (s->label_len)
		printf(" label %s", ctl_label(s, label));
	printf(" %s %s", tlsgate_role_name(s->role), tlsgate_address_text(&s->peer, address));
	if (s->relay_peer.len)
		printf(" relay %s", tlsgate_address_text(&s->relay_peer, address));
	if (s->server.len)
		printf(" server %s %s", tlsgate_address_text(&s->server, address),
		       tlsgate_delivery_name(s->delivery));
	printf(" %s %s", tlsgate_version_name(s->version), ctl_suite(s->suite, text));
}

static void print_end(const struct tlsgate_session *s)
{
	char in[CTL_TEXT_MAX], out[CTL_TEXT_MAX], age[CTL_TEXT_MAX];

	printf(" in %s out %s after %s: %s", ctl_size(s->rx_bytes, in), ctl_size(s->tx_bytes, out),
	       ctl_time(s->age, age), tlsgate_reason_name(s->reason));
	if (s->alert > 0)
		printf(" (alert %s)", tls_alert_name(s->alert));
}

static void print_message(const struct tlsgate_event *event)
{
	const uint8_t *message = event->message;
	const char *name = event->message_len ? tls_message_name(message[0]) : NULL;

	printf(" %s, %zu bytes", name ? name : "unknown", event->message_len);
}

static int print_event(void *arg, const struct tlsgate_event *event)
{
	const struct tlsgate_session *s = &event->session;

	(void)arg;
	print_time();
	printf("%-11s session %" PRIu32, tlsgate_event_name(event->kind), s->id);
	switch ((int)event->kind) {
	case TLSGATE_CMD_NTF_SESSION_OPENED:
		print_session(s);
		break;
	case TLSGATE_CMD_NTF_SESSION_CLOSED:
		print_session(s);
		print_end(s);
		break;
	case TLSGATE_CMD_NTF_REKEYED:
		printf(" send key %" PRIu32 " receive key %" PRIu32, s->tx_epoch, s->rx_epoch);
		break;
	case TLSGATE_CMD_NTF_AUTH_FAILED:
		printf(" record %" PRIu64 " does not authenticate", s->rx_records);
		break;
	case TLSGATE_CMD_NTF_MESSAGE:
		print_message(event);
		break;
	}
	putchar('\n');
	return ferror(stdout) ? -EPIPE : 0;
}

static int print_event_json(void *arg, const struct tlsgate_event *event)
{
	int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;

	(void)arg;
	return ctl_json_print(ctl_event_json(event, now_ms()), flags) ? -EPIPE : 0;
}

static int follow(struct tlsgate *tg, bool json)
{
	struct pollfd pfd = { .fd = tlsgate_event_fd(tg), .events = POLLIN };
	int err = 0;

	while (!err) {
		if (poll(&pfd, 1, -1) < 0) {
			ctl_error("monitor: cannot wait for events: %s", strerror(errno));
			return CTL_FAILED;
		}
		err = tlsgate_event_receive(tg, json ? print_event_json : print_event, NULL);
		if (err == -ENOBUFS) {
			ctl_error("monitor: %s", tlsgate_error(tg));
			err = 0;
		}
	}
	if (*tlsgate_error(tg))
		ctl_error("monitor: %s", tlsgate_error(tg));
	return CTL_FAILED;
}

int cmd_monitor(int argc, char **argv)
{
	struct tlsgate *tg;
	int err, status = CTL_FAILED;
	bool json;

	if (ctl_arguments(argc, argv, &json, NULL))
		return CTL_USAGE;
	tg = ctl_open();
	if (!tg)
		return status;
	setlinebuf(stdout);
	err = tlsgate_subscribe(tg);
	if (err) {
		ctl_failed(tg, err, "monitor");
	} else {
		/* Whoever started us may wait for this line: nothing is missed from here on. */
		fprintf(stderr, "tlsgate: following events\n");
		status = follow(tg, json);
	}
	tlsgate_close(tg);
	return status;
}
