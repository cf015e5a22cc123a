//! What must not compile: closures that may not cross to another CPU. The crate `refused` has one for each feature.

use super::build::{Build, Layer};
use crate::boot::Arch;
use crate::sh::Cmd;
use anyhow::{Result, bail};

/// A feature of the crate, and the part of the compiler's words that must come.
const REFUSED: [(&str, &str); 3] = [
    ("rc-to-one", "`Rc<Cell<u32>>` cannot be sent between threads safely"),
    ("rc-to-each", "`Rc<Cell<u32>>` cannot be sent between threads safely"),
    ("cell-to-each", "`Cell<u32>` cannot be shared between threads safely"),
];

/// Demands that the crate compiles without any of them, and with none.
pub(super) fn check(arch: Arch, cpus: u32) -> Result<()> {
    let build = Build { arch, cpus, what: "refused", layer: Layer::Ours };
    let check = || -> Result<Cmd> {
        Ok(build.cargo("check --release --quiet --locked")?.args("-p smpcall-arceos-refused"))
    };
    check()?.run()?;
    for (feature, because) in REFUSED {
        let said = check()?.arg("--features").arg(feature).capture()?;
        if said.ok {
            bail!("{feature} compiles");
        }
        if !(said.stderr.contains("error[E0277]") && said.stderr.contains(because)) {
            bail!("{feature} is refused, but not because {because}:\n{}", said.stderr);
        }
        println!("  {feature}: is refused: {because}");
    }
    Ok(())
}
