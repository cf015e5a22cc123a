//! `same-code`: tracepoints that nobody listens to cost nothing (P12). The core's fast paths, instantiated by
//! crates/smpcall/examples/code.rs, are compiled from the sources as they are and from sources without a tracepoint (the
//! cfg `smpcall_untraced`), and their instructions compared, function by function. As a control they are compiled for a
//! port that does listen: those must differ.
//!
//! All that it needs is the compiler: the core has no dependencies, and the assembly is the compiler's own, for the
//! machine that this runs on.
//!
//! Also compared, in the sources as they are: a post of an embedded csd beside one of a csd by itself.

mod asm;

use self::asm::Functions;
use crate::sh::{Cmd, target_dir};
use anyhow::{Context, Result, bail, ensure};
use std::fs;

/// Functions that must be among those compared, or the comparison is of nothing: each path's name in the example.
const PATHS: [&str; 9] = [
    "post",
    "post_embedded",
    "post_any",
    "post_any_embedded",
    "post_all",
    "call",
    "call_large",
    "post_many",
    "flush",
];

/// A post of a csd by itself, and of one that its owner embeds: no instruction more. (Of a static whose address is a constant
/// it depends on whether the compiler makes a jump table of its few branches, so those two are not compared.)
const EMBEDDED: (&str, &str) = ("post_any", "post_any_embedded");

/// The second half of a post is a function for each type that is posted, and its name does not say which. By so many
/// instructions two may differ: the address of the one word or the other is worked out.
const HALVES_DIFFER: usize = 2;

/// Which sources are compiled, and for which port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    AsTheyAre,
    WithoutTracepoints,
    Listening,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Self::AsTheyAre => "as-they-are",
            Self::WithoutTracepoints => "without-tracepoints",
            Self::Listening => "listening",
        }
    }
}

/// Compiles the three, and fails where two are the same that must not be, or the other way round.
pub(crate) fn run() -> Result<()> {
    let with = compile(Variant::AsTheyAre)?;
    let without = compile(Variant::WithoutTracepoints)?;
    let listening = compile(Variant::Listening)?;
    let mut instructions = 0;
    for path in PATHS {
        let len = with.instructions_of(path).with_context(|| format!("there is no code of `{path}`"))?;
        ensure!(len > 0, "`{path}` has no instructions");
        instructions += len;
    }
    compare_embedded(&with)?;
    let differing = with.differing(&without);
    ensure!(
        differing.is_empty(),
        "tracepoints that nobody listens to leave code in {}",
        differing.join(", ")
    );
    ensure!(
        !with.differing(&listening).is_empty(),
        "the control compares equal: the comparison sees nothing"
    );
    println!(
        "  {} functions are the same with and without tracepoints, {instructions} instructions in {} paths",
        with.len(),
        PATHS.len()
    );
    Ok(())
}

/// Fails where a post of an embedded csd has more instructions than one of a csd by itself.
fn compare_embedded(code: &Functions) -> Result<()> {
    let len = |path| code.instructions_of(path).unwrap_or(0);
    let (alone, embedded) = EMBEDDED;
    ensure!(
        len(embedded) <= len(alone),
        "`{embedded}` has {} instructions, and `{alone}` {}",
        len(embedded),
        len(alone)
    );
    let halves = code.instructions_of_each("post_free");
    let (Some(least), Some(most)) = (halves.iter().min(), halves.iter().max()) else {
        bail!("there is no second half of a post to compare");
    };
    ensure!(
        halves.len() >= 2 && most - least <= HALVES_DIFFER,
        "the second half of a post differs by what is posted: {halves:?} instructions"
    );
    println!(
        "  an embedded csd is posted by {} instructions, one by itself by {}",
        len(embedded),
        len(alone)
    );
    Ok(())
}

fn compile(variant: Variant) -> Result<Functions> {
    let folder = target_dir().join("same-code").join(variant.name());
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let rustc = |args: &str| {
        let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        // Lints are not what is compiled for here: without tracepoints, what they name is unused.
        let mut cmd = Cmd::new(program, "--edition=2024 -Copt-level=3 -Ccodegen-units=1 --cap-lints=allow");
        if variant == Variant::WithoutTracepoints {
            cmd = cmd.args("--cfg smpcall_untraced");
        }
        if variant == Variant::Listening {
            cmd = cmd.env("SMPCALL_CODE_TRACES", "1");
        }
        cmd.arg("--out-dir").arg(&folder).args(args)
    };
    rustc("--crate-name=smpcall --crate-type=lib crates/smpcall/src/lib.rs").read()?;
    let library = folder.join("libsmpcall.rlib");
    rustc("--crate-name=code --crate-type=lib --emit=asm crates/smpcall/examples/code.rs --extern")
        .arg(format!("smpcall={}", library.display()))
        .read()?;
    let path = folder.join("code.s");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Functions::of(&text))
}
