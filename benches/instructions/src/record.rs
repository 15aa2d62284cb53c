//! The record path: 16 KiB sealed by one session and opened by the other, without a socket.

use std::error::Error;

use levada_tls::{Engine, Identities, Identity, Session, SessionName, TlsClient, TlsServer};

const RECORD: usize = 16 * 1024;

pub(crate) fn run(count: u64) -> Result<(), Box<dyn Error>> {
    let (client, server) = sides()?;
    let mut client = client.session(&SessionName::new("localhost")?)?;
    let mut server = server.session();
    let (mut wire, mut plain) = (Vec::new(), vec![0; RECORD]);
    while client.is_handshaking() || server.is_handshaking() {
        pass(&mut client, &mut server, &mut wire, &mut [])?;
        pass(&mut server, &mut client, &mut wire, &mut [])?;
    }
    let data = vec![7; RECORD];
    for _ in 0..count {
        if !server.seal(&data) || pass(&mut server, &mut client, &mut wire, &mut plain)? != RECORD {
            return Err("a record is lost".into());
        }
    }
    Ok(())
}

/// What both sides of a session have.
pub(crate) fn sides() -> Result<(TlsClient, TlsServer), Box<dyn Error>> {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (cert, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
    let identity = Identity::from_pem(cert.as_bytes(), Some(key.as_bytes()), None)?;
    let client = TlsClient::builder().danger_no_verification().build()?;
    Ok((client, TlsServer::builder(Identities::one(&identity)).build()?))
}

/// Hands on what `from` has to write, and gives how many plain bytes came of it.
fn pass(
    from: &mut Session,
    to: &mut Session,
    wire: &mut Vec<u8>,
    plain: &mut [u8],
) -> Result<usize, Box<dyn Error>> {
    wire.clear();
    while from.wants_write() {
        from.write_wire(wire)?;
    }
    let opened = to.open(wire, plain).map_err(|ending| ending.to_string())?;
    if opened.taken < wire.len() {
        return Err("a record is not taken".into());
    }
    Ok(opened.plain)
}
