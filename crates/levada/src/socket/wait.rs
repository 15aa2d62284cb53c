//! Waiting for somebody other than the peer: an answer to its ClientHello, a signature, a verdict.

use std::task::{Context, Poll, ready};

use levada_tls::{Awaited, ClientHello, Engine, HelloAnswer};
use tokio::time::sleep;

use super::Socket;
use crate::workers::workers;

impl Socket {
    /// Has `hook` decide, once the client's whole ClientHello is there, who answers it. Its future is
    /// polled in line by the socket's own polls: it may take its time, up to the handshake's
    /// deadline, and must not block. What it answers after the socket's end is ignored.
    ///
    /// With [`HelloAnswer::PassThrough`] the socket goes on as a plain one, whose first bytes read are
    /// the ClientHello ([`WhyPlain::PassThrough`](crate::WhyPlain::PassThrough)).
    ///
    /// `false`, and no effect, unless TLS is about to begin here, with us as its server and nothing
    /// of the client read: right after it was accepted or
    /// [`start_server_encryption`](Socket::start_server_encryption) was called.
    ///
    /// ```
    /// # async fn serve(listener: levada::Listener) -> std::io::Result<()> {
    /// use levada::{AlertDescription, HelloAnswer, Stream};
    ///
    /// let Stream::Socket(mut socket) = listener.accept().await? else {
    ///     unreachable!("the listener opens no WebSockets");
    /// };
    /// socket.on_hello(|hello| async move {
    ///     match hello.sni.as_deref() {
    ///         Some("elsewhere.example") => HelloAnswer::PassThrough,
    ///         Some(_) => HelloAnswer::GoOn,
    ///         None => HelloAnswer::Refuse(AlertDescription::UNRECOGNIZED_NAME),
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_hello<F, A>(&mut self, hook: F) -> bool
    where
        F: FnOnce(ClientHello) -> A + Send + 'static,
        A: Future<Output = HelloAnswer> + Send + 'static,
    {
        self.session.as_mut().is_some_and(|session| session.on_hello(hook))
    }

    /// Ready when the session waits for nobody but the peer.
    pub(super) fn poll_awaited(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(session) = &mut self.session else { return Poll::Ready(()) };
        if session.poll_awaited(cx, &workers()).is_pending() {
            if session.awaits() != Some(Awaited::Signature) {
                return Poll::Pending;
            }
            let deadline = self.options.signer_deadline;
            let late = self.signature_is_late.get_or_insert_with(|| Box::pin(sleep(deadline)));
            ready!(late.as_mut().poll(cx));
            self.stop_waiting();
        }
        self.signature_is_late = None;
        Poll::Ready(())
    }

    /// Begins to end where the session waits for somebody other than the peer. `false` where not.
    pub(super) fn stop_waiting(&mut self) -> bool {
        let Some(session) = self.session.as_mut().filter(|session| session.awaits().is_some())
        else {
            return false;
        };
        session.stop_waiting();
        if let Err(ending) = session.open(&mut [], &mut []) {
            self.die(ending);
        }
        true
    }
}
