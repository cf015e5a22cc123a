/*
 * P2, P8: posts to a CPU that comes online and goes offline.
 *
 * Two posters, who may stop at any time. The CPU may stay offline for good, or online. What a doorbell is, `sleep` has.
 *
 * property answered: a csd that is claimed is unlocked: by its run, or by its poster, who was refused
 * property relied: who was told Busy has a run that begins later, or the poster who was refused learns of him
 * mutant CLOSE_IN_TWO: answered: the close is a load and a store, and what was accepted in between is lost
 * mutant CLOSE_DROPS: answered: what was accepted until the close is not run
 * mutant PUSHES_TO_OFFLINE: answered: the push does not look at the mark
 * mutant KEEPS_CLAIM: answered: a poster who is refused keeps its claim
 * mutant FORGETS_RELIERS: relied: who was refused does not look whether others relied on it
 * mutant RELEASES_IN_TWO: relied: who was refused lets go by a load and a store
 * mutant TELLS_BY_LOAD: relied: who is told Busy leaves no word
 * mutant STAYS_POLLING: answered: a CPU that was polling when it went offline counts as polling when it is back
 */

#define POLLING 0
#define OWED 8
#define IDLE OWED
#define OFFLINE 16
#define LIST 7

byte head = OFFLINE;
bool locked[2], coalesced[2];
/* Somebody was told Busy, and nothing has come of it yet. */
bool relies[2];
bool rung;

ltl answered { [] ((locked[0] -> <> !locked[0]) && (locked[1] -> <> !locked[1])) }
ltl relied { [] ((relies[0] -> <> !relies[0]) && (relies[1] -> <> !relies[1])) }

active [2] proctype Poster() {
	byte csd;
	bool owes, told;
	do
	:: break
	:: true ->
		csd = (csd + 1) % 2;
		if
		:: head == OFFLINE && !locked[csd] -> goto next /* smp/post.rs post_free */
		:: else
		fi;
		atomic { /* state.rs claim_as */
			if
			:: locked[csd] -> /* state.rs tell */
				relies[csd] = true;
#ifndef TELLS_BY_LOAD
				coalesced[csd] = true;
#endif
				goto next
			:: else -> locked[csd] = true
			fi
		}
		atomic { /* queue.rs try_push */
			if
#ifndef PUSHES_TO_OFFLINE
			:: head == OFFLINE -> goto refused
#endif
			:: else ->
				assert(!(head & (1 << csd)));
				owes = (head & OWED) != 0;
				head = (head & LIST) | (1 << csd)
			fi
		}
		if
		:: owes -> rung = true; owes = false /* smp/post.rs ring */
		:: else
		fi;
		goto next;
refused:
#ifdef KEEPS_CLAIM
		goto next;
#endif
#ifdef RELEASES_IN_TWO
		told = coalesced[csd];
#endif
		atomic { /* smp/post.rs release */
#ifndef RELEASES_IN_TWO
			told = coalesced[csd];
#endif
			coalesced[csd] = false;
			locked[csd] = false
		}
#ifndef FORGETS_RELIERS
		if
		:: told -> relies[csd] = false /* state/snapshot.rs is_coalesced */
		:: else
		fi;
#endif
		told = false;
next:
		skip
	od
}

/* state.rs unlock_seen */
inline begin(csd) {
	atomic { /* state.rs unlock_seen */
		assert(locked[csd]);
		locked[csd] = false;
		coalesced[csd] = false;
		relies[csd] = false
	}
}

/* smp/flush/dispatch.rs run_some */
inline run_some() {
	if
	:: list & 1 -> begin(0)
	:: else
	fi;
	if
	:: list & 2 -> begin(1)
	:: else
	fi;
	list = 0
}

/* smp/flush.rs run_batches */
inline flush() {
	do
	:: true ->
		atomic { /* queue.rs take */
			if
			:: head & LIST -> list = head & LIST; head = POLLING
			:: else
			fi
		}
		if
		:: list -> run_some()
		:: else ->
			if
			:: polls -> break
			:: else
			fi;
			atomic { /* queue.rs go_idle */
				if
				:: head == POLLING -> head = IDLE; break
				:: head == IDLE -> break
				:: else
				fi
			}
		fi
	od
}

active proctype Cpu() {
	byte list;
	bool polls;
	do
	:: true ->
		/* It may stay offline. */
		if
		:: true -> break
		:: true
		fi;
		atomic { /* queue.rs open */
			assert(head == OFFLINE);
			head = IDLE
		}
		do
		:: break
		:: true -> /* smp/cpu.rs poll_begin */
			polls = true;
			atomic { /* queue.rs start_polling */
				if
				:: head == IDLE -> head = POLLING
				:: else
				fi
			}
			flush();
			if
			:: true -> break
			:: true -> polls = false /* smp/wait/serving.rs end_serving */
			fi;
			flush()
		:: true ->
			flush();
end:			rung;
			rung = false
		od;
		/* smp/hotplug.rs leave */
#ifndef STAYS_POLLING
		polls = false;
#endif
#ifdef CLOSE_IN_TWO
		list = head & LIST;
		head = OFFLINE;
#else
		atomic { /* queue.rs close */
			list = head & LIST;
			head = OFFLINE
		}
#endif
#ifdef CLOSE_DROPS
		list = 0;
#endif
		run_some()
	od
}
