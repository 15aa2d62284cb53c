//! The crate without its features needs no standard library.
//!
//! The compiler is called by hand: cargo would unite our features with those of the whole test run.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

#[test]
fn a_program_without_the_standard_library_can_use_the_crate() {
    compile("plain", &[]).unwrap();
}

#[test]
fn the_program_tells_when_the_standard_library_comes_in() {
    let error = compile("with-std", &["--cfg=feature=\"std\""]).unwrap_err();
    assert!(error.contains("panic_impl"), "{error}");
}

/// Compiles the crate with `flags` and then the program over it; what the compiler says if it cannot.
fn compile(name: &str, flags: &[&str]) -> Result<(), String> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&out).expect("the folder for test files is writable");
    let library = out.join("liblevada_core.rlib");
    rustc("src/lib.rs", &library, "rlib", flags).expect("the crate compiles");
    let library = format!("levada_core={}", library.display());
    rustc("tests/no_std/program.rs", &out.join("program.a"), "staticlib", &["--extern", &library])
}

fn rustc(source: &str, output: &Path, kind: &str, flags: &[&str]) -> Result<(), String> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(env!("CARGO_MANIFEST_DIR"));
    rustc.args(["--edition=2024", "--cap-lints=allow", "-Cpanic=abort", "--crate-type", kind]);
    rustc.args(flags).arg(source).arg("-o").arg(output);
    if kind == "rlib" {
        rustc.arg("--crate-name=levada_core");
    }
    let done = rustc.output().expect("the compiler that built this test runs");
    let words = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("{source}: {words}")) }
}
