// SPDX-License-Identifier: MIT
#include "daemon/dry_listen.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "daemon/listener.h"

/* Binds to any port of the address.  0 or -errno. */
static int bind_anywhere(int fd, struct addr addr, const struct gate_settings *set)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&addr.storage;
	const int on = 1;

	sin6->sin6_port = 0;			/* where sin_port is */
	if (set->freebind && setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)))
		return -errno;
	if (set->bind_device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, set->bind_device,
					   (socklen_t)strlen(set->bind_device)))
		return -errno;
	return bind(fd, &addr.sa, addr.len) ? -errno : 0;
}

static bool is_any(const struct addr *addr)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&addr->storage;

	return addr->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&sin6->sin6_addr);
}

static int try_address(const struct addr *addr, const struct gate_settings *set)
{
	const int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)			/* without IPv6, :PORT means IPv4 only */
		return errno == EAFNOSUPPORT && !is_any(addr) ? -errno : 0;
	ret = bind_anywhere(fd, *addr, set);
	close(fd);
	return ret == -ENODEV || (ret == -EADDRNOTAVAIL && !is_any(addr)) ? ret : 0;
}

int dry_listen(const struct addr *addr, const char *text, const struct gate_settings *set)
{
	const int ret = unix_listen_is(addr) ? unix_listen_try(addr, text) : try_address(addr, set);

	if (ret == -ENOENT)
		gate_warn(set, "listen", text, "its folder is not there: see that it is at the start");
	return !ret || ret == -ENOENT ? 0 : listener_refuse(set, text, -ret);
}
