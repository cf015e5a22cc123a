/*
 * P2, P7, P8: posts to a CPU of the host, whose thread polls, flushes, and sleeps on its latch.
 *
 * Two posters, who may stop at any time, and one csd each of them posts, or finds posted. The head has the core's own encoding.
 *
 * property runs: a csd that is claimed is unlocked: its run begins, and with it what those were promised who were told Busy
 * mutant NO_RING: runs: a post that replaces IDLE does not ring
 * mutant RINGS_FIRST: runs: the ring comes before the push
 * mutant RINGS_ALL: states: each post rings
 * mutant CLAIMS_IN_TWO: states: the claim is a load and a store: two posters push one csd, and the list bites its tail
 * mutant TAKES_IN_TWO: runs: the take is a load and a store
 * mutant IDLE_IN_TWO: runs: the flush leaves by a load and a store
 * mutant STAYS_POLLING: runs: the flush leaves its mark behind
 * mutant ACKNOWLEDGES_LATE: runs: the latch is cleared after the queue was taken
 * mutant SLEEPS_IN_TWO: runs: the latch says ASLEEP by a store
 * mutant NO_WAKE: runs: a ring latches, and does not wake
 * mutant SLEEP_UNCHECKED: runs: the sleep does not look at the latch once more
 */

#define POLLING 0
#define OWED 8
#define IDLE OWED
#define LIST 7

#define QUIET 0
#define RUNG 1
#define ASLEEP 2

byte head = IDLE;
bool locked[2];
/* How often was rung since the CPU was last at rest. */
byte rings;
byte latch = QUIET;
/* The thread is in the kernel. */
bool waits;

ltl runs { [] ((locked[0] -> <> !locked[0]) && (locked[1] -> <> !locked[1])) }

/* host/latch.rs ring */
inline ring() {
	atomic { /* host/latch.rs ring */
		before = latch;
		latch = RUNG;
	}
	if
#ifndef NO_WAKE
	:: before == ASLEEP -> waits = false; /* host/futex.rs wake_one */
#endif
	:: else
	fi;
	before = 0
}

active [2] proctype Poster() {
	byte csd, before;
	bool owes;
	do
	:: break
	:: true ->
		csd = (csd + 1) % 2;
#ifdef CLAIMS_IN_TWO
		if
		:: locked[csd] -> goto busy
		:: else
		fi;
		locked[csd] = true;
#else
		atomic { /* state.rs claim_as */
			if
			:: locked[csd] -> goto busy /* state.rs tell */
			:: else -> locked[csd] = true
			fi
		}
#endif
#ifdef RINGS_FIRST
		if
		:: head & OWED -> ring()
		:: else
		fi;
#endif
		atomic { /* queue.rs try_push */
			assert(!(head & (1 << csd)));
			owes = (head & OWED) != 0;
#ifdef RINGS_ALL
			owes = true;
#endif
			head = (head & LIST) | (1 << csd);
			if
			:: owes -> rings++; assert(rings == 1)
			:: else
			fi
		}
#if !defined(NO_RING) && !defined(RINGS_FIRST)
		if
		:: owes -> ring() /* smp/post.rs answer_push */
		:: else
		fi;
#endif
busy:
		owes = false
	od
}

/* smp/flush/dispatch.rs run_batch */
inline batch() {
#ifdef TAKES_IN_TWO
	list = head;
	list = list & LIST;
	if
	:: list -> head = POLLING
	:: else
	fi;
#else
	atomic { /* queue.rs take */
		list = head & LIST;
		if
		:: list -> head = POLLING
		:: else
		fi
	}
#endif
	if
	:: list & 1 -> locked[0] = false /* state.rs unlock_seen */
	:: else
	fi;
	if
	:: list & 2 -> locked[1] = false /* state.rs unlock_seen */
	:: else
	fi;
	list = 0
}

/* smp/flush.rs run_batches */
inline flush() {
	do
	:: true ->
		batch();
#ifdef STAYS_POLLING
		break;
#endif
#ifdef IDLE_IN_TWO
		if
		:: head == POLLING -> atomic { head = IDLE; rings = 0 }
		:: else
		fi;
		if
		:: head == IDLE -> break
		:: else
		fi
#else
		atomic { /* queue.rs go_idle */
			if
			:: head == POLLING -> head = IDLE; rings = 0; break
			:: head == IDLE -> break
			:: else
			fi
		}
#endif
	od
}

/* host/latch.rs acknowledge */
inline acknowledge() {
	latch = QUIET
}

/* host/latch.rs sleep */
inline sleep() {
	asleep = false;
#ifdef SLEEPS_IN_TWO
	if
	:: latch == QUIET -> asleep = true
	:: else
	fi;
	if
	:: asleep -> latch = ASLEEP
	:: else
	fi;
#else
	atomic { /* host/latch.rs sleep */
		if
		:: latch == QUIET -> latch = ASLEEP; asleep = true
		:: else
		fi
	}
#endif
	if
	:: asleep ->
		atomic { /* host/futex.rs wait */
#ifdef SLEEP_UNCHECKED
			waits = true;
#else
			waits = (latch == ASLEEP)
#endif
		}
end:		!waits
	:: else
	fi;
#ifndef ACKNOWLEDGES_LATE
	acknowledge()
#endif
}

/* host/machine.rs run_cpu */
active proctype Target() {
	byte list;
	bool asleep;
	do
	:: true ->
		if
		:: true -> /* host/machine.rs poll */
			atomic { /* queue.rs start_polling */
				if
				:: head == IDLE -> head = POLLING
				:: else
				fi
			}
			do
			:: true ->
				batch();
				if
				:: atomic { /* queue.rs go_idle */
					head == POLLING -> head = IDLE; rings = 0
				   }
				   break
				:: head & LIST
				fi
			od
		:: true
		fi;
		flush();
#ifdef ACKNOWLEDGES_LATE
		acknowledge();
#endif
		sleep()
	od
}
