#!/bin/bash
# SPDX-License-Identifier: MIT
# docs/quickstart.md and README.md as they stand: their commands, with real nginx and Redis, under systemd as PID 1 and
# the module; what they say is compared with what stands there. TAP on standard output.
# Writes into /usr/sbin and /etc: only for a guest, whose root is thrown away:
#	selftests/vm/run.sh --kernel 6.12 --smp 1 -- selftests/quickstart.sh
slow=${slow-5}
cd "$(dirname "$0")/.." || exit 1
. selftests/lib.sh
. selftests/lib-systemd.sh

[[ -e /mnt/out ]] || bail_out "this is no guest of selftests/vm/run.sh"
[[ -x /lib/systemd/systemd ]] || { echo "1..0 # SKIP systemd is not installed"; exit 4; }
for program in nginx redis-server redis-cli curl; do
	have $program || { echo "1..0 # SKIP $program is not installed"; exit 4; }
done

# What a package installs; certificates as an operator has them; a machine that is slow.
prepare() {
	local conf=/etc/systemd/system.conf.d
	mkdir -p /etc/tlsgate $conf && install build/tlsgated build/tlsgate /usr/sbin/ &&
		cp packaging/tlsgated.service /etc/systemd/system/ && mask_units &&
		systemd-sysusers "$PWD/packaging/sysusers.d/tlsgate.conf" &&
		printf '[Manager]\nDefaultTimeoutStartSec=%ds\n' $((90 * slow)) >$conf/slow.conf || return 1
	new_ca ca && new_cert example.org ecdsa ca DNS:example.org && cp "$tmp"/example.org.{pem,key} /etc/tlsgate/ &&
		cat "$tmp/ca.pem" >>/etc/ssl/certs/ca-certificates.crt && echo 127.0.0.1 example.org >>/etc/hosts
}

prepare || bail_out "files cannot be installed: $(tail -n 3 "$tmp/log/openssl")"
boot || bail_out "$why"
inside systemctl start nginx || bail_out "nginx does not start"
slow=$slow selftests/docs/sessions.py README.md docs/quickstart.md -- nsenter -t "$(init_pid)" --mount --pid
