//! How the library is linked.

fn main() {
    // The number changes whenever a program that was built with an older header would break.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,liblevada_pool.so.0");
    println!("cargo::rerun-if-changed=build.rs");
}
