//! A session under fire: what must hold whatever comes in, in whatever pieces. Shared by the
//! property tests and the fuzz target.

use std::sync::LazyLock;

use levada_core::Ending;
use levada_tls::{Engine, Identities, Identity, Session, SessionName, TlsClient, TlsServer};

/// Runs one case that `data` describes: its first byte says which role stands under fire (bit 0),
/// whether a true handshake runs underneath (bit 1) and whether it is under fire only after that
/// (bit 2); the second how the wire is cut. The rest is the hostile wire, or, over a true handshake,
/// triples of distance (two bytes) and bits to flip (one byte) in what the peer says.
///
/// # Panics
///
/// When a promise of [`Engine`] is broken.
pub(crate) fn check(data: &[u8]) {
    let [mode, cut, rest @ ..] = data else { return };
    let (client, server) = sessions();
    let (mut target, mut peer) = if mode & 1 == 0 { (client, server) } else { (server, client) };
    if mode & 2 == 0 {
        drain(&mut target);
        Target::new(&mut target).take(rest, *cut);
        return;
    }
    let mut flips = Flips { rest, distance: 0, bits: 0 };
    flips.next();
    let mut fire = Target::new(&mut target);
    let mut room = vec![0; 20_000];
    let mut told = b"what the peer says before its goodbye".repeat(20);
    let mut from_target = Vec::new();
    for _ in 0..40 {
        let mut wire = drain(&mut peer);
        if mode & 4 == 0 || !fire.session.is_handshaking() {
            flips.apply(&mut wire);
        }
        fire.take(&wire, *cut);
        from_target.extend(drain(fire.session));
        match peer.open(&mut from_target, &mut room) {
            Ok(opened) => drop(from_target.drain(..opened.taken)),
            Err(ending) => {
                // Once both have the same keys, what is said to be sent is what arrives.
                if mode & 4 != 0
                    && let Some(Ending::FatalError { alert: Some(alert), .. }) = fire.ending
                {
                    assert_eq!(ending, Ending::FatalAlert(alert));
                }
                break;
            }
        }
        if !peer.is_handshaking() && !told.is_empty() {
            assert!(peer.seal(&std::mem::take(&mut told)) || peer.peer_has_closed());
            peer.close();
        }
    }
}

fn sessions() -> (Session, Session) {
    static ENDS: LazyLock<(TlsClient, TlsServer)> = LazyLock::new(|| {
        let identity = Identity::from_pem(
            include_bytes!("../data/ec-cert.pem"),
            Some(include_bytes!("../data/ec-pkcs8.pem")),
            None,
        );
        let identity = identity.expect("the test identity is good");
        let client = TlsClient::builder().danger_no_verification().build();
        let server = TlsServer::builder(Identities::one(&identity)).build();
        (client.expect("a good client"), server.expect("a good server"))
    });
    let name = SessionName::new("host.example").expect("a good name");
    (ENDS.0.session(&name).expect("random bytes"), ENDS.1.session())
}

/// All that `session` wants to write.
fn drain(session: &mut Session) -> Vec<u8> {
    let mut wire = Vec::new();
    while session.wants_write() {
        let count = session.write_wire(&mut wire).expect("memory takes all");
        assert!(count > 0, "what wants to write writes");
        assert!(wire.len() < 1 << 20, "an answer out of all proportion");
    }
    wire
}

/// The session under fire.
struct Target<'a> {
    session: &'a mut Session,
    wire: Vec<u8>,
    ending: Option<Ending>,
}

impl<'a> Target<'a> {
    fn new(session: &'a mut Session) -> Self {
        Self { session, wire: Vec::new(), ending: None }
    }

    /// Takes `wire` in pieces whose lengths follow from `cut`.
    fn take(&mut self, mut wire: &[u8], cut: u8) {
        let mut seed = u32::from(cut);
        while !wire.is_empty() {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let most = if cut == 0 { wire.len() } else { 1 + (seed >> 16) as usize % 300 };
            let (piece, rest) = wire.split_at(most.min(wire.len()));
            self.wire.extend_from_slice(piece);
            self.open(if cut == 0 { 20_000 } else { usize::from(cut) * 80 });
            wire = rest;
        }
    }

    fn open(&mut self, room: usize) {
        let mut plain = vec![0; room];
        let mut calls = self.wire.len() + (1 << 16);
        loop {
            calls -= 1;
            assert!(calls > 0, "it goes round in circles");
            let closed = self.session.peer_has_closed();
            match self.session.open(&mut self.wire, &mut plain) {
                Ok(opened) => {
                    assert!(opened.taken <= self.wire.len() && opened.plain <= plain.len());
                    assert_eq!(self.ending, None, "an ending is told again and again");
                    assert!(!closed || opened.taken == 0, "nothing is taken behind the goodbye");
                    assert!(opened.plain == 0 || !self.session.is_handshaking());
                    self.wire.drain(..opened.taken);
                    if opened.taken == 0 && opened.plain == 0 {
                        assert!(!self.session.has_plaintext());
                        return;
                    }
                }
                Err(ending) => {
                    assert!(matches!(ending, Ending::FatalAlert(_) | Ending::FatalError { .. }));
                    assert!(!self.session.has_plaintext() && !self.session.seal(b"x"));
                    assert_eq!(self.ending.get_or_insert_with(|| ending.clone()), &ending);
                    return;
                }
            }
        }
    }
}

/// Which bits of a stream are flipped.
struct Flips<'a> {
    rest: &'a [u8],
    /// Bytes up to the next one to be altered.
    distance: usize,
    bits: u8,
}

impl Flips<'_> {
    fn next(&mut self) {
        if let [high, low, bits, rest @ ..] = self.rest {
            self.distance = usize::from(u16::from_be_bytes([*high, *low]));
            (self.bits, self.rest) = (*bits, rest);
        } else {
            (self.distance, self.bits) = (usize::MAX, 0);
        }
    }

    fn apply(&mut self, wire: &mut [u8]) {
        let mut start = 0;
        while self.distance < wire.len() - start {
            start += self.distance;
            wire[start] ^= self.bits;
            self.next();
        }
        self.distance = self.distance.saturating_sub(wire.len() - start);
    }
}
