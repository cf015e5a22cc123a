//! Where a function runs is known there only.
use smpcall::Here;

fn send(here: Here<'_>) {
    std::thread::scope(|scope| {
        scope.spawn(move || here.cpu());
    });
}

fn main() {}
