// SPDX-License-Identifier: MIT
/*
 * Questions and answers, against a family every kernel has: the controller of
 * generic netlink itself.  Its attributes 1 and 2 (FAMILY_ID, FAMILY_NAME) are
 * ours "pad" and "id", which is what errors then call them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "lib/handle.h"

#include "tap.h"

static void open_controller(struct tlsgate *tg)
{
	memset(tg, 0, sizeof(*tg));
	tg->sk = tgl_socket();
	if (!tg->sk)
		tap_bail("no generic netlink socket: %s", strerror(errno));
	tg->family = GENL_ID_CTRL;
}

static struct nl_msg *ask_name(struct tlsgate *tg, const char *name, int flags)
{
	struct nl_msg *msg = tgl_request(tg, CTRL_CMD_GETFAMILY, NLM_F_REQUEST | flags, 512);

	if (!msg || nla_put_string(msg, CTRL_ATTR_FAMILY_NAME, name))
		tap_bail("cannot build a request");
	return msg;
}

static int count(struct tlsgate *tg, struct nlmsghdr *hdr, void *arg)
{
	(void)tg;
	(void)hdr;
	(*(int *)arg)++;
	return 0;
}

static int refuse_second(struct tlsgate *tg, struct nlmsghdr *hdr, void *arg)
{
	count(tg, hdr, arg);
	return *(int *)arg == 2 ? -ECANCELED : 0;
}

static void test_answer(struct tlsgate *tg)
{
	int answers = 0;

	tap_equal(tgl_call(tg, ask_name(tg, "nlctrl", 0), count, &answers), 0, "a question is answered");
	tap_equal(answers, 1, "once");
	tap_ok(!*tlsgate_error(tg), "no error text after it");
	tap_equal(tgl_call(tg, ask_name(tg, "nlctrl", NLM_F_ACK), NULL, NULL), 0,
		  "an acknowledgement is found behind an answer nobody wanted");
}

static void test_refusal(struct tlsgate *tg)
{
	int answers = 0;

	tap_ok(tgl_call(tg, ask_name(tg, "a name longer than any family's may be", 0), count,
			&answers) < 0, "a malformed question is refused");
	tap_ok(strncmp(tlsgate_error(tg), "id: ", 4) == 0 && strlen(tlsgate_error(tg)) > 10,
	       "the refusal names the attribute: %s", tlsgate_error(tg));
	tap_equal(answers, 0, "and is no answer");
	tap_equal(tgl_call(tg, ask_name(tg, "nlctrl", 0), count, &answers), 0,
		  "the next question is answered");
}

static void test_no_content(struct tlsgate *tg)
{
	struct nl_msg *msg = tgl_request(tg, CTRL_CMD_GETFAMILY, NLM_F_REQUEST, 0);
	int answers = 0;

	tap_ok(msg && tgl_call(tg, msg, count, &answers) < 0 && !answers,
	       "a question without content is refused");
}

static void test_dump(struct tlsgate *tg)
{
	struct nl_msg *msg = tgl_request(tg, CTRL_CMD_GETFAMILY, NLM_F_REQUEST | NLM_F_DUMP, 0);
	int answers = 0;

	tap_ok(msg && tgl_call(tg, msg, count, &answers) == 0 && answers > 1, "a list comes whole");
	answers = 0;
	msg = tgl_request(tg, CTRL_CMD_GETFAMILY, NLM_F_REQUEST | NLM_F_DUMP, 0);
	tap_ok(msg && tgl_call(tg, msg, refuse_second, &answers) == -ECANCELED,
	       "whoever takes it can end it");
	tap_equal(answers, 2, "and then gets no more");
	test_answer(tg);
}

static void test_stale(struct tlsgate *tg)
{
	struct nl_msg *msg = ask_name(tg, "nlctrl", 0);
	int answers = 0;

	nl_complete_msg(tg->sk, msg);
	if (nl_send(tg->sk, msg) < 0)
		tap_bail("cannot send");
	nlmsg_free(msg);
	tap_ok(tgl_call(tg, ask_name(tg, "no-such-family", 0), count, &answers) < 0 && !answers,
	       "the answer to an earlier question is not taken for this one's");
}

static void test_gone(struct tlsgate *tg)
{
	struct nl_msg *msg;

	tg->family = 0xfff0;
	msg = tgl_request(tg, 1, NLM_F_REQUEST | NLM_F_ACK, 0);
	tap_ok(msg && tgl_call(tg, msg, NULL, NULL) == -ENODEV,
	       "a family that went away is told from a session that did: %s", tlsgate_error(tg));
	tg->family = GENL_ID_CTRL;
}

/* Where the module is loaded there is nothing to refuse. */
static void test_open(void)
{
	const char *why = "";
	struct tlsgate *tg;
	int err = tlsgate_open(&tg, &why);

	tap_ok(err ? err == -ENOENT && !tg && strstr(why, "modprobe") :
	       tlsgate_family_version(tg) == TLSGATE_GENL_VERSION,
	       "opening finds the module, or says that it is not loaded");
	tlsgate_close(tg);
}

static void test_versions(void)
{
	tap_ok(!tgl_version_why(TLSGATE_GENL_VERSION), "a module of our version is fine");
	tap_ok(strstr(tgl_version_why(TLSGATE_GENL_VERSION + 1), "newer than this program"),
	       "a newer one is named so");
	tap_ok(strstr(tgl_version_why(TLSGATE_GENL_VERSION - 1), "older than this program"),
	       "an older one, too");
}

/* The socket stays the caller's, whatever becomes of the handle. */
static void test_open_fd(void)
{
	const char *why = "";
	struct tlsgate *tg;
	int fd = tlsgate_socket();
	int ends[2], err;

	tap_ok(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "a socket is not for programs executed");
	err = tlsgate_open_fd(&tg, fd, &why);
	tap_ok(err ? err == -ENOENT && !tg && strstr(why, "modprobe") : !!tg,
	       "a handle over it finds the module, or says that it is not loaded");
	tlsgate_close(tg);
	tap_equal(close(fd), 0, "it is the caller's to close");
	tap_equal(tlsgate_open_fd(&tg, fd, &why), -EBADF, "a closed descriptor is refused: %s", why);
	if (pipe(ends))
		tap_bail("no pipe");
	tap_equal(tlsgate_open_fd(&tg, ends[0], &why), -ENOTSOCK, "so is a pipe: %s", why);
	close(ends[0]);
	close(ends[1]);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	tap_equal(tlsgate_open_fd(&tg, fd, &why), -EPROTOTYPE, "and another socket: %s", why);
	close(fd);
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	tap_equal(tlsgate_open_fd(&tg, fd, &why), -EPROTOTYPE, "even of netlink");
	close(fd);
	tap_ok(!tg, "without a handle");
}

static void test_bad_params(struct tlsgate *tg)
{
	struct tlsgate_session_params params = TLSGATE_SESSION_PARAMS_INIT;
	uint32_t id = 1;

	params.tx.key_len = TLSGATE_KEY_MAX + 1;
	tap_equal(tlsgate_session_new(tg, &params, &id), -EINVAL, "too long a key is not sent");
	tap_equal(id, 0, "and gives no id");
	params.tx.key_len = 0;
	params.rx_pending_len = TLSGATE_RX_PENDING_MAX + 1;
	tap_equal(tlsgate_session_new(tg, &params, &id), -EMSGSIZE, "nor too many pending bytes");
	tap_equal(tlsgate_event_fd(tg), -1, "no event descriptor without a subscription");
	tap_equal(tlsgate_event_receive(tg, NULL, NULL), -EINVAL, "nor events");
}

int main(void)
{
	struct tlsgate tg;

	open_controller(&tg);
	test_answer(&tg);
	test_refusal(&tg);
	test_no_content(&tg);
	test_dump(&tg);
	test_stale(&tg);
	test_gone(&tg);
	test_bad_params(&tg);
	nl_socket_free(tg.sk);
	test_open();
	test_versions();
	test_open_fd();
	return tap_done();
}
