//! P4, P6, P7 of multicasts: whom they reach, what is seen, in which order, and who is rung.

use crate::ctx::{Ctx, Done, Over, Pairs};
use crate::memory::Full;
use crate::rig::Rig;
use crate::words::{Count, Plain};
use smpcall::{CPUS_MAX, CallError, CpuMask, CpuSet, ManyError, Reached, To, Topology};

/// Room for a word's worth of CPUs more than any machine has.
pub(super) type Set = CpuSet<{ CPUS_MAX / usize::BITS as usize + 1 }>;

/// What a multicast came to: how many ran, were offline, were busy.
pub(super) type Counts = Result<(u32, u32, u32), ManyError>;

pub(super) fn counts(reached: Result<Reached, ManyError>) -> Counts {
    reached.map(|reached| (reached.ran, reached.offline, reached.busy))
}

/// How many CPUs multicast at the same time. Each keeps a word for each CPU, and memory is to grow with the CPUs alone.
pub(super) const SENDERS: u32 = 16;

/// Whether this CPU multicasts where many do.
pub(super) fn sends<R: Rig>(ctx: Ctx<R>) -> bool {
    ctx.cpu() < SENDERS
}

/// One place for each CPU, of this sender's own; none, on a CPU that does not send.
#[track_caller]
fn row<R: Rig>(ctx: Ctx<R>) -> Result<&'static [Plain], Over> {
    let row = ctx.suite().arena.row(if sends(ctx) { ctx.cpus() } else { 0 }, |_| Plain::new());
    row.map_err(|Full| ctx.fail("the rig's memory is too small", &"see memory_bytes"))
}

/// Every way to say whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Others,
    All,
    Mask,
    If,
    /// A mask with the next CPU in it, and nobody else.
    Next,
}

pub(super) const SHAPES: [Shape; 5] = [Shape::Others, Shape::All, Shape::Mask, Shape::If, Shape::Next];

impl Shape {
    /// Whether the CPU `ctx` means `cpu`.
    pub(super) fn means<R: Rig>(self, ctx: Ctx<R>, me: u32, cpu: u32) -> bool {
        let distance = (cpu + ctx.cpus() - me) % ctx.cpus();
        match self {
            Self::Others => distance != 0,
            Self::All => true,
            Self::Mask => distance % 3 != 2,
            Self::If => distance % 3 != 1 || distance + 1 == ctx.cpus(),
            Self::Next => distance == 1 % ctx.cpus(),
        }
    }

    /// Calls `multicast` with what says so.
    pub(super) fn send<R: Rig, T>(self, ctx: Ctx<R>, multicast: impl FnOnce(To<'_>) -> T) -> T {
        let me = ctx.cpu();
        let means = |cpu: &u32| *cpu < ctx.cpus() && self.means(ctx, me, *cpu);
        match self {
            Self::Others => multicast(To::Others),
            Self::All => multicast(To::All),
            Self::If => multicast(To::If(&mut |cpu| means(&cpu))),
            Self::Mask | Self::Next => multicast(To::Mask(&(0..ctx.cpus()).filter(means).collect::<Set>())),
        }
    }

    /// What it comes to if of those who take part all are online but, perhaps, one.
    pub(super) fn reaches<R: Rig>(self, ctx: Ctx<R>, gone: Option<u32>) -> Counts {
        let meant = (0..ctx.cpus()).filter(|cpu| self.means(ctx, ctx.cpu(), *cpu)).count() as u32;
        let others = match self {
            Self::Others | Self::All => ctx.smp().cpus_len() - ctx.cpus(),
            Self::Mask | Self::If | Self::Next => 0,
        };
        let gone = u32::from(gone.is_some_and(|gone| self.means(ctx, ctx.cpu(), gone)));
        Ok((meant - gone, others + gone, 0))
    }
}

/// Multicasts without waiting, again as long as all slots are taken.
#[track_caller]
pub(super) fn post<R: Rig, F>(ctx: Ctx<R>, shape: Shape, gone: Option<u32>, function: F) -> Done
where
    F: Fn() + Copy + Send + Sync + 'static,
{
    let mut posted = Err(ManyError::Full);
    let post = || {
        posted = counts(shape.send(ctx, |to| ctx.smp().post_many(to, function)));
        posted != Err(ManyError::Full)
    };
    ctx.until(post, "no multicast in flight came to its end")?;
    ctx.same(posted, shape.reaches(ctx, gone), "whom a multicast that does not wait reaches")
}

/// What one CPU multicasts: each target adds what it reads of the sender's, once.
pub(super) struct Sum {
    word: Plain,
    sums: &'static [Plain],
    pub(super) ran: Count,
}

impl Sum {
    pub(super) fn new<R: Rig>(ctx: Ctx<R>) -> Result<&'static Self, Over> {
        ctx.place(Self { word: Plain::new(), sums: row(ctx)?, ran: Count::new() })
    }

    /// Before a multicast.
    pub(super) fn begin(&self, value: u32) {
        self.sums.iter().for_each(|sum| sum.write(0));
        self.word.write(value);
        self.ran.set(0);
    }

    /// What is multicast.
    pub(super) fn add<R: Rig>(&self, ctx: Ctx<R>) {
        let sum = &self.sums[ctx.cpu() as usize];
        sum.write(sum.read() + self.word.read());
        self.ran.add(1);
    }

    /// When all have run it: once each, those that `means` says, and they saw the value.
    #[track_caller]
    pub(super) fn check<R: Rig>(&self, ctx: Ctx<R>, means: impl Fn(u32) -> bool) -> Done {
        let value = self.word.read();
        for (cpu, sum) in (0..).zip(self.sums) {
            let want = if means(cpu) { value } else { 0 };
            ctx.same((cpu, sum.read()), (cpu, want), "a CPU, and what its runs saw, taken together")?;
        }
        Ok(())
    }
}

pub(super) fn p4_many_each_shape_reaches_whom_it_means<R: Rig>(ctx: Ctx<R>) -> Done {
    let (me, sum) = (ctx.cpu(), Sum::new(ctx)?);
    if !sends(ctx) {
        return ctx.barrier();
    }
    // Many at once, so that their multicasts meet (P10).
    for round in 1..=ctx.rounds().min(4) {
        for shape in SHAPES {
            sum.begin(round);
            let reached = shape.send(ctx, |to| ctx.smp().call_many(to, || sum.add(ctx)));
            ctx.same(counts(reached), shape.reaches(ctx, None), "whom a multicast reaches")?;
            sum.check(ctx, |cpu| shape.means(ctx, me, cpu))?;
        }
    }
    ctx.barrier()
}

pub(super) fn p4_many_that_nobody_waits_for_see_what_was_written<R: Rig>(ctx: Ctx<R>) -> Done {
    let (me, sum) = (ctx.cpu(), Sum::new(ctx)?);
    if !sends(ctx) {
        return ctx.barrier();
    }
    for round in 1..=ctx.rounds().min(4) {
        for shape in SHAPES {
            sum.begin(round);
            post(ctx, shape, None, move || sum.add(ctx))?;
            let meant = (0..ctx.cpus()).filter(|cpu| shape.means(ctx, me, *cpu)).count() as u32;
            ctx.until(|| sum.ran.get() >= meant, "a multicast was not answered")?;
            sum.check(ctx, |cpu| shape.means(ctx, me, cpu))?;
        }
    }
    ctx.barrier()
}

pub(super) fn p4_many_the_callers_own_part_comes_last<R: Rig>(ctx: Ctx<R>) -> Done {
    let (others, stop) = (ctx.share(Count::new)?, ctx.share(Count::new)?);
    // One caller at a time: in its own part it waits for the others, and serves nobody.
    if ctx.cpu() != 0 {
        return ctx.until(|| stop.get() == 1, "CPU 0 did not finish");
    }
    let function = move || {
        if ctx.cpu() != 0 {
            others.add(1);
            return;
        }
        // What goes wrong is on record.
        let all = || others.get() + 1 == ctx.cpus();
        let _ = ctx.spin(all, "the caller's own part kept the others waiting");
    };
    let called = ctx.smp().call_many(To::All, function);
    ctx.same(counts(called), Shape::All.reaches(ctx, None), "whom a multicast reaches")?;
    others.set(0);
    post(ctx, Shape::All, None, function)?;
    stop.set(1);
    Ok(())
}

pub(super) fn p4_many_masks_of_every_kind<R: Rig>(ctx: Ctx<R>) -> Done {
    let (smp, me) = (ctx.smp(), ctx.cpu());
    let ran = ctx.place(Count::new())?;
    let run = move || _ = ran.add(1);
    for nobody in [&*Set::new(), CpuMask::from_words(&[])] {
        ctx.same(counts(smp.call_many(To::Mask(nobody), run)), Ok((0, 0, 0)), "a call of nobody")?;
        // All CPUs do this at once, and may meet no room.
        let mut posted = Err(ManyError::Full);
        ctx.until(
            || {
                posted = smp.post_many(To::Mask(nobody), run);
                posted != Err(ManyError::Full)
            },
            "there was never room for a multicast",
        )?;
        ctx.same(counts(posted), Ok((0, 0, 0)), "a post to nobody")?;
    }
    let none = smp.call_many(To::If(&mut |_| false), run);
    ctx.same(counts(none), Ok((0, 0, 0)), "a call of nobody, by a condition")?;
    let mut far: Set = [me, smp.cpus_len()].into_iter().collect();
    let mut busy = Set::new();
    ctx.same(smp.call_many(To::Mask(&far), run), Err(ManyError::NoSuchCpu), "a CPU that there is not")?;
    ctx.same(smp.post_many(To::Mask(&far), run), Err(ManyError::NoSuchCpu), "a CPU that there is not")?;
    let idle = smp.call_many_idle(To::Mask(&far), &mut busy, run);
    ctx.same(idle, Err(ManyError::NoSuchCpu), "a CPU that there is not")?;
    let small = smp.call_many_idle(To::All, CpuMask::from_words_mut(&mut []), run);
    ctx.same(small, Err(ManyError::MaskTooSmall), "no room for an answer")?;
    ctx.same(ran.get(), 0, "runs of what was refused, or for nobody")?;
    far.remove(smp.cpus_len());
    ctx.same(counts(smp.call_many(To::Mask(&far), run)), Ok((1, 0, 0)), "a mask larger than the machine")?;
    let first = CpuMask::from_words(&[1]);
    ctx.same(counts(smp.call_many(To::Mask(first), run)), Ok((1, 0, 0)), "a mask of one word")?;
    ctx.same(ran.get(), 2, "runs")?;
    ctx.barrier()
}

pub(super) fn p4_many_idle_names_those_that_are_busy<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let (smp, stage) = (ctx.smp(), ctx.share(Count::new)?);
    // What is queued, and held, is busy.
    let csd = ctx.csd(|| ())?;
    ctx.held(Pairs::First, |target| {
        ctx.post(target, csd)?;
        let mut busy = Set::new();
        let called = Shape::Next.send(ctx, |to| smp.call_many_idle(to, &mut busy, || ()));
        ctx.same(counts(called), Ok((0, 0, 1)), "a call of one that has something queued")?;
        ctx.check(busy.iter().eq([target]), "it is named")
    })?;
    ctx.wait(csd)?;
    // Nobody is in a function any more.
    ctx.barrier()?;
    if ctx.cpu() != 0 {
        ctx.until(|| stage.get() >= 2, "CPU 0 did not finish")?;
        ctx.barrier()?;
        return ctx.until(|| stage.get() == 3, "CPU 0 did not finish");
    }
    let holds = ctx.csd(move || {
        stage.set(1);
        let _ = ctx.spin(|| stage.get() >= 2, "CPU 0 did not finish");
    })?;
    let sum = Sum::new(ctx)?;
    ctx.post(1, holds)?;
    ctx.until(|| stage.get() == 1, "a post was not answered")?;
    let (all, offline, _) = Shape::All.reaches(ctx, None).unwrap_or_default();
    for want in [Some(1), None] {
        sum.begin(1);
        let mut busy: Set = [0, smp.cpus_len()].into_iter().collect();
        let called = counts(smp.call_many_idle(To::All, &mut busy, || sum.add(ctx)));
        let held = want.is_some().into();
        ctx.same(called, Ok((all - held, offline, held)), "how many ran, were offline, were busy")?;
        ctx.check(busy.iter().eq(want), "exactly the busy ones are named")?;
        sum.check(ctx, |cpu| Some(cpu) != want)?;
        if want.is_some() {
            stage.set(2);
            ctx.wait(holds)?;
            ctx.barrier()?;
        }
    }
    stage.set(3);
    Ok(())
}

pub(super) fn p4_nearest_is_oneself_or_another_of_the_mask<R: Rig>(ctx: Ctx<R>) -> Done {
    let (smp, me, next) = (ctx.smp(), ctx.cpu(), ctx.next());
    let nearest = |mask: &Set| smp.call_nearest(mask, || ctx.cpu());
    let mut mask = Set::new();
    ctx.same(nearest(&mask), Err(CallError::NoSuchCpu), "the nearest of nobody")?;
    mask.insert(smp.cpus_len());
    ctx.same(nearest(&mask), Err(CallError::NoSuchCpu), "the nearest of no CPU of the machine")?;
    mask.insert(next);
    ctx.same(nearest(&mask), Ok(next), "the only one of the machine's")?;
    mask.insert(me);
    ctx.same(nearest(&mask), Ok(me), "the caller's own is nearer than any")?;
    if ctx.cpus() > 1 {
        let others: Set = (0..ctx.cpus()).filter(|cpu| *cpu != me).collect();
        for _ in 0..ctx.rounds().min(20) {
            let there = nearest(&others).is_ok_and(|cpu| others.contains(cpu));
            ctx.check(there, "the nearest of the others is one of them")?;
        }
        // The core does not take the port's word for it.
        let given = |cpu: &u32| *cpu < ctx.cpus() && (cpu ^ me) & 1 == 1;
        let known =
            || smp.platform().nearest(me, &mut (0..ctx.cpus()).filter(given)).is_none_or(|cpu| given(&cpu));
        ctx.check(known() && ctx.irqs_off(known), "the port's nearest is one of those that it was given")?;
        let nobody = smp.platform().nearest(me, &mut core::iter::empty());
        ctx.same(nobody, None, "the port's nearest of nobody")?;
    }
    ctx.barrier()
}

/// One of several multicasts of one sender.
struct Numbered<R: Rig> {
    ctx: Ctx<R>,
    number: u32,
    /// The last number on each CPU.
    last: &'static [Plain],
    ran: &'static Count,
}

impl<R: Rig> Numbered<R> {
    fn run(&self) {
        let last = &self.last[self.ctx.cpu() as usize];
        self.ctx.note_same(last.read() + 1, self.number, "the next multicast of its sender");
        last.write(self.number);
        self.ran.add(1);
    }
}

pub(super) fn p6_many_of_one_sender_run_in_order<R: Rig>(ctx: Ctx<R>) -> Done {
    const CALLS: u32 = 6;
    let (last, ran) = (row(ctx)?, ctx.place(Count::new())?);
    if !sends(ctx) {
        return ctx.barrier();
    }
    let numbered = |number| ctx.place(Numbered { ctx, number, last, ran });
    for number in 1..CALLS {
        let call = numbered(number)?;
        post(ctx, Shape::All, None, move || call.run())?;
        ctx.pause(number % 3);
    }
    // One that is waited for takes its turn behind the others.
    let call = numbered(CALLS)?;
    let called = ctx.smp().call_many(To::All, || call.run());
    ctx.same(counts(called), Shape::All.reaches(ctx, None), "whom a multicast reaches")?;
    ctx.same(ran.get(), CALLS * ctx.cpus(), "runs, by the time that the last one is done")?;
    ctx.barrier()
}

pub(super) fn p7_many_rings_who_does_not_look_once<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.rings()?;
    let ran = ctx.place(Count::new())?;
    let mut want = 0;
    ctx.held(Pairs::First, |target| {
        want = 2;
        for doorbells in [u64::from(target != ctx.cpu()), 0] {
            let before = ctx.rings()?;
            let posted = Shape::Next.send(ctx, |to| ctx.smp().post_many(to, move || _ = ran.add(1)));
            ctx.same(counts(posted), Ok((1, 0, 0)), "whom a multicast reaches")?;
            ctx.same(ctx.rings()?.wrapping_sub(before), doorbells, "doorbells sent")?;
        }
        Ok(())
    })?;
    ctx.until(|| ran.get() == want, "a multicast was not answered")
}

/// No count is needed here: a sleeper that is not rung sleeps on.
pub(super) fn p7_many_sleepers_are_woken<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    // Placed, since a closure that is posted to many has no room for a slice.
    let rans = ctx.place(ctx.share_each(|_| Count::new())?)?;
    let ran = &rans[ctx.cpu() as usize];
    let rounds = ctx.rounds().min(100);
    if ctx.cpu() != 0 {
        return (1..=rounds)
            .try_for_each(|round| ctx.until_rung(|| ran.get() >= round, "nobody woke this CPU"));
    }
    for round in 1..=rounds {
        // Sometimes they sleep by now, sometimes they are about to.
        ctx.pause(round % 40);
        post(ctx, Shape::Others, None, move || _ = rans[ctx.cpu() as usize].add(1))?;
        let all = || rans[1..].iter().all(|ran| ran.get() == round);
        ctx.until(all, "a sleeper did not answer a multicast")?;
    }
    Ok(())
}
