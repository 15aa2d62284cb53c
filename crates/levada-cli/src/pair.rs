//! One client and its target: from the accept to both endings.

use levada::ws::Refusal;
use levada::{Ended, Stream};

use crate::routes::Choice;

/// How a pair ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Whether `cut` was why it ended.
    pub(crate) cut: bool,
    pub(crate) client: Ended,
    /// The path of the page that the client came for, in place of a stream.
    pub(crate) page: Option<String>,
    /// `None` where the client ended before the target was dialled.
    pub(crate) target: Option<Ended>,
}

/// Bridges `client` to where its `choice` leads once the client is established, until both have ended,
/// or ends both when `cut` returns.
///
/// The streams are boxed: a future has room for each of its values in each function that one is
/// handed through, and an idle pair owns this future.
pub(crate) async fn bridge(
    mut client: Box<Stream>,
    choice: &Choice,
    cut: impl AsyncFnOnce(),
) -> Outcome {
    let mut target = None;
    let was_cut = tokio::select! {
        () = join(&mut client, &mut target, choice) => false,
        () = cut() => true,
    };
    let target = match target {
        Some(target) => Some(ended(target).await),
        None => None,
    };
    let page = page(&client);
    Outcome { cut: was_cut, client: ended(client).await, page, target }
}

/// The page that a client was shown in place of a stream.
fn page(client: &Stream) -> Option<String> {
    match client {
        Stream::WebSocket(client) => match client.refusal()? {
            Refusal::Page(page) => Some(page.path().to_owned()),
            _ => None,
        },
        Stream::Socket(_) => None,
    }
}

/// Nothing is read from the client before its target is established: what it sends waits in the
/// kernel, and a half-close waits with it.
async fn join(client: &mut Stream, target: &mut Option<Box<Stream>>, choice: &Choice) {
    if client.established().await.is_err() {
        return;
    }
    choice.settle(client);
    // It is established by a choice.
    let Some(way) = choice.way() else { return };
    // No random bytes: as bad as a target that fails, which the drop of the client tells.
    let Ok(dialled) = way.dialer.dial() else { return };
    let target = target.insert(Box::new(dialled));
    if target.established().await.is_ok() {
        levada::relay(client, &mut **target).await;
    } else {
        client.fail();
    }
}

/// The ending of a stream that has ended, or ends now in a way that nobody takes for a clean one.
async fn ended(mut stream: Box<Stream>) -> Ended {
    stream.fail();
    stream.closed().await
}
