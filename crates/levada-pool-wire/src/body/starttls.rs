//! STARTTLS, `STARTTLS_LOCALID` and `PLAINTEXT_CONNECT`.

use crate::codec::{DecodeError, Reader, Writer};
use crate::flags::{Role, StartTlsFlags};
use crate::layout::starttls as at;
use crate::secret::ControlKey;
use crate::text::{Identity, Text};
use crate::time::HandshakeTimeout;

/// How to protect a connection, and how it came to be protected.
///
/// Source: TLS Pool protocol V2, STARTTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartTls {
    /// Roles and wishes; in an answer to `STARTTLS_LOCALID` they are honoured anew.
    pub flags: StartTlsFlags,
    /// The client's own number; a reply echoes it.
    pub local: u32,
    /// The transport, as IP numbers it: 6 for TCP, 17 for UDP, 132 for SCTP.
    pub ipproto: u8,
    /// The stream, for transports that have several.
    pub stream_id: u16,
    /// Who we are. Empty: whom the peer asks for.
    pub local_id: Identity,
    /// Who the peer is, or has to be.
    pub remote_id: Identity,
    /// The key to the session once it is protected.
    pub control_key: ControlKey,
    /// The protocol inside TLS by its name in IANA's registry of services; a key for policy.
    pub service: Text<16>,
    /// How long the handshake may take.
    pub timeout: HandshakeTimeout,
    /// The packet's tail, which no field uses; a reply echoes it.
    pub spare: [u8; 76],
}

impl StartTls {
    /// The reply to this request: role, identities and key as they came to be, the rest echoed.
    #[must_use]
    pub fn protected(
        &self,
        role: Role,
        local_id: Identity,
        remote_id: Identity,
        control_key: ControlKey,
    ) -> Self {
        let flags = self.flags.settled(role);
        Self { flags, local_id, remote_id, control_key, ..self.clone() }
    }

    pub(crate) fn read(reader: &Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            flags: StartTlsFlags::from_bits(reader.u32(&at::FLAGS)),
            local: reader.u32(&at::LOCAL),
            ipproto: reader.u8(&at::IPPROTO),
            stream_id: reader.u16(&at::STREAM_ID),
            local_id: reader.identity(&at::LOCAL_ID)?,
            remote_id: reader.identity(&at::REMOTE_ID)?,
            control_key: reader.control_key(&at::CONTROL_KEY),
            service: reader.text(&at::SERVICE)?,
            timeout: HandshakeTimeout::from_wire(reader.u32(&at::TIMEOUT)),
            spare: reader.bytes(&at::SPARE),
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u32(&at::FLAGS, self.flags.bits());
        writer.u32(&at::LOCAL, self.local);
        writer.u8(&at::IPPROTO, self.ipproto);
        writer.u16(&at::STREAM_ID, self.stream_id);
        writer.text(&at::LOCAL_ID, &self.local_id.0);
        writer.text(&at::REMOTE_ID, &self.remote_id.0);
        writer.bytes(&at::CONTROL_KEY, self.control_key.expose());
        writer.text(&at::SERVICE, &self.service);
        writer.u32(&at::TIMEOUT, self.timeout.to_wire());
        writer.bytes(&at::SPARE, &self.spare);
    }
}

impl Default for StartTls {
    fn default() -> Self {
        Self {
            flags: StartTlsFlags::NONE,
            local: 0,
            ipproto: 6,
            stream_id: 0,
            local_id: Identity::EMPTY,
            remote_id: Identity::EMPTY,
            control_key: ControlKey::default(),
            service: Text::EMPTY,
            timeout: HandshakeTimeout::DEFAULT,
            spare: [0; 76],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a7_the_reply_echoes_what_it_does_not_settle() {
        let request = StartTls {
            flags: StartTlsFlags::SERVER.with(StartTlsFlags::FORK),
            local: 7,
            stream_id: 3,
            service: Text::new("https").unwrap(),
            timeout: HandshakeTimeout::from_wire(500),
            spare: [0xa5; 76],
            ..StartTls::default()
        };
        let local_id = Identity::new("orvelte.nep").unwrap();
        let key = ControlKey::new([1; 16]);
        let reply = request.protected(Role::Server, local_id, Identity::EMPTY, key.clone());
        assert_eq!(
            reply,
            StartTls {
                flags: StartTlsFlags::SERVER,
                local_id,
                control_key: key,
                ..request.clone()
            }
        );
    }
}
