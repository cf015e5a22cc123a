//! Says whether this machine has KVM, so that tests that need it are counted as ignored, by their names, where it has not.

use std::fs::File;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(has_kvm)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=/dev/kvm");
    if File::options().read(true).write(true).open("/dev/kvm").is_ok() {
        println!("cargo::rustc-cfg=has_kvm");
    }
}
