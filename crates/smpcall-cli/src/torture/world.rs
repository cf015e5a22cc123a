//! Who makes calls, and the csds of each. Never freed: csds that are posted by reference live for ever.

use super::csds::{Contested, Kept, Own, Relay, Shared};
use super::ground::{Ground, Order};
use super::interrupt::Station;
use super::words::{Count, Signal};

/// The csds that a sender posts in order.
const ORDERED: usize = 16;
/// The csds that everybody posts and cancels, for each CPU.
const CONTESTED_PER_CPU: u32 = 2;

pub(super) struct World {
    pub(super) ground: &'static Ground,
    /// The threads: CPUs first, then those that only call.
    pub(super) kits: Vec<Kit>,
    /// Where the signal handlers of the CPUs' threads post from.
    pub(super) stations: Vec<Station>,
    /// One for each CPU.
    pub(super) shared: Vec<Shared>,
    pub(super) contested: Vec<Contested>,
}

/// One sender in the sense of P6: a thread, or the signal handler of one.
pub(super) struct Sender {
    /// Where it counts.
    pub(super) row: usize,
    /// The CPU that it is, or that it is near.
    pub(super) home: u32,
    pub(super) ordered: Vec<Own>,
    /// Numbers its posts.
    next: Count,
}

/// What a thread posts.
pub(super) struct Kit {
    /// The CPU that the thread is, when it is online.
    pub(super) cpu: Option<u32>,
    pub(super) sender: Sender,
    /// The order of its waiting calls.
    pub(super) calls: Order,
    pub(super) raced: Own,
    pub(super) waited: Own,
    pub(super) cancelled: Own,
    pub(super) lazy: Own,
    pub(super) relay: &'static Relay,
    pub(super) scatter: &'static Kept,
    pub(super) detached: &'static Kept,
    /// The kind of calls that the thread is busy with, plus 1; 0: with none.
    pub(super) doing: Signal,
    /// Whom it calls or waits for, plus 1.
    pub(super) with: Signal,
}

impl World {
    pub(super) fn new(ground: &'static Ground, callers: u32) -> Self {
        let cpus = ground.cpus_len();
        let kits = (0..cpus + callers).map(|number| Kit::new(ground, number)).collect();
        let stations = (0..cpus).map(|cpu| Station::new(Sender::new(ground, cpu, "interrupt"))).collect();
        let shared = (0..cpus).map(|cpu| Shared::new(ground, cpu)).collect();
        let contested = (0..cpus * CONTESTED_PER_CPU).map(|_| Contested::new(ground)).collect();
        Self { ground, kits, stations, shared, contested }
    }

    /// All csds with one poster.
    pub(super) fn owns(&self) -> impl Iterator<Item = &Own> {
        let of_threads = self.kits.iter().flat_map(|kit| {
            kit.sender.ordered.iter().chain([&kit.raced, &kit.waited, &kit.cancelled, &kit.lazy])
        });
        of_threads.chain(self.stations.iter().flat_map(|station| &station.sender.ordered))
    }
}

impl Sender {
    fn new(ground: &'static Ground, row: u32, what: &'static str) -> Self {
        let home = row % ground.cpus_len();
        let order: &'static Order = Box::leak(Box::new(Order::new(ground, home)));
        let ordered = (0..ORDERED).map(|_| Own::new(ground, row as usize, what, Some(order))).collect();
        Self { row: row as usize, home, ordered, next: Count::default() }
    }

    /// The number of the next ordered post.
    pub(super) fn number(&self) -> u64 {
        self.next.add(1);
        self.next.get()
    }

    /// Those of its csds all of whose runs have ended.
    pub(super) fn free(&self) -> impl Iterator<Item = &Own> {
        self.ordered.iter().filter(|own| own.is_settled())
    }
}

impl Kit {
    fn new(ground: &'static Ground, number: u32) -> Self {
        let sender = Sender::new(ground, number, "post");
        let own = |what| Own::new(ground, sender.row, what, None);
        Self {
            cpu: (number < ground.cpus_len()).then_some(number),
            calls: Order::new(ground, sender.home),
            raced: own("race"),
            waited: own("wait"),
            cancelled: own("cancel"),
            lazy: own("lazy"),
            relay: Relay::new(ground),
            scatter: Kept::new(ground, "scatter", sender.row, sender.home),
            detached: Kept::new(ground, "detached", sender.row, sender.home),
            doing: Signal::default(),
            with: Signal::default(),
            sender,
        }
    }
}
