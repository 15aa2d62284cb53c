//! The command `levada`: secure duplex byte streams from the shell, bridges between them, and a TLS pool.
//!
//! It parses, plans and runs: [`args`] knows the words, [`plan`] what they mean together, and a module
//! for each verb does it.
#![forbid(unsafe_code)]

mod args;
#[cfg(test)]
mod book;
mod check;
mod config_file;
mod connect;
mod danger;
mod demo;
mod dev_ca;
mod door;
mod exit;
mod flags;
mod generate;
mod help;
mod house;
mod inspect;
mod limits;
mod log;
mod narrate;
mod pair;
mod plan;
mod pool;
mod prepared;
mod quote;
mod reload;
mod routes;
mod serve;
mod signals;
mod state_dir;
mod validity;
mod welcome;

use std::process::ExitCode;

use crate::exit::{Exit, Stop};
use crate::plan::Plan;

fn main() -> ExitCode {
    let planned = args::parse(std::env::args_os()).and_then(|request| plan::plan(&request));
    planned.and_then(run).map_or_else(Stop::tell, Exit::into)
}

fn run(plan: Plan) -> Result<Exit, Stop> {
    match plan {
        Plan::Serve(plan) => block_on(serve::run(plan)),
        Plan::Connect(plan) => block_on(connect::run(plan)),
        Plan::Inspect(plan) => block_on(inspect::run(plan)),
        Plan::DevCa(plan) => dev_ca::run(&plan),
        Plan::Check(plan) => check::run(&plan),
        Plan::Pool(request) => pool::run(request),
        Plan::Print(what) => generate::run(&what),
    }
}

fn block_on(work: impl Future<Output = Result<Exit, Stop>>) -> Result<Exit, Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| exit::fail(format!("the system gives no threads: {error}")))?;
    let exit = runtime.block_on(work);
    // Nobody waits for a lookup that hangs.
    runtime.shutdown_background();
    exit
}
