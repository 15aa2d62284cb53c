//! The server's side: reads one request.

use super::head::{Head, HeadError};
use super::{Limits, Page, Progress, Refusal, Request, Rules};

/// Reads a client's request as it arrives. Holds at most [`Limits::bytes`].
///
/// What follows is a decision that may take its time: see [`Rules::judge`](super::Rules::judge),
/// [`Request::accept`] and [`Refusal::to_response`].
#[derive(Clone, Debug)]
pub struct ServerHandshake {
    head: Head,
    limits: Limits,
}

impl ServerHandshake {
    /// A handshake that has read nothing.
    pub fn new(limits: Limits) -> Self {
        Self { head: Head::new(limits.bytes), limits }
    }

    /// Takes bytes up to the end of the request.
    ///
    /// # Errors
    ///
    /// What is wrong with its form; send [`Refusal::to_response`] and end the connection.
    pub fn handle_wire(&mut self, wire: &[u8]) -> Result<Progress<Request>, Refusal> {
        let (consumed, complete) = self.head.push(wire).map_err(|error| match error {
            HeadError::TooLong => Refusal::HeadTooLong,
            HeadError::BadByte => Refusal::BadHead,
        })?;
        let head = complete.then(|| Request::parse(self.head.bytes(), self.limits)).transpose()?;
        Ok(Progress { consumed, head })
    }

    /// The page of `rules` that is shown to this client instead of `refusal`, if it asks for one of them
    /// and for no WebSocket.
    pub fn page(&self, refusal: &Refusal, rules: &Rules) -> Option<Page> {
        if *refusal != Refusal::NotAnUpgrade {
            return None;
        }
        // A request that was read as far as that has a path.
        let target = self.head.bytes().split(|&byte| byte == b' ').nth(1)?;
        rules.page(str::from_utf8(target).ok()?).cloned()
    }

    /// The carrier's end before the request's.
    pub fn handle_eof(&self) -> Refusal {
        Refusal::Truncated
    }
}
