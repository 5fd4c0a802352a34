#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Where the instructions go: count.c's addresses by the kernel's symbols.

hot.py KALLSYMS COUNTS PER [ROWS]: instructions per PER (bytes, or operations), most first:
of groups of functions, then of the functions.
"""
import bisect
import collections
import re
import sys

USER = "(userspace)"
OTHER = "other"

# A function is of the first group that fits its name.
GROUPS = [(name, re.compile(pattern)) for name, pattern in (
    ("userspace", r"^\(userspace\)$"),
    ("AEAD", r"aes_gcm_(enc|dec|aad)_|^chacha_|^poly1305_"),
    ("around the AEAD", r"skcipher|scatterwalk|crypto|fpu|fpregs|gcm_|^sg_|aead|simd_|chacha|poly"),
    ("the module", r"^tg_|tlsgate"),
    ("copies to and from userspace",
     r"rep_movs|copy_(to|from)_iter|check_object|virt_addr_valid|skb_datagram_iter|check_(heap|stack)"),
    ("pages", r"clear_page|rmqueue|alloc_pages|free_pages|free_unref|page_frag|prep_(new|compound)|"
              r"get_page_from|free_pcp|free_tail|free_one_page|zone_|mem_cgroup"),
    ("scheduler, workqueue",
     r"sched|queue_(task|entity)|wake|update_(load|curr)|pick_|switch|worker|_work$|queue_work|kick_pool|"
     r"ttwu|rq_|cfs|load_avg|entity|vruntime|reweight|psi_|wait|set_next|put_prev|pwq|poll"),
    ("the backend's files", r"xa_|xas_|shmem|filemap|folio|pipe|page_cache"),
    ("sockets, TCP, IP, loopback",
     r"skb|tcp|inet|ip_|sock|sk_|netif|dev_|net_rx|loopback|backlog|napi|softirq|nf_|neigh|ipv4|xmit|"
     r"dst_|local_deliver|rcu_read|iov_iter|splice|bh_enable|memset|timer|ktime|read_tsc|usecs"),
    ("their memory", r"kmem|slab|kfree|kmalloc|objcg"),
    ("system calls", r"syscall|vfs|sys_|fd|fput|fget|file|SYSCALL|security|apparmor|aa_|rw_verify|exit_to"),
)]


def symbols(path):
    found = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            address, kind, name = line.split()[:3]
            if kind in "tTwW":
                found.setdefault(int(address, 16), name)
    return sorted(found.items())


def by_function(table, path):
    starts = [address for address, _ in table]
    sums = collections.Counter()
    with open(path, encoding="ascii") as lines:
        for line in lines:
            address, count = int(line.split()[0], 16), int(line.split()[1])
            if address < 1 << 47:
                sums[USER] += count
            else:
                sums[table[bisect.bisect_right(starts, address) - 1][1]] += count
    return sums


def by_group(functions):
    sums = collections.Counter()
    for function, count in functions.items():
        sums[next((name for name, p in GROUPS if p.search(function)), OTHER)] += count
    return sums


def main():
    per = float(sys.argv[3])
    rows = int(sys.argv[4]) if len(sys.argv) > 4 else 40
    functions = by_function(symbols(sys.argv[1]), sys.argv[2])
    total = sum(functions.values())
    print(f"{total / per:14.3f} 100.0 % total")
    for title, sums, most in (("by group", by_group(functions), None),
                              ("by function", functions, rows)):
        print(f"{title}:")
        for name, count in sums.most_common(most):
            print(f"{count / per:14.3f} {100 * count / total:5.1f} % {name}")


if __name__ == "__main__":
    main()
