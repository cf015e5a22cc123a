//! Sets the cfg by which the sources know that their atomics are the simulator's.

fn main() {
    println!("cargo::rustc-cfg=smpcall_sim");
    println!("cargo::rerun-if-changed=build.rs");
}
