//! The rows: a kind of call, how ours makes it, and what it is held against.

use crate::block::{Block, Shape, Visit};
use crate::channels::{self, Crossbeam, Flume, Kanal, Rtrb, Std};
use crate::crowd::{self, FEW, MANY, Target};
use crate::linux::{self, Who};
use crate::unpark::{self, Before};
use crate::work::CALLS;
use crate::{ours, runtimes};
use anyhow::Result;
use smpcall_host::Idle;
use std::time::Duration;

pub(crate) type Measure = fn(&Visit) -> Result<Block>;

/// By what ours is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The median.
    Median,
    /// The slowest in a thousand.
    P999,
    /// How long each of all calls together took: the time over their number.
    Rate,
}

/// What ours stands beside.
pub(crate) struct Beside {
    pub(crate) name: &'static str,
    pub(crate) is_floor: bool,
    /// Ours divided by it is to be this, or less.
    pub(crate) goal: Option<f64>,
    pub(crate) measure: Measure,
}

pub(crate) struct Row {
    /// `peers`, `linux` or `crowd`.
    pub(crate) group: &'static str,
    pub(crate) call: &'static str,
    pub(crate) target: &'static str,
    pub(crate) by: By,
    pub(crate) ours: Measure,
    pub(crate) beside: &'static [Beside],
}

impl Row {
    /// How much longer than others its blocks take.
    pub(crate) fn weight(&self) -> u32 {
        if self.by == By::Median { 1 } else { 4 }
    }

    /// What `--rows` looks for a text in.
    pub(crate) fn title(&self) -> String {
        format!("{}: {}, {}", self.group, self.call, self.target)
    }
}

const fn peer(name: &'static str, measure: Measure) -> Beside {
    Beside { name, is_floor: false, goal: None, measure }
}

const fn goal(goal: f64, beside: Beside) -> Beside {
    Beside { goal: Some(goal), ..beside }
}

const fn floor(name: &'static str, measure: Measure) -> Beside {
    Beside { name, is_floor: true, goal: None, measure }
}

const LINE: Beside = floor("line", ours::line);
const FUTEX: Beside = floor("futex", ours::futex);

const fn row((call, target): (&'static str, &'static str), ours: Measure, beside: &'static [Beside]) -> Row {
    Row { group: "peers", call, target, by: By::Median, ours, beside }
}

const fn linux(
    (call, target): (&'static str, &'static str),
    ours: Measure,
    theirs: &'static [Beside],
) -> Row {
    Row { group: "linux", call, target, by: By::Median, ours, beside: theirs }
}

const fn crowd(
    (call, target): (&'static str, &'static str),
    by: By,
    ours: Measure,
    theirs: &'static [Beside],
) -> Row {
    Row { group: "crowd", call, target, by, ours, beside: theirs }
}

/// Beside ours: Linux's algorithm, with the goal, and what else there is.
macro_rules! by_linux {
    ($goal:expr, $measure:expr $(, $floor:expr)?) => {
        &[$($floor,)? goal($goal, peer("Linux's algorithm", $measure))]
    };
}

const FIRST: &str = "one of the first";

const fn thousand(target: &'static str, ours: Measure, theirs: &'static [Beside]) -> Row {
    crowd(("1,025th thread", target), By::Median, ours, theirs)
}

static PARKED: Target = Target { idle: Idle::Sleep, shape: REST, function: Duration::ZERO };
static POLLING: Target = Target { idle: Idle::Poll, shape: Shape::Batch(CALLS), function: Duration::ZERO };
/// Longer than a caller looks before it sleeps.
static BUSY: Target = Target { idle: Idle::Poll, shape: REST, function: Duration::from_micros(300) };

const REST: Shape = Shape::AfterRest;
const LONG_REST: Shape = Shape::AfterLongRest;
const UNPARK: &str = "crossbeam + unpark";
const UNPARK_AT_ONCE: &str = "crossbeam + unpark, no spinning";

pub(crate) static ROWS: &[Row] = &[
    row(
        ("waiting call", "polling"),
        ours::waiting,
        &[
            goal(1.25, LINE),
            goal(0.32, peer("std mpsc", channels::waiting::<Std>)),
            goal(0.32, peer("crossbeam", channels::waiting::<Crossbeam>)),
            peer("crossbeam, a channel a call", channels::waiting_anew::<Crossbeam>),
            peer("kanal", channels::waiting::<Kanal>),
            peer("flume", channels::waiting::<Flume>),
            goal(0.40, peer("rtrb", channels::waiting::<Rtrb>)),
        ],
    ),
    row(("waiting call, borrowing", "polling"), ours::borrowing, &[goal(2.0, LINE)]),
    row(
        ("waiting call", "parked"),
        |v| ours::parked(v, REST),
        &[
            goal(0.40, FUTEX),
            peer("eventfd", runtimes::eventfd),
            peer("std mpsc", |v| channels::parked::<Std>(v, REST)),
            peer("crossbeam", |v| channels::parked::<Crossbeam>(v, REST)),
            goal(0.25, peer(UNPARK, |v| unpark::parked(v, REST, Before::Backoff))),
            goal(0.25, peer(UNPARK_AT_ONCE, |v| unpark::parked(v, REST, Before::Nothing))),
            peer("kanal", |v| channels::parked::<Kanal>(v, REST)),
            peer("flume", |v| channels::parked::<Flume>(v, REST)),
            peer("tokio spawn_pinned", runtimes::spawn_pinned),
            peer("tokio spawn_pinned, caller's core", runtimes::spawn_pinned_here),
            peer("tokio LocalSet", runtimes::local_set),
            peer("compio dispatcher", runtimes::compio),
            peer("async-executor", runtimes::async_executor),
        ],
    ),
    row(
        ("waiting call", "parked for long"),
        |v| ours::parked(v, LONG_REST),
        &[
            peer("std mpsc", |v| channels::parked::<Std>(v, LONG_REST)),
            peer("crossbeam", |v| channels::parked::<Crossbeam>(v, LONG_REST)),
            peer(UNPARK, |v| unpark::parked(v, LONG_REST, Before::Backoff)),
            peer(UNPARK_AT_ONCE, |v| unpark::parked(v, LONG_REST, Before::Nothing)),
            peer("kanal", |v| channels::parked::<Kanal>(v, LONG_REST)),
            peer("flume", |v| channels::parked::<Flume>(v, LONG_REST)),
        ],
    ),
    row(
        ("post, run seen", "polling"),
        ours::post,
        &[
            goal(1.5, LINE),
            peer("std mpsc", channels::post::<Std>),
            peer("crossbeam", channels::post::<Crossbeam>),
            peer("kanal", channels::post::<Kanal>),
            peer("flume", channels::post::<Flume>),
            peer("rtrb", channels::post::<Rtrb>),
        ],
    ),
    row(
        ("detached, run seen", "polling"),
        ours::detached,
        &[
            goal(2.0, LINE),
            peer("std mpsc", channels::detached::<Std>),
            peer("crossbeam", channels::detached::<Crossbeam>),
            peer("kanal", channels::detached::<Kanal>),
            peer("flume", channels::detached::<Flume>),
            peer("rtrb", channels::detached::<Rtrb>),
        ],
    ),
    row(
        ("flood", "polling"),
        ours::flood,
        &[
            goal(0.15, LINE),
            peer("std mpsc", channels::flood::<Std>),
            peer("crossbeam", channels::flood::<Crossbeam>),
            goal(0.14, peer("kanal", channels::flood::<Kanal>)),
            peer("flume", channels::flood::<Flume>),
            peer("rtrb", channels::flood::<Rtrb>),
        ],
    ),
    row(
        ("multicast to both", "polling"),
        ours::both,
        &[
            goal(2.5, LINE),
            peer("rayon broadcast", runtimes::rayon),
            peer("std mpsc", channels::both::<Std>),
            peer("crossbeam", channels::both::<Crossbeam>),
            peer("kanal", channels::both::<Kanal>),
            peer("flume", channels::both::<Flume>),
            peer("rtrb", channels::both::<Rtrb>),
        ],
    ),
    linux(
        ("waiting call", "polling"),
        |v| linux::waiting(Who::Ours, v),
        by_linux!(0.7, |v| linux::waiting(Who::Linux, v), LINE),
    ),
    linux(
        ("waiting call", "parked"),
        |v| linux::waiting_parked(Who::Ours, v),
        by_linux!(0.7, |v| linux::waiting_parked(Who::Linux, v)),
    ),
    linux(
        ("csd, run seen", "polling"),
        |v| linux::csd(Who::Ours, v),
        by_linux!(0.8, |v| linux::csd(Who::Linux, v), LINE),
    ),
    linux(
        ("csd, run seen", "parked"),
        |v| linux::csd_parked(Who::Ours, v),
        by_linux!(0.8, |v| linux::csd_parked(Who::Linux, v)),
    ),
    linux(
        ("mask of 2", "8 parked on 2 cores"),
        |v| linux::mask(Who::Ours, v, 2),
        by_linux!(0.7, |v| linux::mask(Who::Linux, v, 2)),
    ),
    linux(
        ("mask of 4", "8 parked on 2 cores"),
        |v| linux::mask(Who::Ours, v, 4),
        by_linux!(0.7, |v| linux::mask(Who::Linux, v, 4)),
    ),
    linux(
        ("mask of 8", "8 parked on 2 cores"),
        |v| linux::mask(Who::Ours, v, 8),
        by_linux!(0.7, |v| linux::mask(Who::Linux, v, 8)),
    ),
    linux(
        ("all 2", "polling"),
        |v| linux::all_polling(Who::Ours, v),
        by_linux!(0.6, |v| linux::all_polling(Who::Linux, v), LINE),
    ),
    linux(
        ("all 9", "8 parked on 2 cores"),
        |v| linux::all_parked(Who::Ours, v),
        by_linux!(0.6, |v| linux::all_parked(Who::Linux, v)),
    ),
    crowd(
        ("1 caller", "polling"),
        By::P999,
        |v| crowd::ours_polling(v, 1),
        &[peer(UNPARK, |v| crowd::crossbeam_polling(v, 1))],
    ),
    crowd(
        ("2 callers", "polling"),
        By::P999,
        |v| crowd::ours_polling(v, 2),
        &[peer(UNPARK, |v| crowd::crossbeam_polling(v, 2))],
    ),
    crowd(
        ("8 callers", "polling"),
        By::P999,
        |v| crowd::ours_polling(v, 8),
        &[goal(0.5, peer(UNPARK, |v| crowd::crossbeam_polling(v, 8)))],
    ),
    crowd(
        ("32 callers", "polling"),
        By::P999,
        |v| crowd::ours_polling(v, 32),
        &[peer(UNPARK, |v| crowd::crossbeam_polling(v, 32))],
    ),
    crowd(
        ("1 caller", "parked"),
        By::P999,
        |v| crowd::ours_parked(v, 1),
        &[peer(UNPARK, |v| crowd::crossbeam_parked(v, 1))],
    ),
    crowd(
        ("2 callers", "parked"),
        By::P999,
        |v| crowd::ours_parked(v, 2),
        &[peer(UNPARK, |v| crowd::crossbeam_parked(v, 2))],
    ),
    crowd(
        ("8 callers", "parked"),
        By::P999,
        |v| crowd::ours_parked(v, 8),
        &[goal(0.5, peer(UNPARK, |v| crowd::crossbeam_parked(v, 8)))],
    ),
    crowd(
        ("32 callers", "parked"),
        By::P999,
        |v| crowd::ours_parked(v, 32),
        &[peer(UNPARK, |v| crowd::crossbeam_parked(v, 32))],
    ),
    crowd(
        ("8 CPUs call each other", "2 cores"),
        By::Rate,
        crowd::crossed_ours,
        &[goal(1.0, peer(UNPARK, crowd::crossed_crossbeam))],
    ),
    thousand(
        "parked",
        |v| crowd::beside(v, MANY, &PARKED),
        &[goal(1.0, peer(FIRST, |v| crowd::beside(v, FEW, &PARKED)))],
    ),
    thousand(
        "polling",
        |v| crowd::beside(v, MANY, &POLLING),
        &[goal(1.0, peer(FIRST, |v| crowd::beside(v, FEW, &POLLING)))],
    ),
    thousand(
        "in the function for 300 µs",
        |v| crowd::beside(v, MANY, &BUSY),
        &[goal(1.0, peer(FIRST, |v| crowd::beside(v, FEW, &BUSY)))],
    ),
];
