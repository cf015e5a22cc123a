//! P1, P2, P4, P5, P8, P11: csds that their owner embeds, messages, and what a function finds on its CPU.

use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use core::pin::pin;
use smpcall::{
    Cancel, Coalesced, CsdField, CsdOwner, Here, Lent, LocalError, Message, MessageField, MessageOwner,
    NotSent, PerCpuCell, PostError, Posted, TakeError, To, csd_field,
};

/// As many results as `call_map` is tried with.
const RESULTS: usize = 128;

pub(super) fn p1_an_embedded_csd_is_given_its_owner_and_its_cpu<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let seen = ctx.place([const { Count::new() }; 2])?;
    let it = ctx.own((seen, target), |this, cpu| {
        let ([ran, on], target) = this.data;
        this.ctx.note_same(cpu, target, "the CPU that the function is told");
        this.ctx.note_same(this.ctx.cpu(), target, "the CPU that runs it");
        on.set(cpu + 1);
        ran.add(1);
    })?;
    for round in 1..=ctx.rounds() {
        ctx.post(target, it)?;
        ctx.wait(it)?;
        ctx.same(seen[0].get(), round, "runs by the end of a wait")?;
    }
    ctx.same(seen[1].get(), target + 1, "where it ran")
}

pub(super) fn p2_each_raced_post_of_an_owner_is_seen<R: Rig>(ctx: Ctx<R>) -> Done {
    let (target, rounds) = (ctx.next(), ctx.rounds());
    let (written, seen) = (ctx.place(Plain::new())?, ctx.place(Count::new())?);
    let it = ctx.own((written, seen), |this, _| this.data.1.set(this.data.0.read()))?;
    for round in 1..=rounds {
        written.write(round);
        match ctx.smp().post(target, it) {
            Ok(Posted::Queued) => {}
            busy => ctx.same(busy, Ok(Posted::Busy { cpu: target }), "a post of an owner")?,
        }
        ctx.pause(round % 5);
    }
    // Coalesced Busy or queued: a run to come sees the last write.
    ctx.until(|| seen.get() == rounds, "a run that was promised did not see what was written before")?;
    ctx.wait(it)
}

#[derive(Clone, Copy)]
struct Ping;
#[derive(Clone, Copy)]
struct Pong;

/// Two csds that post each other, between two CPUs.
struct Rally<R: Rig> {
    ping: CsdField<Ping>,
    pong: CsdField<Pong>,
    ctx: Ctx<R>,
    /// Where each is posted to, and how often in all.
    cpus: [u32; 2],
    hits: u32,
    hit: [Count; 2],
}

csd_field! { impl{R: Rig} Rally<R> { ping: Ping, pong: Pong } }

impl<R: Rig> CsdOwner<Ping> for Rally<R> {
    type Pointer = &'static Self;

    fn run(this: &'static Self, here: Here<'_>) {
        this.ctx.note_same(here.cpu(), this.cpus[0], "the CPU of the one csd");
        this.hit[0].add(1);
        let posted = this.ctx.smp().post(this.cpus[1], (this, Pong));
        this.ctx.note_same(posted, Ok(Posted::Queued), "a post of the other csd");
    }
}

impl<R: Rig> CsdOwner<Pong> for Rally<R> {
    type Pointer = Lent;

    fn run(this: &Self, here: Here<'_>) {
        this.ctx.note_same(here.cpu(), this.cpus[1], "the CPU of the other csd");
        this.hit[1].add(1);
    }
}

pub(super) fn p5_two_csds_of_one_struct_post_each_other<R: Rig>(ctx: Ctx<R>) -> Done {
    let rally = ctx.place(Rally {
        ping: CsdField::new(),
        pong: CsdField::new(),
        ctx,
        cpus: [ctx.next(), ctx.cpu()],
        hits: ctx.rounds(),
        hit: [const { Count::new() }; 2],
    })?;
    for round in 1..=rally.hits {
        ctx.post(rally.cpus[0], (rally, Ping))?;
        ctx.until(|| rally.hit[1].get() == round, "a post of the other csd was not answered")?;
        ctx.same(rally.hit[0].get(), round, "runs of the one")?;
        ctx.check(!rally.pong.is_pending(), "it has run")?;
    }
    Ok(())
}

pub(super) fn p8_an_owner_that_is_refused_is_free<R: Rig>(ctx: Ctx<R>) -> Done {
    let it = ctx.own((), |this, _| this.ctx.note(false, "a refused post does not run"))?;
    let none = ctx.smp().cpus_len();
    ctx.same(ctx.smp().post(none, it), Err(PostError::NoSuchCpu), "a post to no CPU")?;
    ctx.same(ctx.smp().post(u32::MAX, it), Err(PostError::NoSuchCpu), "a post to no CPU")?;
    ctx.same(it.csd.cancel(), Cancel::NotPending, "cancel of a csd that was refused")
}

/// On the stack of the CPU that posts it.
struct Visit {
    csd: CsdField,
    begun: &'static Count,
    ended: &'static Count,
}

csd_field! { impl Visit { csd } }

impl CsdOwner for Visit {
    type Pointer = Lent;

    fn run(this: &Self, _: Here<'_>) {
        this.begun.add(1);
        this.ended.add(1);
    }
}

pub(super) fn p11_a_pinned_owner_may_be_dropped_while_it_is_queued<R: Rig>(ctx: Ctx<R>) -> Done {
    let (begun, ended) = (ctx.place(Count::new())?, ctx.place(Count::new())?);
    for round in 0..ctx.rounds() {
        let before = begun.get();
        {
            let visit = pin!(ctx.smp().pinned(Visit { csd: CsdField::new(), begun, ended }));
            ctx.post(ctx.next(), visit.as_ref())?;
            ctx.pause(round % 6);
            if round % 2 == 0 {
                ctx.wait(visit.as_ref())?;
                ctx.same(begun.get(), before + 1, "runs by the end of a wait")?;
            }
        }
        let after = begun.get();
        ctx.check(after <= before + 1, "it ran once, or was taken away")?;
        ctx.same(ended.get(), after, "no run goes on after the drop")?;
    }
    let last = begun.get();
    ctx.barrier()?;
    ctx.same(begun.get(), last, "no run begins after the drop")
}

pub(super) fn p4_a_message_brings_back_an_answer<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let message = ctx.place(Message::<(u32, u32), u64>::new(|(number, cpu), here| {
        u64::from(number) << 32 | u64::from(cpu == here.cpu())
    }))?;
    ctx.same(message.try_take(), Err(TakeError::Empty), "an answer of what was not sent")?;
    for round in 1..=ctx.rounds() {
        let sent = ctx.smp().send(target, message, (round, target));
        ctx.same(sent.map_err(|error| error.why), Ok(()), "an empty message is sent")?;
        ctx.until(|| !message.is_pending(), "a message was not answered")?;
        let again = ctx.smp().send(target, message, (0, 0)).map_err(|error| error.why);
        ctx.same(again, Err(NotSent::Unread), "a second value, before the first answer was taken")?;
        ctx.same(message.try_take(), Ok(u64::from(round) << 32 | 1), "its answer")?;
    }
    Ok(())
}

/// What is paid in goes there; the balance comes back.
struct Account {
    balance: Count,
    pay: MessageField<u32, u32>,
}

csd_field! { impl Account { pay(u32) -> u32 } }

impl MessageOwner for Account {
    fn run(this: &Self, amount: u32, _: Here<'_>) -> u32 {
        this.balance.add(amount);
        this.balance.get()
    }
}

pub(super) fn p4_an_embedded_message_is_given_its_owner<R: Rig>(ctx: Ctx<R>) -> Done {
    let account = ctx.place(Account { balance: Count::new(), pay: MessageField::new() })?;
    for round in 1..=ctx.rounds() {
        let sent = ctx.smp().send(ctx.next(), account, 3).map_err(|error| error.why);
        ctx.same(sent, Ok(()), "an empty message is sent")?;
        ctx.until(|| !account.pay.is_pending(), "a message was not answered")?;
        ctx.same(account.pay.try_take(), Ok(3 * round), "its answer")?;
        ctx.same(account.balance.get(), 3 * round, "what its function did to the owner")?;
    }
    Ok(())
}

pub(super) fn p4_messages_of_all_to_all<R: Rig>(ctx: Ctx<R>) -> Done {
    // One for each target, which all senders share: whoever finds it in use serves its queue and tries again.
    let messages = ctx.share_each(|_| Message::<u32, u32>::new(|value, here| value + here.cpu()))?;
    for target in 0..ctx.cpus() {
        let message = &messages[target as usize];
        let value = 1000 * (ctx.cpu() + 1);
        let mut sent = false;
        let mut answer = None;
        ctx.until(
            || {
                sent = sent || ctx.smp().send(target, message, value).is_ok();
                // Somebody else's answer is left to them: only who has sent takes.
                if sent {
                    answer = message.try_take().ok();
                }
                answer.is_some()
            },
            "a message was not free, or not answered",
        )?;
        ctx.same(answer, Some(value + target), "the answer to this sender's value")?;
    }
    ctx.barrier()
}

pub(super) fn p1_a_cancelled_message_gives_its_value_back<R: Rig>(ctx: Ctx<R>) -> Done {
    let message = ctx.place(Message::<u32, u32>::new(|value, _| value + 1))?;
    let mut cancelled = false;
    ctx.held(Pairs::All, |target| {
        let sent = ctx.smp().send(target, message, 5);
        ctx.same(sent.map_err(|error| error.why), Ok(()), "an empty message is sent")?;
        cancelled = true;
        ctx.same(message.cancel(), Cancel::Removed { coalesced: Coalesced::No }, "cancel of a queued message")
    })?;
    if !cancelled {
        return Ok(());
    }
    ctx.until(|| !message.is_pending(), "a cancelled message was not let go of")?;
    ctx.same(message.try_take(), Err(TakeError::Cancelled(5)), "what was not delivered")?;
    ctx.same(message.try_take(), Err(TakeError::Empty), "it comes back once")
}

pub(super) fn p4_call_map_has_a_result_of_each_cpu<R: Rig>(ctx: Ctx<R>) -> Done {
    let len = ctx.smp().cpus_len() as usize;
    let mut results = [None; RESULTS];
    if len > RESULTS {
        return Err(ctx.skip("the machine has more CPUs than the case has room for"));
    }
    let reached = ctx.smp().call_map(To::All, &mut results, |cpu| {
        ctx.note_same(cpu, ctx.cpu(), "the CPU that the function is told");
        cpu + 1
    });
    let ran = match reached {
        Ok(reached) => reached.ran,
        Err(error) => return Err(ctx.fail("a multicast in thread context", &error)),
    };
    ctx.same(results.iter().flatten().count(), ran as usize, "results")?;
    let right = results.iter().zip(1..).all(|(result, number)| result.is_none_or(|it| it == number));
    ctx.check(right, "each at its CPU's number")?;
    let mine = results[ctx.cpu() as usize];
    ctx.same(mine, Some(ctx.cpu() + 1), "the caller's own")
}

pub(super) fn p11_each_cpu_has_its_own_cell<R: Rig>(ctx: Ctx<R>) -> Done {
    let cells = ctx.share_each(|_| PerCpuCell::new(0_u32))?;
    let outside = ctx.smp().with_local(cells, |_| ());
    ctx.same(outside, Err(LocalError::NotInCall), "a cell out of call context")?;
    let (rounds, cpus) = (ctx.rounds(), ctx.cpus());
    for _ in 0..rounds {
        let nested = ctx.call(ctx.next(), || {
            ctx.smp().with_local(cells, |count| {
                *count += 1;
                ctx.smp().with_local(cells, |_| ())
            })
        })?;
        ctx.same(nested, Ok(Err(LocalError::InUse)), "a cell that is in use")?;
    }
    ctx.barrier()?;
    let count = ctx.call(ctx.cpu(), || ctx.smp().with_local(cells, |count| *count))?;
    ctx.same(count, Ok(rounds), "how often the CPU before has reached this one's")?;
    ctx.check(cells.len() == cpus as usize, "one for each CPU")
}
