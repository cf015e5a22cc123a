//! What is done with messages: values that travel to a CPU, and results that travel back.

use crate::kinds::Kind;
use crate::payload::Payload;
use crate::program::Step;
use crate::world::{HeldMessage, Host, MessageThere, Sent, World};
use smpcall_host::smpcall::{Platform, ReceiveError, SendError, TakeError};

pub(super) fn perform(world: &'static World, step: &'static Step) {
    let (_, machine) = world.machine_of(step.machine);
    let there = &world.messages[step.csd];
    match step.kind {
        Kind::Send => send(world, machine, there, step),
        // With two machines it may be on its way on the other one, on which it must be waited for: here for a while only.
        Kind::Receive if world.machines.len() == 1 && step.us % 2 == 1 => {
            let received = match &there.held {
                HeldMessage::Static(message) => machine.receive(*message),
                HeldMessage::Counted(message) => machine.receive(message),
            };
            there.took(in_time(received));
        }
        Kind::Receive => {
            let until_ns = machine.platform().now_ns() + u64::from(step.us) * 1_000;
            let received = match &there.held {
                HeldMessage::Static(message) => machine.receive_until(*message, until_ns),
                HeldMessage::Counted(message) => machine.receive_until(message, until_ns),
            };
            there.took(in_time(received));
        }
        Kind::TryTake => there.took(there.message().try_take()),
        // Whether it was taken away is seen by what comes back.
        _ => drop(there.message().cancel()),
    }
}

fn send(world: &'static World, machine: &'static Host, there: &MessageThere, step: &'static Step) {
    let value = Sent { payload: Payload::of(world, &step.body.captured) };
    let sent = match &there.held {
        HeldMessage::Static(message) => machine.send(step.cpu, *message, value),
        HeldMessage::Counted(message) => machine.send(step.cpu, message, value),
    };
    match sent {
        Ok(()) => {
            there.accepted.add(1);
        }
        Err(SendError { value, .. }) => drop(value),
    }
}

/// A wait that gave up has taken nothing.
fn in_time(received: Result<Sent, ReceiveError<Sent>>) -> Result<Sent, TakeError<Sent>> {
    match received {
        Ok(sent) => Ok(sent),
        Err(ReceiveError::Take(why)) => Err(why),
        Err(_) => Err(TakeError::Empty),
    }
}
