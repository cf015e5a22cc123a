//! The table of steps: what each is called, what it needs, and how often it is drawn where.

/// What a step needs of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uses {
    /// A machine.
    Machine,
    /// A CPU.
    Cpu,
    /// A csd.
    Csd,
    /// A time.
    Time,
    /// A set of CPUs or csds.
    Mask,
    /// Whom a multicast is for.
    To,
    /// A function.
    Body,
    /// A condition or an iterator.
    Aside,
}

/// Says by its name whether a kind is wanted.
pub(crate) type Wanted<'a> = dyn Fn(&str) -> bool + 'a;

/// Where a step is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a thread's own list.
    Thread,
    /// In a function, a condition, an iterator, a destructor or a handler.
    Inside,
    /// In a listener to tracepoints, which must not wait.
    Tracer,
}

macro_rules! kinds {
    ($($(#[$default:meta])? $kind:ident $name:literal $weights:tt $uses:tt $doc:literal;)*) => {
        /// What a step does.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum Kind { $(#[doc = $doc] $(#[$default])? $kind,)* }

        impl Kind {
            const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Its name in lists and on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// How often it is drawn, relative to the others, in a thread, inside of something, and in a tracer.
            fn weights(self) -> [u32; 3] {
                match self { $(Self::$kind => $weights,)* }
            }

            /// Which fields of the step mean anything.
            pub fn uses(self) -> &'static [Uses] {
                use Uses::{Aside, Body, Cpu, Csd, Machine, Mask, Time, To};
                match self { $(Self::$kind => &$uses,)* }
            }
        }
    };
}

kinds! {
    Attach "attach" [14, 3, 1] [Machine, Cpu, Time] "Becomes a CPU; tries for a while.";
    Detach "detach" [3, 8, 4] [] "Drops what makes the thread a CPU.";
    Forget "forget" [1, 1, 0] [] "Leaks it.";
    Park "park" [5, 1, 0] [Time] "Sleeps as a CPU, for so long at most.";
    Poll "poll" [4, 1, 1] [] "Looks at its queue.";
    LoopBegin "attached-poll-begin" [1, 1, 0] [] "Says that it polls, through what makes it a CPU.";
    Offline "offline" [1, 2, 2] [Machine] "Closes the queue.";
    Flush "flush" [8, 2, 3] [Machine] "Runs what is queued.";
    RunBlocking "run-blocking" [8, 2, 2] [Machine] "Runs what may block.";
    PollBegin "poll-begin" [1, 1, 1] [Machine] "Says that the CPU polls.";
    PollEnd "poll-end" [1, 1, 1] [Machine] "Says that it polls no more.";
    Post "post" [10, 6, 3] [Machine, Cpu, Csd] "Posts a csd.";
    PostAll "post-all" [3, 2, 1] [Machine, Cpu, Mask, Aside] "Posts several.";
    PostLazy "post-lazy" [3, 2, 1] [Machine, Cpu, Csd] "Posts a csd, and rings nobody.";
    Cancel "cancel" [3, 2, 1] [Csd] "Cancels a csd's run.";
    DropCsd "drop-csd" [1, 2, 1] [Csd] "Gives up a counted csd.";
    Detached "post-detached" [5, 3, 1] [Machine, Cpu, Body] "Has a function run, and keeps nothing for it.";
    PostBoxed "post-boxed" [4, 2, 1] [Machine, Cpu, Body] "Has a function run that owns what it holds.";
    PostEmbedded "post-embedded" [4, 2, 1] [Machine, Cpu, Time, Body] "Posts an owner that embeds a csd, once or twice.";
    PostPinned "post-pinned" [4, 2, 0] [Machine, Cpu, Time, Mask, Body] "Posts an owner on its stack.";
    Send "send" [6, 3, 1] [Machine, Cpu, Csd, Body] "Sends a message.";
    Receive "receive" [5, 2, 0] [Machine, Csd, Time] "Waits for a message's answer.";
    TryTake "try-take" [2, 2, 1] [Csd] "Takes a message's answer, if it is there.";
    CancelMessage "cancel-message" [2, 2, 1] [Csd] "Cancels a message's run.";
    WithLocal "with-local" [1, 6, 1] [Machine, Body] "Reaches for the CPU's own cell.";
    Call "call" [12, 4, 0] [Machine, Cpu, Time, Body] "Calls, and waits.";
    CallBlocking "call-blocking" [12, 4, 0] [Machine, Cpu, Time, Body] "Calls a function that may block, and waits.";
    CallMany "call-many" [5, 2, 0] [Machine, To, Mask, Body, Aside] "Calls several, and waits.";
    CallMap "call-map" [4, 2, 0] [Machine, To, Mask, Body, Aside] "Calls several, and waits for a result of each.";
    CallManyIdle "call-many-idle" [2, 1, 0] [Machine, To, Mask, Body, Aside] "Calls those that are idle.";
    CallManyMeanwhile "call-many-meanwhile" [3, 1, 0] [Machine, To, Mask, Body, Aside] "Calls several, does something else, and waits.";
    PostMany "post-many" [4, 2, 1] [Machine, To, Mask, Body, Aside] "Calls several, and does not wait.";
    CallNearest "call-nearest" [2, 1, 0] [Machine, Mask, Body] "Calls one of several.";
    Kick "kick" [1, 1, 0] [Machine] "Waits until all have been in a call.";
    Wait "wait" [5, 2, 0] [Machine, Csd] "Waits for a csd's run.";
    WaitUntil "wait-until" [3, 1, 0] [Machine, Csd, Time] "The same, for so long at most.";
    WaitTimeout "wait-timeout" [3, 1, 0] [Machine, Csd, Time] "The same, for so much time at most.";
    WakeIdle "wake-idle" [1, 1, 0] [Machine] "Rings those that rest.";
    Watchdog "watchdog" [1, 1, 0] [Machine] "Looks for CPUs that do not come forward.";
    Shutdown "shutdown" [1, 1, 0] [Machine] "Ends the machine's own threads.";
    ShutdownTimeout "shutdown-timeout" [1, 1, 0] [Machine, Time] "The same, for so long at most.";
    #[default] Nap "nap" [4, 6, 0] [Time] "Lets time pass.";
    Ring "ring" [1, 1, 0] [Machine, Cpu] "Rings a CPU through the port.";
    OwnMachine "own-machine" [1, 0, 0] [Mask] "Makes a machine, uses it, and drops it.";
}

impl Kind {
    /// The names of all.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|kind| kind.name())
    }

    /// Draws one of those that are wanted; a nap if there is none for that place.
    pub(crate) fn draw(rng: &mut fastrand::Rng, place: Place, wanted: &Wanted<'_>) -> Self {
        let weight = |kind: Self| if wanted(kind.name()) { kind.weights()[place as usize] } else { 0 };
        let total: u32 = Self::ALL.iter().map(|kind| weight(*kind)).sum();
        if total == 0 {
            return Self::Nap;
        }
        let mut drawn = rng.u32(..total);
        for kind in Self::ALL {
            match drawn.checked_sub(weight(*kind)) {
                Some(rest) => drawn = rest,
                None => return *kind,
            }
        }
        unreachable!("less than all weights together")
    }

    pub(crate) fn has(self, uses: Uses) -> bool {
        self.uses().contains(&uses)
    }
}
