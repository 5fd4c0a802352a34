// SPDX-License-Identifier: GPL-2.0-only
/* tlsgate: TLS record layer and relay in the kernel, keyed over generic netlink. */
#include <linux/module.h>
#include <net/tcp.h>

#include "deliver.h"
#include "netlink.h"
#include "relay.h"
#include "tlsgate_version.h"

static int __init tg_init(void)
{
	int err = tg_own_init() ?: tg_session_init();

	if (err)
		return err;
	err = tg_relay_init();
	if (err)
		goto err_session;
	err = tg_deliver_init();
	if (err)
		goto err_relay;
	err = tcp_register_ulp(&tg_ulp_ops);
	if (err)
		goto err_deliver;
	err = genl_register_family(&tg_genl_family);
	if (!err)
		return 0;
	tcp_unregister_ulp(&tg_ulp_ops);
err_deliver:
	tg_deliver_exit();
err_relay:
	tg_relay_exit();
err_session:
	tg_session_exit();
	tg_cipher_exit();
	return err;
}

static void __exit tg_exit(void)
{
	/* First: sessions that outlived their socket have yet to tell of their end. */
	tg_deliver_exit();
	genl_unregister_family(&tg_genl_family);
	tcp_unregister_ulp(&tg_ulp_ops);
	tg_relay_exit();
	tg_session_exit();
	tg_cipher_exit();
	/*
	 * Waits for tasks that were preempted between loading one of our functions and running
	 * it: a sender of AF_UNIX, or a caller on a socket whose hand-over was then refused.
	 */
	synchronize_rcu_tasks();
}

module_init(tg_init);
module_exit(tg_exit);

MODULE_AUTHOR("The tlsgate founders");
MODULE_DESCRIPTION("TLS record layer and relay, keyed over generic netlink");
MODULE_LICENSE("GPL");
MODULE_VERSION(TLSGATE_VERSION);
/* No alias: what a user asks for by name would load it.  The administrator does. */
