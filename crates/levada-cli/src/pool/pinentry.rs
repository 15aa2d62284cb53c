//! `levada pool pinentry`: a person enters the PINs that the pool asks for.

use std::path::PathBuf;
use std::time::Duration;

use levada_pool::wire::body::Pin;
use levada_pool::wire::{ErrorCode, TextError};
use levada_pool::{Client, PinQuestion, PoolError};
use levada_sys::harden::hide_memory;
use zeroize::Zeroizing;

use super::ask;
use super::assuan;
use super::terminal::Terminal;
use crate::exit::{Exit, Stop, fail, say};
use crate::signals::Signals;

/// Who is asked.
enum Asked {
    /// A person at this terminal.
    Here(Terminal),
    /// A program with the manners of GnuPG's `pinentry`.
    By(PathBuf),
}

/// Enters PINs until a signal comes, or the pool is gone.
///
/// # Errors
///
/// When the pool lets nobody enter PINs here, or is not there.
pub(crate) fn run(
    socket: Option<PathBuf>,
    program: Option<PathBuf>,
    time: Option<Duration>,
) -> Result<Exit, Stop> {
    hide_memory().map_err(|error| fail(format!("cannot hide the memory: {error}")))?;
    let path = ask::socket(socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| fail(format!("the system gives no events: {error}")))?;
    runtime.block_on(async {
        let asked = match program {
            Some(program) => Asked::By(program),
            None => Asked::Here(Terminal::open().map_err(|error| {
                fail(format!(
                    "there is no terminal to ask at: {error}\n    give a program that asks: \
                     --program pinentry"
                ))
            })?),
        };
        let mut signals = Signals::listen().map_err(|error| fail(format!("signals: {error}")))?;
        say(&format!(
            "levada: PINs for the pool at {} are asked for here (Ctrl-C ends it)",
            path.display()
        ));
        let client = Client::at(path);
        let served = client.serve_pins(time.unwrap_or(Duration::MAX), async |question| {
            answer(&asked, question).await
        });
        tokio::select! {
            why = served => Err(told(&why)),
            _ = signals.next() => Ok(Exit::Clean),
        }
    })
}

async fn answer(asked: &Asked, question: &PinQuestion) -> Option<Pin> {
    let entered = match asked {
        Asked::Here(terminal) => {
            terminal.ask(&prompt(question)).await.map_err(|error| error.to_string())
        }
        Asked::By(program) => assuan::ask(program, question).await,
    };
    let entered: Option<Zeroizing<Vec<u8>>> = match entered {
        Ok(entered) => entered,
        Err(why) => {
            say(&format!("levada: nobody could be asked: {why}"));
            None
        }
    };
    match Pin::new(&entered?) {
        Ok(pin) => Some(pin),
        Err(TextError::TooLong { limit, .. }) => {
            say(&format!("levada: the pool takes PINs of up to {limit} bytes"));
            None
        }
        Err(error) => {
            say(&format!("levada: {error}"));
            None
        }
    }
}

fn prompt(question: &PinQuestion) -> String {
    match fault(question) {
        Some(fault) => format!("{fault} {question}: "),
        None => format!("{question}: "),
    }
}

/// What was wrong with the answer before.
pub(super) fn fault(question: &PinQuestion) -> Option<String> {
    let next = question.attempt.saturating_add(1);
    (question.attempt > 0).then(|| format!("That was wrong. Attempt {next}."))
}

fn told(why: &PoolError) -> Stop {
    match why.code() {
        Some(ErrorCode::PinEntryNotVacant) => fail(format!(
            "{why}\n    or this user may not: `pin-entry-users` in the pool's policy says who may"
        )),
        _ => fail(why.to_string()),
    }
}
