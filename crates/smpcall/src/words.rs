//! What the two words hold, for the simulator to count: without what differs from one csd, CPU or run to the next.

pub use crate::queue::{head, head_names};
pub use crate::state::{state, state_names};
