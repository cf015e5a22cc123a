//! How shards reach each other: by smpcall, and by its rivals.

pub(crate) mod channel;
pub(crate) mod smpcall;
pub(crate) mod tokio;
