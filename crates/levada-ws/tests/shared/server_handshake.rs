//! The body of the fuzz target `ws_server_handshake`.
//!
//! Input: a byte for the size of the pieces, then the wire.

use levada_ws::handshake::{Limits, Progress, Refusal, Request, Rules, ServerHandshake};

use crate::pieces;

/// A request is read alike however it is cut, and the answer is one well-formed head.
pub(crate) fn run(input: &[u8]) {
    let [size, wire @ ..] = input else { return };
    let whole = read(wire, wire.len());
    assert_eq!(read(wire, 1), whole);
    assert_eq!(read(wire, usize::from(*size)), whole);
    let response = match whole {
        Ok(Progress { head: None, .. }) => return,
        Ok(Progress { head: Some(request), consumed }) => {
            assert!(wire[..consumed].ends_with(b"\n"));
            let answer = Rules::default().judge(&request).expect("everybody is welcome");
            request.accept(&answer).expect("no subprotocol was chosen")
        }
        Err(refusal) => refusal.to_response(),
    };
    let text = String::from_utf8(response).expect("a response is text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head ends");
    assert!(head.starts_with("HTTP/1.1 "));
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    assert_eq!(length.map_or(0, |length| length.parse().expect("a number")), body.len());
}

fn read(wire: &[u8], size: usize) -> Result<Progress<Request>, Refusal> {
    let mut handshake = ServerHandshake::new(Limits { bytes: 1024, fields: 16 });
    pieces::read(wire, size, |piece| handshake.handle_wire(piece))
}
