//! `levada serve`: listeners, each with a target, until a signal comes and the streams have ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::door::{CannotOpen, Door};
use crate::exit::{Exit, Stop, fail};
use crate::house::House;
use crate::limits;
use crate::log::{Log, Record};
use crate::plan::{Bridge, ServePlan, Service};
use crate::prepared::{Prepared, Unprepared};
use crate::reload::Files;
use crate::signals::{Reloads, Signals};
use crate::welcome::Welcome;

/// How long streams that are cut may take to notice.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Serves until a signal comes, or every listener has ended.
///
/// # Errors
///
/// When it cannot start.
pub(crate) async fn run(plan: ServePlan) -> Result<Exit, Stop> {
    let open_files = limits::raise_open_files();
    let signals = Signals::listen().and_then(|stop| Ok((stop, Reloads::listen()?)));
    let signals = signals.map_err(|error| fail(format!("signals: {error}")))?;
    let (routes, welcome) = match &plan.service {
        Service::Bridges(bridges) => {
            let mut bridges = bridges.clone();
            let welcome = Welcome::prepare(&mut bridges)?;
            (prepare(&bridges)?, Some(welcome))
        }
        Service::Config(file) => (file.prepare()?, None),
    };
    let files = Files::of(&routes);
    // Every file is read by now. Where one listener cannot be opened, all that were are closed.
    let mut doors = Vec::new();
    for (first, others) in by_listener(routes) {
        let door = Door::open(first, others, &plan).await;
        doors.push(door.map_err(|error| error.stop())?);
    }
    let (log, writer) = Log::start(plan.format).map_err(|error| fail(format!("log: {error}")))?;
    let connections = plan.max_connections;
    let connections = connections.unwrap_or_else(|| limits::default_connections(open_files));
    let house = House::new(log, connections);
    for door in &doors {
        for record in door.records() {
            house.log.tell(&record);
        }
        for danger in door.dangers() {
            house.log.tell(&Record::Danger(danger));
        }
    }
    files.warn(&house.log);
    if let Some(welcome) = welcome {
        // Each of the bridges has its own.
        welcome.print(doors.iter().map(Door::on), plan.demo);
    }
    let exit = serve(&house, doors, files, signals, plan.drain.duration()).await;
    drop(house);
    writer.finish();
    Ok(exit)
}

/// The routes by their listeners: each with those that share it.
fn by_listener(routes: Vec<Prepared>) -> Vec<(Prepared, Vec<Prepared>)> {
    let mut listeners: Vec<(usize, Prepared, Vec<Prepared>)> = Vec::new();
    for (index, route) in routes.into_iter().enumerate() {
        let shared = route.shares;
        match listeners.iter_mut().find(|(first, ..)| Some(*first) == shared) {
            Some((_, _, others)) => others.push(route),
            None => listeners.push((index, route, Vec::new())),
        }
    }
    listeners.into_iter().map(|(_, first, others)| (first, others)).collect()
}

/// Reads all files that the bridges name.
fn prepare(bridges: &[Bridge]) -> Result<Vec<Prepared>, Stop> {
    let read = |bridge: &Bridge| {
        let read = Prepared::read(&bridge.listen, &bridge.to, "--listen".to_owned());
        read.map_err(|wrong| {
            let Unprepared { listen, to } = *wrong;
            let listen = listen.map(|error| CannotOpen::new("--listen", error));
            let first = listen.or_else(|| to.map(|error| CannotOpen::new("--to", error)));
            // One of both is wrong.
            first.map_or_else(|| fail("nothing can be opened"), |error| error.stop())
        })
    };
    bridges.iter().map(read).collect()
}

async fn serve(
    house: &Arc<House>,
    doors: Vec<Door>,
    files: Files,
    (mut signals, reloads): (Signals, Reloads),
    drain: Option<Duration>,
) -> Exit {
    let (closing, closed) = watch::channel(false);
    let mut accepting = JoinSet::new();
    for door in doors {
        accepting.spawn(door.accept(Arc::clone(house), closed.clone()));
    }
    let mut watched = Box::pin(files.watch(reloads, &house.log));
    let mut broken = false;
    let signal = loop {
        let is_open = !accepting.is_empty();
        tokio::select! {
            signal = signals.next() => break Some(signal),
            // It goes on for ever.
            () = &mut watched => {}
            Some(result) = accepting.join_next(), if is_open => {
                broken |= !matches!(result, Ok(true));
            }
            // Nobody can come any more, and everybody has gone.
            () = house.empty(), if !is_open => break None,
        }
    };
    if let Some(signal) = signal {
        // Each loop has its own receiver: it lives as long as the loop.
        let _ = closing.send(true);
        let deadline_ms = drain.map(|time| time.as_millis() as u64);
        house.log.tell(&Record::Draining { signal, streams: house.streams(), deadline_ms });
    }

    let mut drained = Box::pin(async {
        while accepting.join_next().await.is_some() {}
        house.empty().await;
    });
    let in_time = tokio::select! {
        () = &mut drained => true,
        () = deadline(drain) => false,
        _ = signals.next() => false,
    };
    if !in_time {
        house.cut();
        let _ = timeout(LAST_MOMENT, drained).await;
    }
    let cut = house.was_cut();
    house.log.tell(&Record::Stopped { cut });
    if broken || cut > 0 { Exit::EndedBadly } else { Exit::Clean }
}

async fn deadline(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}
