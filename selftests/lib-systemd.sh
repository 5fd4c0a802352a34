# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# systemd as PID 1 of a PID namespace, in a guest whose root is thrown away. Sourced after lib.sh.

# What a machine's units want of hardware, and what would wait for it, is not there.
mask_units() {
	local name units=/etc/systemd/system
	for name in modprobe@.service systemd-{udevd,tmpfiles-setup,tmpfiles-setup-dev,sysctl,binfmt}.service \
			systemd-{random-seed,update-utmp,udev-trigger,sysusers,resolved,logind}.service \
			dev-hugepages.mount dev-mqueue.mount sys-kernel-{debug,tracing}.mount sys-fs-fuse-connections.mount; do
		ln -sf /dev/null "$units/$name"
	done
	printf '[Unit]\nDescription=Nothing but what the test starts\nDefaultDependencies=no\n' \
		>$units/tlsgate-test.target
}

boot() {
	mkdir -p /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null
	spawn systemd env -i container=tlsgate-test PATH="$PATH" unshare --pid --fork --kill-child --mount --mount-proc \
		--cgroup /lib/systemd/systemd --system --unit=tlsgate-test.target --log-target=console
	wait_until 60 has_booted || { why="systemd does not answer: $(inside systemctl list-jobs 2>&1 | tail -n 5)"; return 1; }
}

init_pid() {
	pgrep -P "${pid_of[systemd]}" | head -n 1
}

inside() {
	local pid
	pid=$(init_pid) && limit 60 nsenter -t "$pid" --mount --pid "$@"
}

has_booted() {
	inside systemctl is-active tlsgate-test.target >/dev/null 2>&1
}
