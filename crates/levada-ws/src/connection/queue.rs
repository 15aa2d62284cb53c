//! The control frames that wait to be sent: one of each kind.

use crate::frame::{ControlPayload, Encoder, MaskKeys, Opcode};

/// At most a pong, a ping and a close frame, sent in this order. The close frame is the last thing
/// that is ever queued.
#[derive(Clone, Debug, Default)]
pub(super) struct ControlQueue {
    pong: Option<ControlPayload>,
    ping: Option<ControlPayload>,
    close: Option<ControlPayload>,
}

impl ControlQueue {
    /// Queues the answer to a ping. A peer that floods gets only the latest (RFC 6455 §5.5.3).
    pub(super) fn pong(&mut self, payload: ControlPayload) {
        self.pong = Some(payload);
    }

    /// Queues a ping, in place of one that has not gone yet.
    pub(super) fn ping(&mut self, payload: ControlPayload) {
        self.ping = Some(payload);
    }

    /// Queues an empty ping unless one waits already: any ping shows what this one would.
    pub(super) fn keepalive(&mut self) {
        self.ping.get_or_insert(ControlPayload::EMPTY);
    }

    /// Queues the close frame; the owner sees to it that there is only one.
    pub(super) fn close(&mut self, body: ControlPayload) {
        self.close = Some(body);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pong.is_none() && self.ping.is_none() && self.close.is_none()
    }

    /// Moves as many whole frames into `out` as fit; gives their length in bytes.
    pub(super) fn drain(
        &mut self,
        encoder: Encoder,
        out: &mut [u8],
        keys: &mut MaskKeys<'_>,
    ) -> usize {
        let slots = [
            (Opcode::Pong, &mut self.pong),
            (Opcode::Ping, &mut self.ping),
            (Opcode::Close, &mut self.close),
        ];
        let mut written = 0;
        for (opcode, slot) in slots {
            let Some(payload) = slot else { continue };
            let len = encoder.control(opcode, payload, &mut out[written..], keys);
            if len == 0 {
                break;
            }
            written += len;
            *slot = None;
        }
        written
    }
}
