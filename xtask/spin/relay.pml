/*
 * P4, P8, P10: two multicasts that wait, one after the other in one slot, to a group of three CPUs, by way of a leader.
 *
 * Two of the three may go offline at any time; they run what they have accepted, and do not come back. The CPUs look for ever, so that
 * no doorbell matters; whether it would have rung, a notification finds either way.
 *
 * property answered: the sender comes back
 * mutant SEEN_UNCOUNTED: states: who need not be rung counts as one to whom nothing was brought
 * mutant UNAWAITED: states: the sender does not wait for acknowledgements
 * mutant GIVES_UP: states: the sender waits for some time only, and its closure is gone
 * mutant OFFLINE_UNCOUNTED: answered: a leader waits for one that it found offline
 * mutant BIT_LATE: answered: the target is notified before there is a bit
 * mutant NOTIFIES_NOBODY: answered: a leader keeps the call to itself
 * mutant ALL_AT_THE_SLOT: states: each of a group acknowledges at the slot
 * mutant DROPS_ON_LEAVING: answered: who goes offline does not run what it has accepted
 * mutant PARK_IN_TWO: answered: who sleeps says so by a load and a store
 * mutant ACKS_SILENTLY: answered: the last acknowledgement wakes nobody
 */

#define CPUS 3
#define FILLING 16
#define OWN 1
#define PARKED 64

/* Of each CPU: its head says that it is called; its mailbox has the slot's mine; it is offline. */
bool called[CPUS], bits[CPUS], offline[CPUS];
/* The relay: from which CPU on the leader has still to notify, 0 for none; acknowledgements that are pending. */
byte left, pending;
/* The slot: acknowledgements that are pending; CPUs that the leader found offline. */
byte count, off;
bool bell, waits;
/* The closure may be read; how often it was run. */
bool alive;
byte ran;
byte stays;

ltl answered { [] (waits -> <> !waits) }

/* smp/many/notify.rs notify */
inline notify(cpu) {
	sends = !offline[cpu]; /* queue.rs look_word */
	if
	:: sends ->
#ifndef BIT_LATE
		bits[cpu] = true; /* multicast/callers.rs set */
#endif
		atomic { /* queue.rs notify */
			if
			:: offline[cpu] -> sends = false
			:: else -> called[cpu] = true
			fi
		}
#ifdef BIT_LATE
		bits[cpu] = true;
#endif
		if
		:: !sends ->
			atomic { /* multicast/callers.rs take_back */
				sends = !bits[cpu];
				bits[cpu] = false
			}
#ifdef SEEN_UNCOUNTED
		:: sends -> sends = false
#endif
		:: sends
		fi
	:: else
	fi
}

active proctype Sender() {
	byte leader, acks, calls;
	bool sends, sleeps;
	/* The others may go offline. */
	if
	:: stays = 0
	:: stays = 1
	:: stays = 2
	fi;
	do
	:: calls == 2 -> break
	:: else ->
		calls++;
		waits = true;
		alive = true;
		ran = 0;
		assert(count == 0 && pending == 0 && left == 0);
		count = FILLING; /* multicast/slot.rs claim */
		/* smp/many/relaying/leader.rs leave_to_a_leader */
		leader = 0;
		acks = 0;
		do
		:: leader == CPUS || acks -> break
		:: else ->
			if
			:: leader < CPUS - 1 -> left = leader + 1; pending = FILLING /* relay.rs leave */
			:: else -> left = 0; pending = 0 /* relay.rs call_off */
			fi;
			notify(leader);
			if
			:: sends -> acks = 1
			:: else -> off++; leader++
			fi
		od;
		atomic { /* multicast/slot.rs sent */
			count = count - (FILLING - acks - OWN)
		}
#ifndef UNAWAITED
		/* smp/wait/many.rs await_acks */
		do
		:: (count & 63) == OWN -> break /* multicast/slot.rs is_acknowledged */
#ifdef GIVES_UP
		:: (count & 63) != OWN -> break
#endif
		:: (count & 63) != OWN ->
#ifdef PARK_IN_TWO
			acks = count;
			sleeps = (acks != OWN);
			if
			:: sleeps -> count = acks | PARKED
			:: else
			fi;
#else
			atomic { /* multicast/slot.rs park */
				if
				:: (count & 63) != OWN -> count = count | PARKED; sleeps = true
				:: else
				fi
			}
#endif
			if
			:: sleeps -> bell; bell = false; sleeps = false /* host/callers.rs sleep */
			:: else
			fi
		od;
#endif
		alive = false;
		assert(ran + off == CPUS);
		off = 0; /* multicast/slot.rs take_offline */
		count = 0; /* multicast/slot.rs release */
		waits = false
	od
}

/* smp/flush/dispatch/slot.rs run_slot */
inline serve() {
	atomic { /* multicast/callers.rs take */
		mine = bits[me];
		bits[me] = false
	}
	if
	:: mine ->
		/* smp/many/relaying/leader.rs pass_on */
		next = left; /* relay.rs take */
		if
		:: next ->
			left = 0; /* relay.rs take */
			sent = 0;
#ifndef NOTIFIES_NOBODY
			do
			:: next == CPUS -> break
			:: else ->
				notify(next);
				if
				:: sends -> sent++
				:: else ->
					off++ /* multicast/slot.rs count_offline */
#ifdef OFFLINE_UNCOUNTED
					; sent++
#endif
				fi;
				next++
			od;
			atomic { /* relay.rs sent */
				pending = pending - (FILLING - sent - 1)
			}
#endif
		:: else
		fi;
		atomic { /* multicast/slot.rs run */
			assert(alive);
			ran++
		}
		last = true;
#ifndef ALL_AT_THE_SLOT
		if
		:: pending -> /* relay.rs is_in_use */
			atomic { /* relay.rs acknowledge */
				pending--;
				last = (pending == 0)
			}
		:: else
		fi;
#endif
		if
		:: last ->
			atomic { /* multicast/slot.rs acknowledge */
				last = (count == (PARKED | (OWN + 1)));
				count--
			}
#ifndef ACKS_SILENTLY
			if
			:: last -> bell = true /* host/port.rs wake */
			:: else
			fi
#endif
		:: else
		fi;
		mine = false; last = false; sends = false; sent = 0; next = 0
	:: else
	fi
}

active [CPUS] proctype Cpu() {
	byte me = _pid - 1;
	byte next, sent;
	bool mine, sends, last;
	do
	:: true ->
end:		if
		:: called[me] -> called[me] = false /* queue.rs take */
		:: me != stays && !offline[me] && waits ->
			atomic { /* queue.rs close */
				mine = called[me];
				called[me] = false;
				offline[me] = true
			}
#ifdef DROPS_ON_LEAVING
			mine = false;
#endif
			if
			:: !mine -> break
			:: else
			fi
		fi;
		serve();
		if
		:: offline[me] -> break
		:: else
		fi
	od
}
