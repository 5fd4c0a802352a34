// SPDX-License-Identifier: MIT
#include "daemon/resolver.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/hurry.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/gates.h"
#include "daemon/lookup.h"

#define AGAIN_SECONDS	5.	/* after a name that did not resolve */
#define SHORTEST_SECONDS	5.	/* between two questions for one name */
#define LOST_SECONDS	(LOOKUP_SECONDS + 10.)	/* an answer that did not come until then will not */
#define RESTART_SECONDS	1.

struct name {
	struct name *next;
	struct resolver *resolver;
	const struct member *member;
	const struct gate *gate;	/* it is a backend of */
	const struct gate *gates;	/* of which that is one */
	size_t gate_count;
	uint32_t id;			/* of its request */
	bool asked;			/* and no answer came since */
	bool failed;			/* the last time, and that was said */
	ev_timer timer;			/* asks again */
};

static void set_timer(ev_timer *timer, double seconds)
{
	struct ev_loop *loop = EV_DEFAULT_UC;

	ev_timer_stop(loop, timer);
	ev_timer_set(timer, seconds, 0.);
	ev_timer_start(loop, timer);
}

static void ask(struct name *name)
{
	struct lookup_request request = { .id = name->id };

	snprintf(request.backend, sizeof(request.backend), "%s", name->member->text);
	/* fails where the process is gone, which its exit mends, or busy */
	name->asked = !lookup_ask(name->resolver->control, &request);
	set_timer(&name->timer, name->asked ? LOST_SECONDS : AGAIN_SECONDS);
}

static bool is_known(const struct member *member)
{
	struct addr unused;

	return places_get(member->places, 0, &unused);
}

static void failed(struct name *name, const char *why)
{
	const struct gate_settings *set = name->gate->settings;

	if (!name->failed)
		log_warn("%s: backend '%s' cannot be resolved: %s; %s, and it is asked for every %.0f s",
			 set->name, name->member->text, why, is_known(name->member) ?
			 "its last addresses stay in use" : "its connections wait for connect-timeout",
			 AGAIN_SECONDS);
	name->failed = true;
	set_timer(&name->timer, AGAIN_SECONDS);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct name *name = timer->data;

	(void)loop;
	(void)events;
	if (name->asked) {
		name->asked = false;
		failed(name, "no answer came");
	} else {
		ask(name);
	}
}

/* The answer, in seconds: by its time to live, which a name server may have set too short or too long. */
static double good_for(const struct lookup_answer *answer, double longest)
{
	const double ttl = answer->ttl > SHORTEST_SECONDS ? answer->ttl : SHORTEST_SECONDS;

	return ttl < longest ? ttl : longest;
}

static void resolved(struct name *name, const struct lookup_answer *answer)
{
	const struct gate_settings *set = name->gate->settings;

	places_set(name->member->places, answer->addrs, (size_t)answer->count);
	if (name->failed)
		log_info("%s: backend '%s' is resolved", set->name, name->member->text);
	name->failed = false;
	if (set->resolve_interval)
		set_timer(&name->timer, good_for(answer, set->resolve_interval / 1000.));
}

/* A connection that came back to its own gate would make connections until nothing is left. */
static bool leads_back(const struct name *name, const struct lookup_answer *answer)
{
	return gates_lead_back(name->gates, name->gate_count, name->gate, answer->addrs,
			       (size_t)answer->count);
}

/* Who asks names only for the port of the gate says no other. */
static bool has_port(const struct name *name, const struct lookup_answer *answer)
{
	const uint16_t port = addr_port(name->member->text);
	int i;

	for (i = 0; i < answer->count; i++)
		if (addr_port_of(&answer->addrs[i]) != port)
			return false;
	return true;
}

/* 0, or -1: the process that sent it is not what it was. */
static int take(struct resolver *resolver, const struct lookup_answer *answer)
{
	struct name *name = resolver->names;

	while (name && name->id != answer->id)
		name = name->next;
	if (!name)
		return 0;		/* of a gate that is gone */
	if (!has_port(name, answer))
		return -1;
	if (!name->asked)
		return 0;		/* of one that was thought lost, or it fills the log */
	name->asked = false;
	ev_timer_stop(EV_DEFAULT_UC, &name->timer);
	if (leads_back(name, answer))
		failed(name, "it leads back to what this gate listens on");
	else if (answer->count)
		resolved(name, answer);
	else
		failed(name, answer->why);
	return 0;
}

/* Whatever it became by what a name server sent. */
static void end_process(struct resolver *resolver)
{
	/* its exit starts another */
	(void)kill(resolver->exit.pid, SIGKILL);
	ev_io_stop(EV_DEFAULT_UC, &resolver->answers);
}

static void on_answer(struct ev_loop *loop, ev_io *io, int events)
{
	struct resolver *resolver = io->data;
	struct lookup_answer answer;
	int ret;

	(void)loop;
	(void)events;
	ret = lookup_receive(io->fd, &answer);
	if (ret == -EAGAIN)
		return;
	if (ret == 1)
		ret = take(resolver, &answer);
	else if (!ret)
		end_process(resolver);	/* an empty packet looks like the end, too */
	if (ret >= 0)
		return;
	log_warn("the process that resolves names sent what is no answer: it is ended");
	end_process(resolver);
}

static void start(struct resolver *resolver)
{
	struct ev_loop *loop = EV_DEFAULT_UC;
	struct name *name;
	pid_t pid;

	pid = lookup_start(&resolver->who, resolver->forget, resolver->arg, &resolver->control);
	if (pid < 0) {
		resolver->control = -1;
		set_timer(&resolver->restart, RESTART_SECONDS);
		return;
	}
	ev_child_set(&resolver->exit, pid, 0);
	ev_child_start(loop, &resolver->exit);
	ev_io_set(&resolver->answers, resolver->control, EV_READ);
	ev_io_start(loop, &resolver->answers);
	for (name = resolver->names; name; name = name->next)
		ask(name);
}

static void on_restart(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	start(timer->data);
}

static void close_control(struct resolver *resolver)
{
	ev_io_stop(EV_DEFAULT_UC, &resolver->answers);
	if (resolver->control != -1)
		hurry_close(resolver->control);
	resolver->control = -1;
}

static void on_gone(struct ev_loop *loop, ev_child *watcher, int events)
{
	struct resolver *resolver = watcher->data;

	(void)events;
	ev_child_stop(loop, watcher);
	close_control(resolver);
	log_warn("the process that resolves names died; another is started");
	set_timer(&resolver->restart, RESTART_SECONDS);
}

void resolver_init(struct resolver *resolver, void (*forget)(void *arg), void *arg)
{
	*resolver = (struct resolver){ .forget = forget, .arg = arg, .control = -1 };
	ev_init(&resolver->answers, on_answer);
	ev_init(&resolver->exit, on_gone);
	ev_init(&resolver->restart, on_restart);
	resolver->answers.data = resolver->exit.data = resolver->restart.data = resolver;
}

void resolver_stop(struct resolver *resolver)
{
	ev_timer_stop(EV_DEFAULT_UC, &resolver->restart);
	if (ev_is_active(&resolver->exit))
		end_process(resolver);
	ev_child_stop(EV_DEFAULT_UC, &resolver->exit);
	close_control(resolver);
}

static void set_identity(struct resolver *resolver, const struct identity *who)
{
	const struct identity *is = &resolver->who;

	/* a process cannot become another user: the next one is */
	if (is->change != who->change || is->uid != who->uid || is->gid != who->gid)
		resolver_stop(resolver);
	resolver->who = *who;
}

static void add_name(struct resolver *resolver, const struct member *member, const struct gate *gate,
		     const struct gate *gates, size_t gate_count)
{
	struct name *name = xcalloc(1, sizeof(*name));

	name->resolver = resolver;
	name->member = member;
	name->gate = gate;
	name->gates = gates;
	name->gate_count = gate_count;
	name->id = resolver->next_id++;
	ev_init(&name->timer, on_timer);
	name->timer.data = name;
	name->next = resolver->names;
	resolver->names = name;
	if (resolver->control != -1)
		ask(name);
	else if (!ev_is_active(&resolver->restart))
		set_timer(&resolver->restart, 0.);	/* once forget() can find all */
}

void resolver_add(struct resolver *resolver, const struct gate *gate, const struct gate *gates,
		  size_t gate_count, const struct identity *who)
{
	const struct pool *pool;
	size_t i;

	for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++) {
		for (i = 0; i < pool->count; i++) {
			if (!addr_is_name(pool->members[i].text))
				continue;
			set_identity(resolver, who);
			add_name(resolver, &pool->members[i], gate, gates, gate_count);
		}
	}
}

void resolver_remove(struct resolver *resolver, const struct gate *gate)
{
	struct name **link = &resolver->names;
	struct name *name;

	while ((name = *link)) {
		if (name->gate != gate) {
			link = &name->next;
			continue;
		}
		*link = name->next;
		ev_timer_stop(EV_DEFAULT_UC, &name->timer);
		free(name);
	}
	if (!resolver->names)
		resolver_stop(resolver);
}
