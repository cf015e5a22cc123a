/*
 * P10: two CPUs make calls to each other that may block, again and again; flushes are interrupts', and come at any time.
 *
 * A flush moves a call to its CPU's list; the CPU's thread runs what is in the list, also while it waits for its own. What the doorbell
 * is, `sleep` and `interrupt` have: here an interrupt follows each push, before its CPU's thread can switch interrupts off. Between its calls a thread serves its CPU.
 *
 * property answered: a call comes back
 * mutant SERVES_NOBODY: answered: who waits does not run what its CPU's list has
 * mutant NO_SLEEPER: answered: nobody knows that the thread sleeps, and wants to be woken for the list
 * mutant SLEEPER_LATE: answered: the thread says so after it has looked at the list, with interrupts on in between
 * mutant SLEEPS_OVER_LIST: answered: the thread does not look at the list before it sleeps
 * mutant DEQUEUES_IN_TWO: answered: a call is marked as taken off the queue by a load and a store
 * mutant PARK_IN_TWO: answered: who sleeps says so by a load and a store
 * mutant COMPLETES_SILENTLY: answered: the completion wakes nobody
 * mutant COMPLETES_BY_STORE: answered: the completion does not look whether somebody sleeps
 */

#define FREE 0
#define LOCKED 1
#define DEQUEUED 2
#define PARKED 4

/* Of each CPU: is a call in its queue, or in its list; who sleeps for the list; the thread's latch; whether interrupts are off. */
bool queued[2], listed[2], sleeper[2], latch[2], irq_off[2];
/* Of each CPU's own call. */
byte word[2];
bool calls[2];

ltl answered { [] ((calls[0] -> <> !calls[0]) && (calls[1] -> <> !calls[1])) }

/* The doorbell's handler: smp/flush/dispatch.rs run_uncommon */
active [2] proctype Interrupt() {
	byte me = _pid;
	byte before;
	do
	:: true ->
end:		atomic { /* queue.rs take */
			queued[me] && !irq_off[me] -> queued[me] = false;
			irq_off[me] = true
		}
#ifdef DEQUEUES_IN_TWO
		before = word[1 - me];
		word[1 - me] = before | DEQUEUED;
#else
		word[1 - me] = word[1 - me] | DEQUEUED; /* state/waiting.rs set_dequeued */
#endif
		listed[me] = true; /* smp/flush/dispatch.rs run_uncommon */
		if
		:: sleeper[me] -> latch[me] = true /* host/port.rs wake */
		:: else
		fi;
		irq_off[me] = false
	od
}

/* smp/blocking.rs run_all_blocking */
inline run_list() {
	atomic { /* percpu/own.rs take_blocking */
		!irq_off[me] && !queued[me] -> list = listed[me];
		listed[me] = false
	}
	if
	:: list ->
		list = false;
#ifdef COMPLETES_BY_STORE
		before = word[you];
		word[you] = FREE;
#else
		atomic { /* state/waiting.rs complete */
			before = word[you];
			word[you] = FREE
		}
#endif
#ifndef COMPLETES_SILENTLY
		if
		:: before & PARKED -> latch[you] = true /* smp/flush/dispatch.rs complete */
		:: else
		fi;
#endif
		before = 0
	:: else
	fi
}

/* smp/wait/serving.rs may_sleep */
inline may_sleep() {
	may = true;
	atomic { /* platform.rs irq_save */
		!irq_off[me] && !queued[me] -> irq_off[me] = true
	}
#ifndef SLEEPS_OVER_LIST
	if
	:: listed[me] -> may = false
	:: else
	fi;
#endif
#ifdef SLEEPER_LATE
	irq_off[me] = false;
#endif
#ifndef NO_SLEEPER
	if
	:: may -> sleeper[me] = true /* smp/wait/serving.rs may_sleep */
	:: else
	fi;
#endif
	irq_off[me] = false
}

active [2] proctype Thread() {
	byte me = _pid - 2;
	byte you = 1 - me;
	byte before;
	bool list, may;
	do
	:: true ->
		run_list(); /* smp/cpu.rs run_blocking */
		if
		:: true -> goto call
		:: true
		fi;
		/* smp/cpu/sleep.rs serve */
		may_sleep();
		if
		:: may ->
end:			latch[me]; /* host/latch.rs sleep */
			latch[me] = false; /* host/latch.rs acknowledge */
			sleeper[me] = false
		:: else
		fi;
		goto next;
call:		/* smp/blocking.rs call_blocking */
		calls[me] = true;
		word[me] = LOCKED; /* state/waiting.rs new_waiting */
		queued[you] = true; /* queue.rs push */
		do
		:: word[me] == FREE -> break /* state/waiting.rs is_done */
		:: else ->
#ifndef SERVES_NOBODY
			run_list(); /* smp/wait/serving.rs serve_once */
#endif
			may_sleep();
			if
			:: may ->
#ifdef PARK_IN_TWO
				before = word[me];
				may = (before != FREE);
				if
				:: may -> word[me] = before | PARKED
				:: else
				fi;
#else
				atomic { /* state/waiting.rs park */
					may = (word[me] != FREE);
					if
					:: may -> word[me] = word[me] | PARKED
					:: else
					fi
				}
#endif
				before = 0;
				if
				:: may ->
					latch[me]; /* host/latch.rs sleep */
					latch[me] = false /* host/latch.rs acknowledge */
				:: else
				fi;
				sleeper[me] = false /* smp/wait/serving.rs end_sleep */
			:: else
			fi
		od;
		calls[me] = false;
next:
		skip
	od
}
