//! What two ends agree on in the opening handshake (RFC 7692 section 7.1).

use alloc::string::String;
use core::fmt::{self, Write as _};

const NAME: &str = "permessage-deflate";

/// The smallest window that our back-end can keep to, in bits.
const SMALLEST: u8 = 9;

/// How both directions are compressed: as one end wants it, or as both have agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Whether the server begins each message with an empty window.
    pub server_no_context_takeover: bool,
    /// Whether the client begins each message with an empty window.
    pub client_no_context_takeover: bool,
    /// The largest window of the server, in bits: 9 to 15.
    pub server_max_window_bits: u8,
    /// The largest window of the client, in bits: 9 to 15.
    pub client_max_window_bits: u8,
}

impl Default for Params {
    /// Windows of 15 bits, which are kept from message to message.
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

/// The parameters of one extension, as they stand in a head.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<u8>,
    /// Whether it speaks of the client's window, with a value or without.
    names_client_window: bool,
}

impl Params {
    /// A client's offer, as the value of a Sec-WebSocket-Extensions.
    pub(crate) fn offer(self) -> String {
        let mut text = self.flags();
        if self.server_max_window_bits < 15 {
            // Writing to a String cannot fail.
            let _ = write!(text, "; server_max_window_bits={}", self.server_max_window_bits);
        }
        text.push_str("; client_max_window_bits");
        if self.client_max_window_bits < 15 {
            let _ = write!(text, "={}", self.client_max_window_bits);
        }
        text
    }

    /// What a server that wants this makes of one offer; `None` for one that it cannot keep.
    pub(crate) fn accept(self, offer: &str) -> Option<Self> {
        let said = Said::parse(offer)?;
        let server = said.server_max_window_bits.unwrap_or(15).min(self.server_max_window_bits);
        // A client that does not name its window cannot be given another.
        let most = if said.names_client_window { self.client_max_window_bits } else { 15 };
        let client = said.client_max_window_bits.unwrap_or(15).min(most);
        let agreed = Self {
            server_no_context_takeover: said.server_no_context_takeover
                || self.server_no_context_takeover,
            client_no_context_takeover: said.client_no_context_takeover
                || self.client_no_context_takeover,
            server_max_window_bits: server,
            client_max_window_bits: client,
        };
        (server >= SMALLEST && client >= SMALLEST).then_some(agreed)
    }

    /// What a server has made of our offer of this; `None` for an answer that it does not allow.
    pub(crate) fn agreed(self, answer: &str) -> Option<Self> {
        let said = Said::parse(answer)?;
        let server = said.server_max_window_bits.unwrap_or(15);
        let client = match said.client_max_window_bits {
            None if said.names_client_window => return None,
            bits => bits.unwrap_or(15),
        };
        let keeps = server <= self.server_max_window_bits
            && (said.server_no_context_takeover || !self.server_no_context_takeover);
        let agreed = Self {
            server_no_context_takeover: said.server_no_context_takeover,
            client_no_context_takeover: said.client_no_context_takeover
                || self.client_no_context_takeover,
            server_max_window_bits: server,
            client_max_window_bits: client.min(self.client_max_window_bits),
        };
        (keeps && client >= SMALLEST).then_some(agreed)
    }

    fn flags(self) -> String {
        let mut text = String::from(NAME);
        for (name, is_set) in [
            ("server_no_context_takeover", self.server_no_context_takeover),
            ("client_no_context_takeover", self.client_no_context_takeover),
        ] {
            if is_set {
                text.push_str("; ");
                text.push_str(name);
            }
        }
        text
    }
}

/// What both have agreed on, as it stands in the server's Sec-WebSocket-Extensions.
impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.flags())?;
        for (name, bits) in [
            ("server_max_window_bits", self.server_max_window_bits),
            ("client_max_window_bits", self.client_max_window_bits),
        ] {
            if bits < 15 {
                write!(f, "; {name}={bits}")?;
            }
        }
        Ok(())
    }
}

impl Said {
    /// Reads one extension. `None` for another one, and for one with a parameter that is unknown, there
    /// twice, or has a value that it cannot have: such an offer is passed over (section 7.1).
    fn parse(extension: &str) -> Option<Self> {
        let mut parts = extension.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case(NAME) {
            return None;
        }
        let mut said = Self::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(bits(value.trim_start())?)),
                None => (part, None),
            };
            let is_new = match (name, value) {
                ("server_no_context_takeover", None) => {
                    !core::mem::replace(&mut said.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    !core::mem::replace(&mut said.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(bits)) => {
                    said.server_max_window_bits.replace(bits).is_none()
                }
                ("client_max_window_bits", bits) => {
                    said.client_max_window_bits = bits;
                    !core::mem::replace(&mut said.names_client_window, true)
                }
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        Some(said)
    }
}

/// A window's size: 8 to 15, without leading zeros, perhaps in quotes.
fn bits(value: &str) -> Option<u8> {
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match quoted.unwrap_or(value) {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "11" => Some(11),
        "12" => Some(12),
        "13" => Some(13),
        "14" => Some(14),
        "15" => Some(15),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn both_ends_agree_on_whatever_they_want() {
        let all = |bits| {
            [(false, false), (false, true), (true, false), (true, true)].map(|(server, client)| {
                Params {
                    server_no_context_takeover: server,
                    client_no_context_takeover: client,
                    server_max_window_bits: bits,
                    client_max_window_bits: 24 - bits,
                }
            })
        };
        let wishes = [all(9), all(12), all(15)].concat();
        for client in &wishes {
            for server in &wishes {
                let agreed = server.accept(&client.offer()).unwrap();
                assert_eq!(client.agreed(&agreed.to_string()), Some(agreed));
                let least = |one: u8, other: u8| one.min(other);
                assert_eq!(
                    agreed.server_max_window_bits,
                    least(client.server_max_window_bits, server.server_max_window_bits)
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_kept_is_passed_over() {
        let ours = Params::default();
        let accept = |offer: &str| ours.accept(offer);
        assert_eq!(accept("permessage-deflate"), Some(ours));
        assert_eq!(accept("permessage-deflate; client_max_window_bits"), Some(ours));
        let ten = Params { server_max_window_bits: 10, ..ours };
        assert_eq!(accept("permessage-deflate;server_max_window_bits=\"10\""), Some(ten));
        for offer in [
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=09",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; client_max_window_bits=0",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; unknown",
            "permessage-deflate;",
        ] {
            assert_eq!(accept(offer), None, "{offer}");
        }
        // A server that did not keep to the offer, or names a window that we cannot keep to.
        let wants = Params { server_no_context_takeover: true, server_max_window_bits: 10, ..ours };
        for answer in [
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; \
             client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; \
             client_max_window_bits=8",
        ] {
            assert_eq!(wants.agreed(answer), None, "{answer}");
        }
        let text = "permessage-deflate; server_no_context_takeover; server_max_window_bits=9";
        assert!(wants.agreed(text).is_some());
    }
}
