// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory for records.  What was given out is kept track of, and given out again
 * once nobody has it any more: a page of the allocator's is found, counted and,
 * on most systems, cleared first, which is a tenth of what a relay costs
 * outside the AEADs.  So it holds what was there before until it is written to.
 */
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/shrinker.h>

#include "session.h"

/* Blocks of 32 KiB that a CPU keeps track of: 2 MiB, some of what is in flight in bulk. */
#define TG_PAGES_KEPT	64
/* Of them those looked at: one may stay long where others, given out later, are free. */
#define TG_PAGES_LOOKS	4
/* Less is not worth a fragment. */
#define TG_PAGES_LEAST	32U

/**
 * struct tg_pages - of a CPU
 * @lock: innermost, bottom halves off; the shrinker takes it on any CPU
 * @kept: each with a reference of ours
 * @next: the one given out longest ago, or empty
 * @busy: looks since one was found that was free
 * @softirq: of softirqs, which must leave the fragment alone of the task that they interrupt
 */
struct tg_pages {
	spinlock_t lock;	/* guards kept, next, busy */
	struct page *kept[TG_PAGES_KEPT];
	unsigned int next;
	unsigned int busy;
	struct page_frag softirq;
};

static DEFINE_PER_CPU(struct tg_pages, tg_pages) = {
	.lock = __SPIN_LOCK_UNLOCKED(tg_pages.lock),
};

/* One of the next, if it is ours alone: whoever had it has let it go. */
static bool tg_pages_recycle(struct page_frag *pf)
{
	struct page *page = NULL;
	struct tg_pages *p;
	unsigned int i, at;

	local_bh_disable();
	p = this_cpu_ptr(&tg_pages);
	spin_lock(&p->lock);
	for (i = 0; i < TG_PAGES_LOOKS && !page; i++) {
		at = (p->next + i) % TG_PAGES_KEPT;
		if (p->kept[at] && page_ref_count(p->kept[at]) == 1)
			page = p->kept[at];
	}
	if (page) {
		get_page(page);
		p->next = (at + 1) % TG_PAGES_KEPT;
		p->busy = 0;
	} else {
		p->busy++;
	}
	spin_unlock(&p->lock);
	local_bh_enable();
	if (!page)
		return false;

	if (pf->page)
		put_page(pf->page);
	pf->page = page;
	pf->offset = 0;
	pf->size = page_size(page);
	return true;
}

/*
 * Where the next ones are not free.  If more is in flight than is kept, what is
 * kept still comes round, so it stays; but not for one that never reads.
 */
static void tg_pages_keep(struct page *page)
{
	struct page *before = page;
	struct tg_pages *p;

	get_page(page);
	local_bh_disable();
	p = this_cpu_ptr(&tg_pages);
	spin_lock(&p->lock);
	if (!p->kept[p->next] || p->busy > TG_PAGES_KEPT) {
		swap(before, p->kept[p->next]);
		p->next = (p->next + 1) % TG_PAGES_KEPT;
		p->busy = 0;
	}
	spin_unlock(&p->lock);
	local_bh_enable();
	if (before)
		put_page(before);
}

static bool tg_pages_allocate(struct sock *sk, const struct tg_session *s, struct page_frag *pf)
{
	bool ok = s->atomic ? skb_page_frag_refill(TG_PAGES_LEAST, pf, GFP_ATOMIC | __GFP_NOWARN)
			    : sk_page_frag_refill(sk, pf);

	/* Single pages are what there is when memory is short, and a reserve's must go back. */
	if (ok && !pf->offset && pf->size > PAGE_SIZE && !page_is_pfmemalloc(pf->page))
		tg_pages_keep(pf->page);
	return ok;
}

struct page_frag *tg_pages_get(struct sock *sk, const struct tg_session *s)
{
	struct page_frag *pf = s->atomic ? this_cpu_ptr(&tg_pages.softirq) : sk_page_frag(sk);

	if (pf->page && pf->offset + TG_PAGES_LEAST <= pf->size)
		return pf;
	return tg_pages_recycle(pf) || tg_pages_allocate(sk, s, pf) ? pf : NULL;
}

static unsigned long tg_pages_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long pages = 0;
	int cpu, i;

	for_each_possible_cpu(cpu) {
		struct tg_pages *p = per_cpu_ptr(&tg_pages, cpu);

		spin_lock_bh(&p->lock);
		for (i = 0; i < TG_PAGES_KEPT; i++)
			pages += p->kept[i] ? compound_nr(p->kept[i]) : 0;
		spin_unlock_bh(&p->lock);
	}
	return pages ?: SHRINK_EMPTY;
}

static unsigned long tg_pages_drop(struct tg_pages *p, unsigned long most)
{
	unsigned long pages = 0;
	int i;

	spin_lock_bh(&p->lock);
	for (i = 0; i < TG_PAGES_KEPT && pages < most; i++) {
		struct page *page = p->kept[i];

		if (!page)
			continue;
		pages += compound_nr(page);
		put_page(page);
		p->kept[i] = NULL;
	}
	spin_unlock_bh(&p->lock);
	return pages;
}

static unsigned long tg_pages_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long pages = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		if (pages < sc->nr_to_scan)
			pages += tg_pages_drop(per_cpu_ptr(&tg_pages, cpu), sc->nr_to_scan - pages);
	return pages;
}

static struct shrinker *tg_pages_shrinker;

int tg_pages_init(void)
{
	tg_pages_shrinker = tg_shrinker_start(tg_pages_count, tg_pages_scan, "tlsgate-pages");
	return tg_pages_shrinker ? 0 : -ENOMEM;
}

void tg_pages_exit(void)
{
	int cpu;

	tg_shrinker_stop(tg_pages_shrinker);
	for_each_possible_cpu(cpu) {
		struct tg_pages *p = per_cpu_ptr(&tg_pages, cpu);

		tg_pages_drop(p, ULONG_MAX);
		if (p->softirq.page)
			put_page(p->softirq.page);
	}
}
