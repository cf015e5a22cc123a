//! P11: what must not compile. The compiler's words are kept beside each case; when a new compiler puts them otherwise,
//! `TRYBUILD=overwrite cargo test -p smpcall --all-features --test compile_fail` writes them anew, to be read.
//! A case whose message names the type of a closure must pass in a checkout with a long path too: the compiler shortens
//! types that it finds too wide, and a closure's has the path in it.
//! With the feature `alloc` only: without it the compiler names fewer types that could be meant.

#![cfg(all(not(any(loom, smpcall_sanitized)), feature = "alloc"))]

#[test]
fn p11_the_compiler_refuses_what_could_free_or_move_a_queued_csd() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
