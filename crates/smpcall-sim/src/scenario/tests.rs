//! What a seed draws, and that it stays.

use super::*;

/// FNV-1a, of the scenarios of some seeds in words.
fn drawn() -> u64 {
    let all = [
        Options::default(),
        Options { futures: true, ..Options::default() },
        Options { users: true, memory: Memory::Weak, ..Options::default() },
        Options { meets: true, ..Options::default() },
    ];
    let texts =
        all.iter().flat_map(|options| (0..20).map(|seed| format!("{:?}", Scenario::draw(seed, options))));
    texts.flat_map(String::into_bytes).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Seeds in reports, documents and the corpus are worth nothing otherwise.
#[test]
fn a_seed_draws_what_this_version_says() {
    assert_eq!(
        (DRAW, drawn()),
        (1, 12_192_276_233_489_646_622),
        "another scenario, or another name in it: then DRAW grows"
    );
}

#[test]
fn kinds_that_are_preferred_are_drawn_more_often() {
    let kind = number_of("nearest");
    let count = |prefer: Vec<usize>| -> usize {
        let options = Options { prefer, ..Options::default() };
        let all = (0..200).flat_map(|seed| Scenario::draw(seed, &options).programs);
        all.flatten().filter(|op| op.kind == kind).count()
    };
    let (plain, preferred) = (count(Vec::new()), count(vec![kind]));
    assert!(plain > 0 && preferred > 2 * plain, "{plain} and {preferred}");
}
