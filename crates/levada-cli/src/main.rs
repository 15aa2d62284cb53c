//! The command `levada`: parse, plan, run.
//!
//! [`args`] knows the words, [`plan`] what they mean together, [`serve`] and [`connect`] do it.
#![forbid(unsafe_code)]

mod args;
mod connect;
mod dev_ca;
mod door;
mod exit;
mod flags;
mod help;
mod house;
mod limits;
mod log;
mod narrate;
mod pair;
mod plan;
mod quote;
mod serve;
mod signals;
mod state_dir;
mod welcome;

use std::process::ExitCode;

use crate::exit::{Exit, Stop};
use crate::plan::Plan;

fn main() -> ExitCode {
    let plan = match args::parse(std::env::args_os()).and_then(|request| plan::plan(&request)) {
        Ok(plan) => plan,
        Err(stop) => return stop.tell(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::fail(format!("the system gives no threads: {error}")).tell(),
    };
    let exit = match plan {
        Plan::Serve(plan) => runtime.block_on(serve::run(plan)),
        Plan::Connect(plan) => runtime.block_on(connect::run(plan)),
    };
    // Nobody waits for a lookup that hangs.
    runtime.shutdown_background();
    exit.map_or_else(Stop::tell, Exit::into)
}
