//! Bytes in bulk, down to us or up to the backend, over connections that are open before the
//! measurement begins.

use std::io;

use serde_json::json;

use crate::Outcome;
use crate::link::{Link, open_all};
use crate::options::Options;
use crate::pattern::Pattern;
use crate::request::Request;
use crate::run::Run;
use crate::target::Target;

pub(crate) async fn down(options: &Options) -> Outcome {
    bulk(options, source).await
}

pub(crate) async fn up(options: &Options) -> Outcome {
    bulk(options, sink).await
}

async fn bulk<F: Future<Output = io::Result<Link>> + 'static>(
    options: &Options,
    one: fn(Link, u64) -> F,
) -> Outcome {
    let links = open_all(&Target::new(options)?, options.connections).await?;
    let negotiated = links.first().map(Link::negotiated);
    let mut run = Run::begin(options)?;
    let tasks: Vec<_> = links
        .into_iter()
        .enumerate()
        .map(|(index, link)| {
            tokio::task::spawn_local(one(link, options.share(options.bytes, index)))
        })
        .collect();
    let mut links = Vec::with_capacity(tasks.len());
    for task in tasks {
        links.push(crate::joined(task).await?);
    }
    run.end()?;
    run.add(json!({ "bytes": options.bytes }));
    run.add(negotiated.unwrap_or_default());
    Ok(run.result())
}

async fn source(mut link: Link, count: u64) -> io::Result<Link> {
    link.ask(Request::Source(count)).await?;
    take(link, count).await
}

/// Receives and checks what was asked for.
pub(crate) async fn take(mut link: Link, count: u64) -> io::Result<Link> {
    let mut pattern = Pattern::default();
    let mut came = 0;
    while came < count {
        let take = |bytes: &[u8]| {
            came += bytes.len() as u64;
            pattern.check(bytes)
        };
        link.receive(take).await?;
    }
    if came == count { Ok(link) } else { Err(io::Error::other("more came than was asked for")) }
}

async fn sink(mut link: Link, count: u64) -> io::Result<Link> {
    link.ask(Request::Sink(count)).await?;
    let mut pattern = Pattern::default();
    let mut left = count;
    while left > 0 {
        let bytes = pattern.next(left);
        link.send(bytes).await?;
        pattern.advance(bytes.len());
        left -= bytes.len() as u64;
    }
    let mut answer = Vec::new();
    while answer.len() < 8 {
        let take = |bytes: &[u8]| {
            answer.extend_from_slice(bytes);
            Ok(())
        };
        link.receive(take).await?;
    }
    if answer == count.to_be_bytes() {
        Ok(link)
    } else {
        Err(io::Error::other("the backend did not get what was sent"))
    }
}
