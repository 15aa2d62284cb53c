//! `levada inspect`: all that can be learnt about a server without being anybody to it.
//!
//! [`target`] says what is looked at, [`visit`] connects to each of its addresses as any client would,
//! through the [`opening`] of a WebSocket where one is asked for, and [`survey`] asks one of them what
//! else it accepts. [`report`] holds what was found, [`verdict`]
//! judges it, and [`page`] shows it.

mod layout;
mod opening;
mod page;
mod report;
mod survey;
mod target;
mod verdict;
mod visit;

use std::io::{self, Write as _};

use time::OffsetDateTime;

use crate::exit::{Exit, Stop, fail};
use crate::plan::InspectPlan;
use layout::Paper;
use report::Report;
use target::Target;

/// Inspects, and prints what was found.
///
/// # Errors
///
/// When it cannot even begin, and when nobody can read the report.
pub(crate) async fn run(plan: InspectPlan) -> Result<Exit, Stop> {
    let target = Target::of(&plan.address)?;
    let found = target.find().await;
    let visits = visit::each(&target, &found).await;
    let speaks_tls = visits.iter().find(|visit| !plan.brief && visit.speaks_tls());
    let is_open = visits.iter().find(|visit| !plan.brief && visit.is_open());
    let accepts = async { Some(survey::of(&target, speaks_tls?).await) };
    let strangers = async { opening::lets_strangers_in(&target, is_open?.ip).await };
    let (accepts, strangers) = tokio::join!(accepts, strangers);
    let now = OffsetDateTime::now_utc();
    let report = Report::new(&target, &found, &visits, accepts, strangers, plan.warn_days, now);
    let text = if plan.json {
        // Every part is a struct, a list, a string or a number.
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        format!("{text}\n")
    } else {
        page::of(&report, &Paper::of_stdout())
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(fail(format!("standard output: {error}")))
        }
        // Whoever closed our standard output has seen enough.
        _ => Ok(report.verdict.exit()),
    }
}
