//! The task of one server: accepts connections while the script has room for them.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use levada::{Listener, OsError, Socket, Stream};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::inbox::{Inbox, Mail};

/// What the script wants of its server.
pub(crate) enum ServerOrder {
    Pause,
    Resume,
    /// So many connections may wait for the script.
    Room(usize),
    /// The script has taken one that waited.
    Taken,
    /// The answer comes when nobody listens any more.
    Close(SyncSender<()>),
}

/// What the script is told of its server.
pub(crate) enum ServerNews {
    Connection(Box<Socket>),
    /// A connection could not be accepted, or none can any more.
    Error {
        error: OsError,
        is_final: bool,
    },
}

/// Accepts until the script closes the server, or nobody gives orders any more.
pub(crate) async fn accept(
    listener: Listener,
    mut orders: UnboundedReceiver<ServerOrder>,
    room: usize,
    inbox: Arc<Inbox>,
    id: u64,
) {
    let tell = |news| inbox.push(Mail::Server(id, news));
    let mut shortage = listener.shortage();
    let mut room = room;
    let mut waiting = 0;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                None => return,
                Some(ServerOrder::Pause) => listener.pause(),
                Some(ServerOrder::Resume) => listener.resume(),
                Some(ServerOrder::Room(most)) => room = most,
                Some(ServerOrder::Taken) => waiting -= 1,
                Some(ServerOrder::Close(answer)) => {
                    drop(listener);
                    // It waits for the answer.
                    let _ = answer.send(());
                    return;
                }
            },
            Ok(()) = shortage.changed() => {
                let short = shortage.borrow_and_update().clone();
                if let Some(error) = short {
                    tell(ServerNews::Error { error, is_final: false });
                }
            }
            accepted = listener.accept(), if waiting < room => match accepted {
                Ok(Stream::Socket(socket)) => {
                    waiting += 1;
                    tell(ServerNews::Connection(Box::new(socket)));
                }
                // The listener opens no WebSockets.
                Ok(Stream::WebSocket(_)) => {}
                Err(error) => {
                    return tell(ServerNews::Error { error: (&error).into(), is_final: true });
                }
            },
        }
    }
}
