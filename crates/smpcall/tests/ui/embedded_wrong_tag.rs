//! A struct is posted by a tag that it has.
use smpcall::{CsdField, CsdOwner, Here, Lent, Platform, Smp, Storage, csd_field};

#[derive(Clone, Copy)]
struct Read;
#[derive(Clone, Copy)]
struct Close;
struct Connection {
    read: CsdField<Read>,
}

csd_field! { impl Connection { read: Read } }

impl CsdOwner<Read> for Connection {
    type Pointer = Lent;
    fn run(_: &Self, _: Here<'_>) {}
}

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, connection: &'static Connection) {
    let _ = smp.post(1, (connection, Read));
    let _ = smp.post(1, (connection, Close));
}

fn main() {}
