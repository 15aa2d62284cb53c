//! The project's own commands, `cargo xtask`: what a developer runs and what CI runs are the same.

mod bench;
mod c;
mod ci;
mod fuzz;
mod guest;
mod lua;
mod node;
mod peers;
mod registries;
mod steps;
mod tally;
mod test;
mod tools;

use std::path::Path;
use std::process::ExitCode;
use std::{env, io};

use bench::Plan;
use steps::Report;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--all]    install the peers that tests talk to, then run every test;
                  --all adds the slow suites, optimized, and the fuzz targets
  node            the part of that which is the Node package's
  peers [--all]   install those peers, and no more
  ci              format, clippy, rustdoc, cargo-deny, then `test`
  bench           the microbenchmarks of the crates
  bench instructions [--bless]
                  count the instructions of the data path's steps under callgrind, and compare them
                  with benches/instructions/counts.json, or write that
  bench peers [--quick] [--rounds N] [--only LOAD,...]
                  install the peers of `levada serve`, measure it beside them (root, Debian), and
                  write docs/benchmarks.md; what is --quick or --only a part goes to target/bench
  bench ws [--rounds N]
                  measure a byte stream over WebSocket beside other crates, and write it into
                  docs/benchmarks.md
  bench pool [--rounds N]
                  measure TLS by a pool beside TLS in process, and write it into docs/benchmarks.md
  bench node [--rounds N]
                  measure the Node package beside Node's own TLS, and write it into
                  docs/benchmarks.md
  lua             build the Lua module for each interpreter, and run its suite in each
  install-lua [FOLDER]
                  build the Lua module, optimized, for each interpreter that is here, and install it
                  (/usr/local/lib/lua unless told)
  guest           run the tests of kernel TLS in virtual machines with other kernels
  guest PROGRAM [WORD...]
                  run a program of this machine in each of them
  c               hold the header for C to its source, and compile its examples with it
  install-c [FOLDER]
                  build the library for C, optimized, and install it with its header (/usr/local
                  unless told)
  fuzz [SECONDS]  run each fuzz target for that long (60 seconds unless told)
";

fn main() -> ExitCode {
    // Folders that are given are meant from there.
    let begun_in = env::current_dir().unwrap_or_default();
    if let Err(error) = enter_workspace_root() {
        eprintln!("cannot enter the workspace: {error}");
        return ExitCode::FAILURE;
    }
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut report = Report::default();
    match words[..] {
        ["test"] => test::run(&mut report, test::Extent::Fast),
        ["test", "--all"] => test::run(&mut report, test::Extent::All),
        ["node"] => node::test(&mut report, test::Extent::Fast),
        ["peers"] => test::peers(&mut report, test::Extent::Fast),
        ["peers", "--all"] => test::peers(&mut report, test::Extent::All),
        ["ci"] => ci::run(&mut report),
        ["bench"] => bench::micro(&mut report),
        ["bench", "ws"] => bench::ws(&mut report, 9),
        ["bench", "pool"] => bench::pool(&mut report, 5),
        ["bench", "node"] => bench::node(&mut report, 5),
        ["bench", which @ ("ws" | "pool" | "node"), "--rounds", rounds] => match rounds.parse() {
            Ok(rounds) if which == "ws" => bench::ws(&mut report, rounds),
            Ok(rounds) if which == "pool" => bench::pool(&mut report, rounds),
            Ok(rounds) => bench::node(&mut report, rounds),
            Err(error) => {
                eprintln!("ROUNDS is '{rounds}': {error}");
                return ExitCode::from(2);
            }
        },
        ["bench", which @ ("peers" | "inside"), ref words @ ..] => match Plan::parse(words) {
            Ok(plan) if which == "peers" => bench::peers(&mut report, &plan, words),
            Ok(plan) => bench::inside(&mut report, &plan),
            Err(wrong) => {
                eprintln!("{wrong}");
                return ExitCode::from(2);
            }
        },
        ["bench", "instructions"] => {
            report.step("instructions", || bench::instructions::run(false));
        }
        ["bench", "instructions", "--bless"] => {
            report.step("instructions", || bench::instructions::run(true));
        }
        ["lua"] => lua::test(&mut report),
        ["install-lua"] => lua::install(&mut report, Path::new("/usr/local/lib/lua")),
        ["install-lua", folder] => lua::install(&mut report, &begun_in.join(folder)),
        ["guest"] => guest::test(&mut report, test::Extent::Fast),
        ["guest", program, ref words @ ..] => {
            guest::run(&mut report, &begun_in.join(program), words);
        }
        ["c"] => c::test(&mut report),
        ["install-c"] => c::install(&mut report, Path::new("/usr/local")),
        ["install-c", folder] => c::install(&mut report, &begun_in.join(folder)),
        ["fuzz"] => fuzz::run(&mut report, fuzz::SECONDS),
        ["fuzz", seconds] => match seconds.parse() {
            Ok(seconds) => fuzz::run(&mut report, seconds),
            Err(error) => {
                eprintln!("SECONDS is '{seconds}': {error}");
                return ExitCode::from(2);
            }
        },
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    report.close()
}

/// Paths in this program are relative to the workspace, wherever it was started.
fn enter_workspace_root() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    env::set_current_dir(root)
}
