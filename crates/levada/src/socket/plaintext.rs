//! Who decides about a client that speaks no TLS where TLS is expected.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use levada_core::{Ending, Fault, Mode};

use super::Socket;

type Answer = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Whoever is asked, or has been.
pub(super) enum PlaintextHook {
    Waits(Box<dyn FnOnce(Vec<u8>) -> Answer + Send>),
    Asked(Answer),
}

impl fmt::Debug for PlaintextHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlaintextHook")
    }
}

impl Socket {
    /// Has `hook` decide, in place of [`Options::danger_allow_plaintext`](crate::Options), whether a
    /// server goes on in plaintext with a client whose first byte begins no TLS record. It gets all
    /// that has come of the client; what it lets through, the reader gets too. Its future is polled in
    /// line by the socket's own polls: it may take its time, up to the deadline for closing, and must
    /// not block.
    ///
    /// ```
    /// # async fn serve(mut socket: levada::Socket) -> std::io::Result<()> {
    /// socket.danger_on_plaintext(|first| async move { first.starts_with(b"GET ") });
    /// socket.established().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn danger_on_plaintext<F, A>(&mut self, hook: F)
    where
        F: FnOnce(Vec<u8>) -> A + Send + 'static,
        A: Future<Output = bool> + Send + 'static,
    {
        let hook = Box::new(|first| Box::pin(hook(first)) as Answer);
        self.plaintext_hook = Some(Box::new(PlaintextHook::Waits(hook)));
    }

    /// Ready with whether the handshake failed at the client's first byte and plaintext is allowed then.
    pub(super) fn poll_may_fall_back(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let is_plaintext = self.mode() == Mode::TlsServer
            && matches!(
                self.dying.as_deref(),
                Some(Ending::FatalError { cause: Fault::NotTls { .. }, .. })
            );
        if !is_plaintext {
            return Poll::Ready(false);
        }
        let mut answer = match self.plaintext_hook.take().map(|hook| *hook) {
            None => return Poll::Ready(self.options.danger_allow_plaintext),
            Some(PlaintextHook::Waits(hook)) => hook(self.wire.clone()),
            Some(PlaintextHook::Asked(answer)) => answer,
        };
        let polled = answer.as_mut().poll(cx);
        if polled.is_pending() {
            self.plaintext_hook = Some(Box::new(PlaintextHook::Asked(answer)));
        }
        polled
    }
}
