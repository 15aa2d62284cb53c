//! Connections one after the other, several at a time: TCP, the handshake, a connection to the
//! backend, one byte from it, and the goodbyes.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::Outcome;
use crate::link::Link;
use crate::options::Options;
use crate::run::Run;
use crate::target::Target;

pub(crate) async fn run(options: &Options) -> Outcome {
    let target = Target::new(options)?;
    let mut clients = Vec::new();
    for _ in 0..options.connections {
        // Each client has its own tickets: none waits for those of another.
        let client = if options.resume { target.resuming() } else { target.clone() };
        if options.resume {
            // The first connection gets the first ticket, and is not counted.
            one(&client).await?;
        }
        clients.push(client);
    }

    let mut run = Run::begin(options)?;
    let left = Rc::new(Cell::new(options.count));
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::task::spawn_local(many(client, Rc::clone(&left))))
        .collect();
    let mut resumed = 0;
    let mut negotiated = Value::Null;
    for task in tasks {
        let (some, last) = crate::joined(task).await?;
        resumed += some;
        negotiated = last;
    }
    run.end()?;
    let wanted = if options.resume { options.count } else { 0 };
    if resumed != wanted {
        let count = options.count;
        return Err(format!("{resumed} of {count} handshakes were resumed, not {wanted}").into());
    }
    run.add(json!({ "count": options.count, "resumed": resumed }));
    run.add(negotiated);
    Ok(run.result())
}

/// Takes connections off the common count while there are any; answers how many were resumed.
async fn many(client: Target, left: Rc<Cell<u64>>) -> io::Result<(u64, Value)> {
    let mut resumed = 0;
    let mut negotiated = Value::Null;
    while let Some(rest) = left.get().checked_sub(1) {
        left.set(rest);
        let (is_resumed, facts) = one(&client).await?;
        resumed += u64::from(is_resumed);
        negotiated = facts;
    }
    Ok((resumed, negotiated))
}

async fn one(client: &Target) -> io::Result<(bool, Value)> {
    let mut link = Link::open(client).await?;
    link.probe().await?;
    let facts = (link.is_resumed(), link.negotiated());
    link.close().await?;
    Ok(facts)
}
