//! The body of the fuzz target `ws_client_handshake`.
//!
//! Input: a byte for the size of the pieces, then the wire. The nonce is RFC 6455's example, and
//! the subprotocols `chat` and `superchat` are offered.

use levada_ws::handshake::{ClientHandshake, Limits, Offer, Progress, Rejection, Response};

use crate::pieces;

/// A response is read alike however it is cut, and what is accepted answers our own offer.
pub(crate) fn run(input: &[u8]) {
    let [size, wire @ ..] = input else { return };
    let whole = read(wire, wire.len());
    assert_eq!(read(wire, 1), whole);
    assert_eq!(read(wire, usize::from(*size)), whole);
    if let Ok(Progress { head: Some(response), .. }) = whole {
        assert!(matches!(response.subprotocol(), None | Some("chat" | "superchat")));
        let accept = response
            .fields()
            .iter()
            .find(|field| field.name().eq_ignore_ascii_case("sec-websocket-accept"));
        let accept = accept.and_then(|field| field.text()).expect("the accept was checked");
        assert_eq!(accept.trim(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}

fn read(wire: &[u8], size: usize) -> Result<Progress<Response>, Rejection> {
    let offer = Offer::new("server.example.com", "/chat")
        .and_then(|offer| offer.with_subprotocol("chat"))
        .and_then(|offer| offer.with_subprotocol("superchat"))
        .expect("the offer is sound");
    let limits = Limits { bytes: 1024, fields: 16 };
    let mut handshake = ClientHandshake::new(offer, *b"the sample nonce", limits);
    pieces::read(wire, size, |piece| handshake.handle_wire(piece))
}
