//! P11: what must not compile. See the core's test of the same name.

#![cfg(not(smpcall_sanitized))]

#[test]
fn p11_the_compiler_refuses_to_move_a_cpu_to_another_thread() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
