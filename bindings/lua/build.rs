//! How the module is linked.

fn main() {
    // An interpreter unloads its modules at its end, while threads of ours still run in this one.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rerun-if-changed=build.rs");
}
