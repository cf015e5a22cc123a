//! Who may post is the core's to say.
struct Mine;

impl smpcall::Post for Mine {}

fn main() {}
