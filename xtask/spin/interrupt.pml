/*
 * P7, P8: posts to a CPU whose doorbell interrupts it: it computes, polls when it is idle, or halts; a flush may run one post.
 *
 * Two posters, who may stop at any time. Its handler comes wherever interrupts are on, and flushes as the idle loop does.
 *
 * property runs: a csd that is claimed is unlocked: its run begins
 * mutant BUDGET_DOES_NOT_RING: runs: what a budget leaves over waits for a doorbell that nobody owes
 * mutant BUDGET_DROPS: runs: what a budget leaves over is lost
 * mutant ACKNOWLEDGES_LATE: runs: the doorbell is cleared after the queue was taken
 * mutant STAYS_POLLING: runs: the handler leaves the mark of its flush behind
 * mutant SLEEPS_POLLING: runs: the idle loop halts, and counts as one that looks
 * mutant IDLE_IN_TWO: runs: the idle loop gives up its mark by a load and a store
 */

#define POLLING 0
#define OWED 8
#define IDLE OWED
#define LIST 7

byte head = IDLE;
bool locked[2];
/* The doorbell has rung, and is not acknowledged. */
bool pending;
/* The CPU's own. */
byte left;
bool polls;

ltl runs { [] ((locked[0] -> <> !locked[0]) && (locked[1] -> <> !locked[1])) }

active [2] proctype Poster() {
	byte csd;
	bool owes;
	do
	:: break
	:: true ->
		csd = (csd + 1) % 2;
		atomic { /* state.rs claim_as */
			if
			:: locked[csd] -> goto busy /* state.rs tell */
			:: else -> locked[csd] = true
			fi
		}
		atomic { /* queue.rs try_push */
			assert(!(head & (1 << csd)));
			owes = (head & OWED) != 0;
			head = (head & LIST) | (1 << csd)
		}
		if
		:: owes -> pending = true; owes = false /* smp/post.rs answer_push */
		:: else
		fi;
busy:
		skip
	od
}

/* smp/flush.rs flush_guarded */
inline flush() {
	budget = 1;
	batch = left; /* percpu/own.rs take_left_over */
	left = 0;
	do
	:: true ->
		old = batch;
		atomic { /* queue.rs take */
			if
			:: (head & LIST) && (budget || !batch) -> batch = batch | (head & LIST); head = POLLING
			:: else
			fi
		}
		if
		:: batch && budget ->
			/* What was left over is older. */
			if
			:: old == 0 -> old = batch
			:: else
			fi;
			if
			:: old & 1 -> locked[0] = false; batch = batch & 2 /* state.rs unlock_seen */
			:: else -> locked[1] = false; batch = batch & 1 /* state.rs unlock_seen */
			fi;
			budget = 0
		:: batch && !budget -> /* smp/flush/behind.rs leave_over */
#ifndef BUDGET_DROPS
			left = batch;
#endif
#ifndef BUDGET_DOES_NOT_RING
			if
			:: !polls -> pending = true /* smp/unrung.rs ring_oneself */
			:: else
			fi;
#endif
			break
		:: !batch ->
			if
			:: polls -> break
			:: else
			fi;
#ifdef STAYS_POLLING
			break;
#endif
			atomic { /* queue.rs go_idle */
				if
				:: head == POLLING -> head = IDLE; break
				:: head == IDLE -> break
				:: else
				fi
			}
		fi
	od;
	batch = 0; old = 0; budget = 0
}

active proctype Cpu() {
	byte batch, old, budget;
	bool rung;
	do
	:: true ->
		rung = pending;
#ifndef ACKNOWLEDGES_LATE
		if
		:: rung -> pending = false
		:: else
		fi;
#endif
		if
		:: rung || polls -> flush() /* smp/machine.rs flush: the handler; smp/cpu.rs flush: the idle loop */
		:: else
		fi;
#ifdef ACKNOWLEDGES_LATE
		if
		:: rung -> pending = false
		:: else
		fi;
#endif
		if
		:: !polls /* It computes. */
		:: !polls -> /* smp/cpu.rs poll_begin */
			polls = true;
			atomic { /* queue.rs start_polling */
				if
				:: head == IDLE -> head = POLLING
				:: else
				fi
			}
		:: polls && !left -> /* smp/cpu/sleep.rs begin_sleep_as */
#ifdef IDLE_IN_TWO
			if
			:: head & LIST -> goto looks
			:: else
			fi;
			head = IDLE;
#else
#ifndef SLEEPS_POLLING
			atomic { /* queue.rs go_idle */
				if
				:: head == POLLING -> head = IDLE
				:: head == IDLE
				:: else -> goto looks
				fi
			}
#endif
#endif
			polls = false; /* smp/hotplug.rs stop_polling */
			/* The instruction that halts, and switches interrupts on. */
end:			pending
		:: polls && left
		fi;
looks:
		skip
	od
}
