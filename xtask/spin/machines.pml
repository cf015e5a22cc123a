/*
 * P10: CPU 0 of machine A waits on machine B for a function that calls CPU 0 of A.
 *
 * To B the waiting thread is no CPU. It serves its CPU of A meanwhile, and sleeps on its doorbell as a caller, to which that CPU's latch
 * is diverted. It calls again and again, and may stop. The function may block; the thread that runs it sleeps on its doorbell as a caller, too.
 *
 * property answered: a call comes back: A's to B, and B's to A
 * mutant SERVES_NOBODY: answered: a waiter does not serve the CPU that it is elsewhere
 * mutant DIVERTS_LATE: answered: the CPU counts as one that rests before its latch is diverted
 * mutant NOT_DIVERTED: answered: a ring of the CPU does not reach the thread where it sleeps
 * mutant PARK_IN_TWO: answered: who sleeps says so by a load and a store
 * mutant COMPLETES_SILENTLY: answered: the completion wakes nobody
 * mutant SLEEPS_UNASKED: answered: a waiter sleeps, and has not said so
 */

#define A 0
#define B 1

#define IDLE 0
#define LIST 1
#define POLLING 2

#define QUIET 0
#define RUNG 1
#define DIVERTED 2

#define FREE 0
#define LOCKED 1
#define PARKED 2

/* Of the one CPU of each machine. */
byte head[2], latch[2];
/* Of the call that the CPU of this machine makes: its word, and its caller's doorbell. */
byte word[2];
bool bell[2];
bool calls[2];

ltl answered { [] ((calls[A] -> <> !calls[A]) && (calls[B] -> <> !calls[B])) }

/* queue.rs push */
inline push(cpu) {
	atomic { /* queue.rs try_push */
		assert(head[cpu] != LIST);
		before = head[cpu];
		head[cpu] = LIST
	}
}

/* smp/flush/dispatch.rs complete */
inline complete(call) {
	atomic { /* state/waiting.rs complete */
		before = word[call];
		word[call] = FREE
	}
#ifndef COMPLETES_SILENTLY
	if
	:: before == PARKED -> bell[call] = true /* host/port.rs wake */
	:: else
	fi;
#endif
	before = 0
}

/* smp/wait/wait_loop.rs sleep */
inline sleep(call) {
#ifdef PARK_IN_TWO
	sleeps = (word[call] != FREE);
	if
	:: sleeps -> word[call] = PARKED
	:: else
	fi;
#else
	atomic { /* state/waiting.rs park */
		if
		:: word[call] != FREE ->
			sleeps = true;
#ifndef SLEEPS_UNASKED
			word[call] = PARKED
#endif
		:: else
		fi
	}
#endif
	if
	:: sleeps -> bell[call]; bell[call] = false; sleeps = false /* host/callers.rs sleep */
	:: else
	fi
}

active proctype CpuOfA() {
	byte before;
	bool list, sleeps;
	do
	:: break
	:: true -> /* smp/call.rs call_from_frame */
		calls[A] = true;
		word[A] = LOCKED; /* state/waiting.rs new_waiting */
		push(B);
		if
		:: before == IDLE -> latch[B] = RUNG /* host/latch.rs ring */
		:: else
		fi;
		/* smp/wait/wait_loop.rs wait_loop */
		do
		:: word[A] == FREE -> break /* state/waiting.rs is_done */
		:: else ->
#ifndef SERVES_NOBODY
			/* smp/wait/elsewhere.rs serve_elsewhere */
			atomic { /* queue.rs take */
				if
				:: head[A] == LIST -> list = true; head[A] = POLLING
				:: else
				fi
			}
			if
			:: list -> list = false; complete(B)
			:: else
			fi;
			atomic { /* queue.rs go_idle */
				if
				:: head[A] == POLLING -> head[A] = IDLE
				:: else
				fi
			}
#endif
#ifndef DIVERTS_LATE
			atomic { /* host/latch.rs divert */
				if
				:: latch[A] == QUIET -> latch[A] = DIVERTED
				:: else -> latch[A] = QUIET; goto looks /* host/latch.rs acknowledge */
				fi
			}
#endif
			if
			:: head[A] == LIST -> goto back /* smp/wait/elsewhere.rs rest_elsewhere */
			:: else
			fi;
#ifdef DIVERTS_LATE
			latch[A] = DIVERTED;
#endif
			sleep(A);
back:
			latch[A] = QUIET; /* host/latch.rs acknowledge */
looks:
			skip
		od;
		calls[A] = false
	od
}

active proctype CpuOfB() {
	byte before;
	bool list, sleeps;
	do
	:: true -> /* host/machine.rs run_cpu */
end:		latch[B] == RUNG;
		latch[B] = QUIET; /* host/latch.rs acknowledge */
		atomic { /* queue.rs take */
			if
			:: head[B] == LIST -> list = true; head[B] = POLLING
			:: else
			fi
		}
		atomic { /* queue.rs go_idle */
			if
			:: head[B] == POLLING -> head[B] = IDLE
			:: else
			fi
		}
		if
		:: list -> /* smp/blocking.rs run_one_blocking */
			list = false;
			calls[B] = true;
			word[B] = LOCKED; /* state/waiting.rs new_waiting */
			push(A);
			if
			:: before == IDLE ->
				atomic { /* host/latch.rs ring */
					before = latch[A];
					latch[A] = RUNG
				}
#ifndef NOT_DIVERTED
				if
				:: before == DIVERTED -> bell[A] = true /* host/callers.rs ring */
				:: else
				fi
#endif
			:: else
			fi;
			do
			:: word[B] == FREE -> break /* state/waiting.rs is_done */
			:: else -> sleep(B)
			od;
			calls[B] = false;
			complete(A)
		:: else
		fi
	od
}
