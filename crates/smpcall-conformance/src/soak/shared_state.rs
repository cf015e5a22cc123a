//! Who makes calls, and the csds of each.

use super::entries::{Entry, Role};
use super::kinds::{KINDS_LEN, Letter, read_letter};
use super::tally::Row;
use super::words::{Count, Plain, Signal};
use super::{Order, Rig, Soak};
use crate::memory::Arena;
use core::fmt;
use smpcall::Message;

/// The csds that a sender posts in order.
const ORDERED: usize = 16;
/// The csds that everybody posts to any CPU.
const ROAMING: u32 = 8;
/// The csds that everybody posts and cancels, for each CPU.
const CONTESTED_PER_CPU: u32 = 2;

/// What a run is to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many threads are no CPUs, and only call.
    pub callers: u32,
    /// How often each row of [`KINDS`](super::KINDS) is drawn; not all are 0.
    pub weights: [u32; KINDS_LEN],
    /// Whether CPUs come and go.
    pub hotplug: bool,
}

/// A CPU's thread, and what the driver wants of it.
///
/// Example: [`Soak`].
#[derive(Debug)]
#[repr(align(128))]
pub struct Cpu {
    /// Driver: it is to be online.
    pub wanted: Signal,
    /// Its thread: it is online.
    pub online: Signal,
    /// Functions that it is inside of.
    pub(super) depth: Count,
    /// A racer asks it to look at its queue all the time.
    pub(super) held: Signal,
    /// Whom it is calling, plus 1.
    pub(super) calling: Signal,
}

impl Cpu {
    /// Returns whether it is inside a function.
    pub fn is_in_function(&self) -> bool {
        self.depth.get() != 0
    }
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

pub(super) struct SharedState<R: Rig> {
    pub(super) plan: Plan,
    pub(super) rows: &'static [Row],
    pub(super) cpus: &'static [Cpu],
    /// The threads: CPUs first, then those that only call.
    pub(super) posters: &'static [Poster<R>],
    /// Where the handlers of interrupts on each CPU post from.
    pub(super) handlers: &'static [Sender<R>],
    /// One for each CPU, then those that are posted to any.
    pub(super) shared: &'static [Entry<R>],
    pub(super) contested: &'static [Entry<R>],
}

/// One sender in the sense of P6: a thread, or the handler of a CPU's interrupts.
pub(super) struct Sender<R: Rig> {
    /// Where it counts.
    pub(super) row: usize,
    /// The CPU that it is, or that it is near.
    pub(super) home: u32,
    pub(super) ordered: &'static [Entry<R>],
    /// Numbers its posts; a handler's draws too.
    pub(super) next: Count,
}

/// What a thread posts.
pub(super) struct Poster<R: Rig> {
    /// The CPU that the thread is, when it is online.
    pub(super) cpu: Option<u32>,
    pub(super) sender: Sender<R>,
    /// Its waiting calls.
    pub(super) calls: Order,
    pub(super) next_call: Count,
    own: &'static [Entry<R>],
    pub(super) message: Message<Letter<R>, usize>,
    /// The number of the letter that was sent last.
    pub(super) letter: Plain,
    /// Counted csds: how many were made, and freed.
    pub(super) made: Count,
    pub(super) freed: Count,
    /// The kind of calls that the thread is busy with, plus 1; 0: with none.
    pub(super) doing: Signal,
    /// Whom it calls or waits for, plus 1.
    pub(super) with: Signal,
}

/// Which of a thread's own csds.
#[derive(Clone, Copy)]
pub(super) enum Use {
    Raced,
    Waited,
    Cancelled,
    Lazy,
    Relay,
    Scatter,
    Detached,
    #[cfg_attr(not(feature = "alloc"), expect(dead_code, reason = "counted csds are allocated"))]
    Counted,
    Letters,
}

/// Their roles and names, and whether they run in order.
const USES: [(Role, &str, bool); 9] = [
    (Role::Own, "race", false),
    (Role::Own, "wait", false),
    (Role::Own, "cancel", false),
    (Role::Own, "lazy", false),
    (Role::Relay, "relay", false),
    (Role::Kept, "scatter", true),
    (Role::Kept, "detached", true),
    (Role::Kept, "counted", false),
    (Role::Kept, "letter", false),
];

impl<R: Rig> SharedState<R> {
    pub(super) fn new(soak: &'static Soak<R>, arena: &Arena, plan: Plan) -> Self {
        let cpus = soak.cpus_len();
        let threads = cpus + plan.callers;
        Self {
            plan,
            rows: row(arena, threads + 1, |_| Row::new()),
            cpus: row(arena, cpus, |_| {
                let [wanted, online, held, calling] = [const { Signal::new(0) }; 4];
                Cpu { wanted, online, depth: Count::new(), held, calling }
            }),
            posters: row(arena, threads, |number| Poster::new(soak, arena, number)),
            handlers: row(arena, cpus, |cpu| Sender::new(soak, arena, cpu, "interrupt")),
            shared: row(arena, cpus + ROAMING, |number| {
                let shared = Entry::new(soak, (Role::Shared, "shared"), 0, None);
                if number < cpus { shared.on(number) } else { shared }
            }),
            contested: row(arena, cpus * CONTESTED_PER_CPU, |_| {
                Entry::new(soak, (Role::Contested, "contested"), 0, None)
            }),
        }
    }

    /// All accounts.
    pub(super) fn entries(&self) -> impl Iterator<Item = &'static Entry<R>> {
        let of_threads =
            self.posters.iter().flat_map(|poster| poster.sender.ordered.iter().chain(poster.own));
        let of_handlers = self.handlers.iter().flat_map(|handler| handler.ordered);
        of_threads.chain(of_handlers).chain(self.shared).chain(self.contested)
    }
}

/// A row of them, for ever.
fn row<T: 'static>(arena: &Arena, len: u32, value: impl FnMut(u32) -> T) -> &'static [T] {
    arena.row(len, value).expect("the rig gave memory_bytes of memory")
}

impl Order {
    fn new<R: Rig>(soak: &Soak<R>, arena: &Arena, home: u32) -> Self {
        Self { home, last: row(arena, soak.partners_len(), |_| Plain::new(0)) }
    }
}

impl<R: Rig> Sender<R> {
    fn new(soak: &'static Soak<R>, arena: &Arena, number: u32, what: &'static str) -> Self {
        let home = number % soak.cpus_len();
        let order = Order::new(soak, arena, home);
        let own = |_| Entry::new(soak, (Role::Own, what), number as usize, Some(order));
        Self { row: number as usize, home, ordered: row(arena, ORDERED as u32, own), next: Count::new() }
    }

    /// The number of the next ordered post.
    pub(super) fn number(&self) -> usize {
        self.next.add(1) + 1
    }

    /// Those of its csds all of whose runs have ended.
    pub(super) fn free(&self) -> impl Iterator<Item = &'static Entry<R>> + use<R> {
        self.ordered.iter().filter(|own| own.is_settled())
    }
}

impl<R: Rig> Poster<R> {
    fn new(soak: &'static Soak<R>, arena: &Arena, number: u32) -> Self {
        let sender = Sender::new(soak, arena, number, "post");
        let own = |at: u32| {
            let (role, what, is_ordered) = USES[at as usize];
            let order = is_ordered.then(|| Order::new(soak, arena, sender.home));
            Entry::new(soak, (role, what), sender.row, order)
        };
        Self {
            cpu: (number < soak.cpus_len()).then_some(number),
            calls: Order::new(soak, arena, sender.home),
            next_call: Count::new(),
            own: row(arena, USES.len() as u32, own),
            message: Message::new(read_letter),
            letter: Plain::new(0),
            made: Count::new(),
            freed: Count::new(),
            doing: Signal::new(0),
            with: Signal::new(0),
            sender,
        }
    }

    pub(super) fn own(&self, of: Use) -> &'static Entry<R> {
        &self.own[of as usize]
    }
}
