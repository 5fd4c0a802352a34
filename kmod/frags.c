// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues of page fragments: sealed records on their way to TCP, plaintext to a reader.
 *
 * Their memory is the TLS socket's own fragment (sk_frag), so that no page ever has
 * bytes of two sessions.  It is used to its end, and again from its beginning if nobody
 * has a piece of it any more.  Nothing is passed on that was not written first.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "session.h"

void tg_frags_consume(struct tg_frags *f, u32 len)
{
	f->bytes -= len;
	while (len) {
		struct bio_vec *bv = &f->bv[f->head];

		if (len < bv->bv_len) {
			bv->bv_offset += len;
			bv->bv_len -= len;
			break;
		}
		len -= bv->bv_len;
		put_page(bv->bv_page);
		f->head++;
	}
}

void tg_frags_trim(struct tg_frags *f, u32 len, struct page_frag *pf)
{
	while (f->bytes > len) {
		struct bio_vec *bv = &f->bv[f->tail - 1];
		u32 part = min(f->bytes - len, bv->bv_len);

		/* Nothing was taken since: the next record is to use it. */
		if (pf && bv->bv_page == pf->page && bv->bv_offset + bv->bv_len == pf->offset)
			pf->offset -= part;
		bv->bv_len -= part;
		f->bytes -= part;
		if (!bv->bv_len) {
			put_page(bv->bv_page);
			f->tail--;
		}
	}
}

void tg_frags_move(struct tg_frags *to, struct tg_frags *from)
{
	*to = *from;
	from->head = 0;
	from->tail = 0;
	from->bytes = 0;
}

/* The fragment that holds byte @off; @off becomes relative to it. */
static const struct bio_vec *tg_frags_seek(const struct tg_frags *f, u32 *off)
{
	const struct bio_vec *bv = &f->bv[f->head];

	while (*off >= bv->bv_len) {
		*off -= bv->bv_len;
		bv++;
	}
	return bv;
}

struct page *tg_frags_page(const struct tg_frags *f, u32 *off, u32 *len)
{
	const struct bio_vec *bv = tg_frags_seek(f, off);

	*len = min(*len, bv->bv_len - *off);
	*off += bv->bv_offset;
	return bv->bv_page;
}

struct iov_iter tg_frags_iter(const struct tg_frags *f, unsigned int direction, u32 off, u32 len)
{
	struct iov_iter iter;

	iov_iter_bvec(&iter, direction, &f->bv[f->head], f->tail - f->head, off + len);
	iov_iter_advance(&iter, off);
	return iter;
}

/* An iterator would cost more than the copy: of a header, or a type. */
static void tg_frags_copy(const struct tg_frags *f, u32 off, void *bytes, u32 len, bool out)
{
	while (len) {
		u32 at = off, part = len;
		struct page *page = tg_frags_page(f, &at, &part);
		void *p = kmap_local_page(page + (at >> PAGE_SHIFT)) + offset_in_page(at);

		part = min_t(u32, part, PAGE_SIZE - offset_in_page(at));
		memcpy(out ? bytes : p, out ? p : bytes, part);
		kunmap_local(p);
		bytes += part;
		off += part;
		len -= part;
	}
}

void tg_frags_write(const struct tg_frags *f, u32 off, const void *from, u32 len)
{
	tg_frags_copy(f, off, (void *)from, len, false);
}

void tg_frags_read(const struct tg_frags *f, u32 off, void *to, u32 len)
{
	tg_frags_copy(f, off, to, len, true);
}

unsigned int tg_frags_sg(const struct tg_frags *f, u32 off, u32 len, struct scatterlist *sg)
{
	const struct bio_vec *bv;
	unsigned int n = 0;

	if (!len)
		return 0;
	for (bv = tg_frags_seek(f, &off); len; bv++, off = 0) {
		u32 part = min(len, bv->bv_len - off);

		sg_set_page(&sg[n++], bv->bv_page, part, bv->bv_offset + off);
		len -= part;
	}
	return n;
}

/* Less is not worth a fragment. */
#define TG_FRAGS_LEAST	32U
/* How often it is looked whether a session still needs its page. */
#define TG_FRAGS_IDLE	(4 * HZ)

/*
 * Gives back the page of a session that has nothing on its way.  While pieces of the page are on
 * their way it stays: otherwise each record could hold a page of its own.
 */
void tg_frags_page_work(struct work_struct *work)
{
	struct tg_session *s = container_of(to_delayed_work(work), struct tg_session, page_work);
	struct sock *sk = tg_session_hold_sk(s);
	struct page *page;
	bool done = true;

	if (sk) {
		spin_lock_bh(&sk->sk_lock.slock);
		page = sk->sk_frag.page;
		done = !sock_owned_by_user(sk) && (!page || page_ref_count(page) == 1);
		if (done && page)
			put_page(page);
		if (done)
			sk->sk_frag.page = NULL;
		if (done && !s->tx.held_len) {
			kfree(s->tx.held);
			s->tx.held = NULL;
		}
		if (done && tg_session_from_sk(sk) == s)
			tg_session_charge(sk, s);
		spin_unlock_bh(&sk->sk_lock.slock);
		tg_session_drop_sk(sk);
	}
	if (done || !queue_delayed_work(system_percpu_wq, &s->page_work, TG_FRAGS_IDLE))
		tg_session_put(s);
}

/* Single pages for small records: what is left of a page is idle until it is given back. */
static bool tg_frags_refill(struct page_frag *pf, u32 len, gfp_t gfp)
{
	struct page *page;

	if (len > PAGE_SIZE)
		return skb_page_frag_refill(TG_FRAGS_LEAST, pf, gfp);
	if (!pf->page || page_ref_count(pf->page) > 1) {
		page = alloc_page(gfp);
		if (!page)
			return false;
		if (pf->page)
			put_page(pf->page);
		pf->page = page;
		pf->size = PAGE_SIZE;
	}
	pf->offset = 0;
	return true;
}

/* Memory for some of @len bytes, at the fragment's offset, which the user moves on; or NULL. */
static struct page_frag *tg_frags_memory(struct sock *sk, struct tg_session *s, u32 len,
					 gfp_t gfp)
{
	struct page_frag *pf = &sk->sk_frag;

	if (pf->page && pf->offset + TG_FRAGS_LEAST <= pf->size)
		return pf;
	if (!tg_frags_refill(pf, len, gfp))
		return NULL;
	tg_session_later(s, &s->page_work, TG_FRAGS_IDLE);
	return pf;
}

/*
 * Where in a page a text should begin.  The AEADs work from one page boundary of source or
 * destination to the next, so it is best where both have theirs at the same bytes.  Where the
 * source is in pieces smaller than pages, it is a multiple of the AEADs' block: a block that
 * straddles two pages would be copied.
 */
static u32 tg_frags_place(const struct tg_session *s, const struct scatterlist *from,
			  unsigned int nents, u32 *step)
{
	u32 before = 0;

	*step = PAGE_SIZE;
	for (; nents; nents--, from++) {
		if (from->length >= PAGE_SIZE)
			return from->offset - before;
		before += from->length;
	}
	*step = s->cipher->block_len;
	return 0;
}

static int tg_frags_add(struct tg_frags *f, struct page_frag *pf, u32 len)
{
	struct bio_vec *last = tg_frags_empty(f) ? NULL : &f->bv[f->tail - 1];

	/* Records that lie side by side on a page become one fragment. */
	if (last && last->bv_page == pf->page && last->bv_offset + last->bv_len == pf->offset) {
		last->bv_len += len;
	} else if (f->tail < TG_FRAGS_MAX) {
		get_page(pf->page);
		f->bv[f->tail++] = (struct bio_vec) {
			.bv_page = pf->page,
			.bv_offset = pf->offset,
			.bv_len = len,
		};
	} else {
		return -ENOBUFS;
	}
	f->bytes += len;
	pf->offset += len;
	return 0;
}

int tg_frags_reserve(struct sock *sk, struct tg_session *s, struct tg_frags *f, u32 head, u32 len,
		     const struct scatterlist *from, unsigned int nents, gfp_t gfp)
{
	u32 before = f->bytes, step, place = tg_frags_place(s, from, nents, &step), part;
	struct page_frag *pf;
	int err = 0;

	if (f->head && f->tail + TG_RECORD_FRAGS > TG_FRAGS_MAX) {
		f->tail -= f->head;
		memmove(f->bv, &f->bv[f->head], f->tail * sizeof(*f->bv));
		f->head = 0;
	}
	while (len && !err) {
		pf = tg_frags_memory(sk, s, len, gfp);
		if (!pf) {
			err = -ENOMEM;
			break;
		}
		if (f->bytes == before)
			pf->offset += (place - pf->offset - head) % step;
		if (pf->offset < pf->size) {
			part = min(len, pf->size - pf->offset);
			err = tg_frags_add(f, pf, part);
			len -= part;
		}
	}
	if (err)
		tg_frags_trim(f, before, &sk->sk_frag);
	return err;
}
