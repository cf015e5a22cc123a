/*
 * P10: a machine of the host ends: its two threads go offline, while one thread asks for that, or two.
 *
 * The threads sleep on their latches, as in `sleep`; who waits sleeps on the doorbell of a thread that is no CPU. What becomes of posts
 * meanwhile, `hotplug` has.
 *
 * property ends: whoever asks for the machine's end comes back
 * mutant RINGS_NOBODY: ends: a thread that sleeps is not rung for the end
 * mutant RINGS_FIRST: ends: threads are rung before they can see what for
 * mutant SLEEPS_AFTER_A_LOOK: ends: the thread sleeps without its latch, by what it saw
 * mutant ASKS_BLINDLY: ends: who asks to be woken does not look once more
 * mutant ENDS_SILENTLY: ends: a thread that ends wakes nobody
 * mutant ENDS_LATE: ends: a thread says that it has ended after it has looked for waiters
 * mutant ONE_WAITER: ends: of two who wait, the first is woken
 */

bool offline[2];
bool latch[2], stop, ended[2];
/* Who is to be woken when a thread ends, and whose doorbell was rung. */
bool waiters[2], bell[2];
bool asked[2];

ltl ends { [] ((asked[0] -> <> !asked[0]) && (asked[1] -> <> !asked[1])) }

/* host/machine.rs run_cpu */
active [2] proctype Thread() {
	byte me = _pid;
	bool first, second;
	do
	:: stop -> break /* host/machine.rs stopping */
	:: else ->
		if
		:: !stop -> /* host/machine.rs stopping */
#ifdef SLEEPS_AFTER_A_LOOK
			latch[me] = false;
#endif
end_asleep:		latch[me];
			latch[me] = false /* host/latch.rs acknowledge */
		:: else
		fi
	od;
	offline[me] = true; /* smp/hotplug.rs leave */
#ifndef ENDS_LATE
	ended[me] = true; /* host/machine/end.rs end */
#endif
	atomic { /* host/machine/end.rs end: under the lock */
		first = waiters[0];
		waiters[0] = false;
#ifdef ONE_WAITER
		if
		:: first -> goto wakes
		:: else
		fi;
#endif
		second = waiters[1];
		waiters[1] = false
	}
wakes:
#ifdef ENDS_LATE
	ended[me] = true;
#endif
#ifndef ENDS_SILENTLY
	if
	:: first -> bell[0] = true /* host/port.rs wake */
	:: else
	fi;
	if
	:: second -> bell[1] = true /* host/port.rs wake */
	:: else
	fi;
#endif
	assert(offline[me])
}

/* host/machine/end.rs shutdown */
active [2] proctype Caller() {
	byte me = _pid - 2;
	byte cpu;
	bool sleeps;
	if
	:: true -> goto done
	:: true
	fi;
	asked[me] = true;
#ifdef RINGS_FIRST
	latch[0] = true;
	latch[1] = true;
#endif
	stop = true; /* host/machine/end.rs end */
#if !defined(RINGS_NOBODY) && !defined(RINGS_FIRST)
	latch[0] = true; /* host/port/rings.rs ring_doorbell */
	latch[1] = true; /* host/port/rings.rs ring_doorbell */
#endif
	do
	:: cpu == 2 -> break
	:: cpu < 2 && ended[cpu] -> cpu++ /* host/machine/end.rs has_ended */
	:: cpu < 2 && !ended[cpu] -> /* smp/wait/elsewhere.rs wait_by_port */
		atomic { /* host/machine/end.rs ask: under the lock */
#ifdef ASKS_BLINDLY
			sleeps = true;
#else
			sleeps = !ended[cpu];
#endif
			waiters[me] = waiters[me] || sleeps
		}
		if
		:: sleeps -> bell[me]; bell[me] = false /* host/callers.rs sleep */
		:: else
		fi
	od;
	asked[me] = false;
	assert(offline[0] && offline[1]);
done:
	skip
}
