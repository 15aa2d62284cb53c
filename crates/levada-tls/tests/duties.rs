//! What a session owes its peer behind the handshake, row by row, and what holds for all that may come.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use Role::{Client, Server};
use TlsVersion::{V1_2, V1_3};
#[path = "support/odd_kernel_session.rs"]
mod odd_kernel_session;

use levada_core::{AlertDescription, Ending, Fault, Role};
use levada_testkit::fuzz::corpus;
use levada_tls::{
    BadRecord, Direction, Duties, Duty, KernelSession, Outgoing, Permit, Sent, TlsVersion,
};
use proptest::prelude::*;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
const HEARTBEAT: u8 = 24;

const TICKET: &[u8] = &[4, 0, 0, 3, 7, 8, 9];
const UPDATE: &[u8] = &[24, 0, 0, 1, 0];
const UPDATE_REQUESTED: &[u8] = &[24, 0, 0, 1, 1];
const HELLO_REQUEST: &[u8] = &[0, 0, 0, 0];
const CLIENT_HELLO: &[u8] = &[1, 0, 0, 2, 3, 3];

fn session(role: Role, version: TlsVersion, rekeys: bool) -> KernelSession {
    session_with(role, version, rekeys, 16_384)
}

fn session_with(role: Role, version: TlsVersion, rekeys: bool, record_size: u16) -> KernelSession {
    let role = if role == Client { 1 } else { 2 };
    // TLS_AES_128_GCM_SHA256 with its two secrets, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.
    let (suite, secrets) = match version {
        V1_3 => ([0x13, 0x01], vec![7; 64]),
        V1_2 => ([0xc0, 0x2b], Vec::new()),
    };
    let [size_high, size_low] = record_size.to_be_bytes();
    let front = [1, role, u8::from(rekeys), suite[0], suite[1], size_high, size_low];
    KernelSession::from_bytes(&[&front[..], &[0; 8], &secrets].concat()).unwrap()
}

fn duties(role: Role, version: TlsVersion) -> Duties {
    session(role, version, true).duties()
}

/// Both roles, both versions.
const ALL: [(Role, TlsVersion); 4] =
    [(Client, V1_2), (Client, V1_3), (Server, V1_2), (Server, V1_3)];

fn outbox(duties: &mut Duties) -> Vec<Outgoing> {
    let mut all = Vec::new();
    while let Some(outgoing) = duties.outgoing() {
        all.push(outgoing);
        let renews = duties.sent() == Sent::RenewTransmit;
        assert_eq!(renews, outgoing == Outgoing::KeyUpdate);
    }
    all
}

/// How it ends by our finding something wrong, and that the peer is told so.
#[track_caller]
fn refused(mut duties: Duties, came: &[Duty], alert: AlertDescription) -> String {
    let Some(Duty::End(Ending::FatalError { alert: told, cause })) = came.last() else {
        panic!("{came:?}")
    };
    assert_eq!(*told, Some(alert));
    assert_eq!(outbox(&mut duties), [Outgoing::Alert(alert)]);
    assert!(duties.has_failed());
    duties.close();
    assert_eq!(duties.outgoing(), None, "no goodbye behind an alert");
    assert!(duties.received(ALERT, &[1, 0]).is_empty(), "nothing counts behind the end");
    cause.to_string()
}

#[test]
fn tickets_are_for_clients_of_tls_1_3() {
    let mut ours = duties(Client, V1_3);
    let two = [TICKET, TICKET].concat();
    let keep = || Duty::Keep(TICKET.to_vec());
    assert_eq!(ours.received(HANDSHAKE, &two), [keep(), keep()]);
    assert_eq!(ours.outgoing(), None);
    for (role, version) in ALL.into_iter().filter(|end| *end != (Client, V1_3)) {
        let mut ours = duties(role, version);
        let came = ours.received(HANDSHAKE, TICKET);
        let words = refused(ours, &came, AlertDescription::UNEXPECTED_MESSAGE);
        assert!(words.contains("the handshake message 4"), "{words}");
    }
}

#[test]
fn messages_may_be_cut_anywhere_but_hold_nothing_else_between_their_parts() {
    for cut in 1..TICKET.len() {
        let mut ours = duties(Client, V1_3);
        assert!(ours.received(HANDSHAKE, &TICKET[..cut]).is_empty());
        assert_eq!(ours.received(HANDSHAKE, &TICKET[cut..]), [Duty::Keep(TICKET.to_vec())]);
        assert_eq!(ours.received_data(5), Ok(()));

        let mut ours = duties(Client, V1_3);
        assert!(ours.received(HANDSHAKE, &TICKET[..cut]).is_empty());
        let ending = ours.received_data(5).unwrap_err();
        let alert = AlertDescription::UNEXPECTED_MESSAGE;
        refused(ours, &[Duty::End(ending)], alert);
    }
}

#[test]
fn a_long_ticket_is_dropped_and_a_message_that_does_not_end_refused() {
    let mut ours = duties(Client, V1_3);
    let mut long = vec![4, 0, 0x50, 0];
    long.extend(vec![1; 0x5000]);
    let parts: Vec<_> = long.chunks(16_384).map(|part| ours.received(HANDSHAKE, part)).collect();
    assert!(parts.iter().all(Vec::is_empty), "{parts:?}");
    assert_eq!(ours.received(HANDSHAKE, TICKET), [Duty::Keep(TICKET.to_vec())]);

    let came = ours.received(HANDSHAKE, &[4, 1, 0, 0, 0]);
    let words = refused(ours, &came, AlertDescription::DECODE_ERROR);
    assert!(words.contains("too long"), "{words}");
}

#[test]
fn new_keys_of_the_peer_are_taken_and_ours_renewed_on_request() {
    for role in [Client, Server] {
        let mut ours = duties(role, V1_3);
        assert_eq!(ours.received(HANDSHAKE, UPDATE), [Duty::RenewReceive]);
        assert_eq!(ours.outgoing(), None, "nobody has asked");
        assert_eq!(ours.received(HANDSHAKE, UPDATE_REQUESTED), [Duty::RenewReceive]);
        assert_eq!(ours.received(HANDSHAKE, UPDATE_REQUESTED), [Duty::RenewReceive]);
        assert_eq!(ours.permit(1), Permit::Behind);
        assert_eq!(outbox(&mut ours), [Outgoing::KeyUpdate], "one answer for both");
        assert_eq!(ours.permit(1), Permit::Bytes(1));
        // Behind our goodbye nothing is sealed that new keys would be for.
        ours.close();
        assert_eq!(ours.received(HANDSHAKE, UPDATE_REQUESTED), [Duty::RenewReceive]);
        assert_eq!(outbox(&mut ours), [Outgoing::CloseNotify]);
    }
}

#[test]
fn key_updates_that_cannot_be_are_refused() {
    use AlertDescription as Alert;
    for (record, alert) in [
        (&[24, 0, 0, 1, 2][..], Alert::ILLEGAL_PARAMETER),
        (&[24, 0, 0, 0], Alert::DECODE_ERROR),
        (&[24, 0, 0, 2, 0, 0], Alert::DECODE_ERROR),
        // Something under old keys behind it.
        (&[24, 0, 0, 1, 0, 4], Alert::UNEXPECTED_MESSAGE),
        (&[24, 0, 0, 1, 0, 24, 0, 0, 1, 0], Alert::UNEXPECTED_MESSAGE),
    ] {
        let mut ours = duties(Server, V1_3);
        let came = ours.received(HANDSHAKE, record);
        refused(ours, &came, alert);
    }
    for role in [Client, Server] {
        let mut ours = duties(role, V1_2);
        let came = ours.received(HANDSHAKE, UPDATE);
        refused(ours, &came, Alert::UNEXPECTED_MESSAGE);
    }
}

#[test]
fn a_peer_that_only_renews_its_keys_is_refused() {
    let mut ours = duties(Server, V1_3);
    for _ in 0..3 {
        for _ in 0..32 {
            assert_eq!(ours.received(HANDSHAKE, UPDATE), [Duty::RenewReceive]);
        }
        assert_eq!(ours.received_data(1), Ok(()));
    }
    for _ in 0..32 {
        ours.received(HANDSHAKE, UPDATE);
    }
    let came = ours.received(HANDSHAKE, UPDATE);
    let words = refused(ours, &came, AlertDescription::UNEXPECTED_MESSAGE);
    assert!(words.contains("too many key update requests"), "{words}");
}

#[test]
fn a_kernel_that_cannot_renew_keys_ends_the_session_in_words() {
    let mut ours = session(Client, V1_3, false).duties();
    let came = ours.received(HANDSHAKE, UPDATE);
    let words = refused(ours, &came, AlertDescription::INTERNAL_ERROR);
    assert!(words.contains("which this kernel cannot"), "{words}");

    // It said that it could.
    let mut ours = duties(Client, V1_3);
    assert_eq!(ours.received(HANDSHAKE, UPDATE), [Duty::RenewReceive]);
    let ending = ours.renewal_failed(Direction::Receive);
    refused(ours, &[Duty::End(ending)], AlertDescription::INTERNAL_ERROR);

    // Our KeyUpdate is out: nothing that we seal now would be understood.
    let mut ours = duties(Client, V1_3);
    ours.received(HANDSHAKE, UPDATE_REQUESTED);
    assert_eq!(ours.sent(), Sent::RenewTransmit);
    let ending = ours.renewal_failed(Direction::Transmit);
    assert!(matches!(ending, Ending::FatalError { alert: None, cause: Fault::Internal(_) }));
    assert_eq!(ours.outgoing(), None);
}

#[test]
fn our_keys_are_renewed_before_they_are_worn_out() {
    const RECORD: usize = 16_384;
    for role in [Client, Server] {
        let mut state = session(role, V1_3, true);
        state.renew_after(10);
        let mut ours = state.duties();
        for _ in 0..3 {
            assert_eq!(ours.permit(1 << 20), Permit::Bytes(10 * RECORD), "as many as there may be");
            ours.data_sent(4 * RECORD);
            assert_eq!(ours.permit(1 << 20), Permit::Bytes(6 * RECORD));
            for _ in 0..6 {
                ours.data_sent(1);
            }
            assert_eq!(ours.permit(1), Permit::Behind);
            assert_eq!(ours.permit(1), Permit::Behind);
            assert_eq!(outbox(&mut ours), [Outgoing::KeyUpdate]);
        }
    }
}

#[test]
fn smaller_records_are_sent_one_by_one() {
    let mut state = session_with(Client, V1_3, true, 100);
    state.renew_after(2);
    let mut ours = state.duties();
    assert_eq!(ours.permit(1000), Permit::Bytes(100));
    ours.data_sent(100);
    assert_eq!(ours.permit(30), Permit::Bytes(30));
    ours.data_sent(30);
    assert_eq!(ours.permit(1), Permit::Behind);
}

#[test]
fn worn_out_keys_that_cannot_be_renewed_are_an_end_without_goodbye() {
    for (version, rekeys, words) in
        [(V1_2, false, "TLS 1.3 would renew them"), (V1_3, false, "this kernel cannot go on")]
    {
        let mut state = session(Client, version, rekeys);
        state.renew_after(2);
        let mut ours = state.duties();
        for _ in 0..2 {
            assert_eq!(ours.permit(100), Permit::Bytes(100));
            ours.data_sent(100);
        }
        let Permit::End(Ending::FatalError { alert: None, cause }) = ours.permit(100) else {
            panic!("it goes on")
        };
        assert!(cause.to_string().contains(words), "{cause}");
        ours.close();
        assert_eq!(ours.outgoing(), None, "a goodbye would pass the loss off as the end");
    }
    // By the standard's numbers (RFC 8446 section 5.5) one key lasts for a quarter of a terabyte.
    let mut ours = duties(Client, V1_2);
    ours.data_sent(((1 << 24) - 9) << 14);
    assert_eq!(ours.permit(1), Permit::Bytes(1));
    ours.data_sent(1);
    assert!(matches!(ours.permit(1), Permit::End(_)));
}

#[test]
fn goodbyes_are_told_and_said_once() {
    for (role, version) in ALL {
        for level in [1, 2] {
            let mut ours = duties(role, version);
            assert_eq!(ours.received(ALERT, &[level, 0]), [Duty::EndOfData]);
            assert!(!ours.is_done());
            assert_eq!(ours.permit(7), Permit::Bytes(7), "our direction is open");
            assert!(ours.received(ALERT, &[2, 40]).is_empty(), "nothing counts behind it");
            ours.close();
            ours.close();
            assert_eq!(outbox(&mut ours), [Outgoing::CloseNotify]);
            assert!(ours.is_done());

            let mut ours = duties(role, version);
            ours.close();
            assert_eq!(outbox(&mut ours), [Outgoing::CloseNotify]);
            assert_eq!(ours.received_data(9), Ok(()), "its direction is open");
            assert!(!ours.is_done());
            assert_eq!(ours.received(ALERT, &[level, 0]), [Duty::EndOfData]);
            assert!(ours.is_done() && !ours.has_failed());
        }
    }
}

#[test]
fn a_fatal_alert_ends_and_is_not_answered() {
    for (role, version) in ALL {
        for number in (1..=255).filter(|number| *number != 90) {
            for level in [1, 2] {
                if level == 1 && version == V1_2 {
                    continue;
                }
                let mut ours = duties(role, version);
                let ending = Ending::FatalAlert(AlertDescription(number));
                assert_eq!(ours.received(ALERT, &[level, number]), [Duty::End(ending)]);
                assert_eq!(ours.outgoing(), None);
                ours.close();
                assert_eq!(ours.outgoing(), None);
            }
        }
    }
}

#[test]
fn some_warnings_are_borne() {
    for (role, version) in ALL {
        let number = if version == V1_3 { 90 } else { 41 };
        let mut ours = duties(role, version);
        for _ in 0..4 {
            assert!(ours.received(ALERT, &[1, number]).is_empty());
        }
        let came = ours.received(ALERT, &[1, number]);
        refused(ours, &came, AlertDescription::UNEXPECTED_MESSAGE);
    }
}

#[test]
fn an_alert_that_is_none_is_refused() {
    use AlertDescription as Alert;
    for (record, alert) in [
        (&[][..], Alert::DECODE_ERROR),
        (&[1], Alert::DECODE_ERROR),
        (&[1, 0, 0], Alert::DECODE_ERROR),
        (&[3, 40], Alert::ILLEGAL_PARAMETER),
        (&[0, 0], Alert::ILLEGAL_PARAMETER),
    ] {
        let mut ours = duties(Client, V1_3);
        let came = ours.received(ALERT, record);
        refused(ours, &came, alert);
    }
}

#[test]
fn renegotiation_is_declined_once_and_then_refused() {
    for (role, request) in [(Client, HELLO_REQUEST), (Server, CLIENT_HELLO)] {
        let mut ours = duties(role, V1_2);
        assert!(ours.received(HANDSHAKE, request).is_empty());
        assert_eq!(outbox(&mut ours), [Outgoing::NoRenegotiation]);
        let came = ours.received(HANDSHAKE, request);
        let words = refused(ours, &came, AlertDescription::UNEXPECTED_MESSAGE);
        assert!(words.contains("too many renegotiation requests"), "{words}");
    }
    for (role, version, request) in [
        (Server, V1_2, HELLO_REQUEST),
        (Client, V1_2, CLIENT_HELLO),
        (Client, V1_3, HELLO_REQUEST),
        (Server, V1_3, CLIENT_HELLO),
        // A certificate that is asked for behind the handshake, which nobody has offered to show.
        (Client, V1_3, &[13, 0, 0, 0]),
    ] {
        let mut ours = duties(role, version);
        let came = ours.received(HANDSHAKE, request);
        refused(ours, &came, AlertDescription::UNEXPECTED_MESSAGE);
    }
}

#[test]
fn records_of_no_use_are_counted_and_those_of_other_sorts_refused() {
    for empty in [DATA, HANDSHAKE] {
        let mut ours = duties(Client, V1_3);
        for _ in 0..32 {
            assert!(ours.received(empty, &[]).is_empty());
        }
        let came = ours.received(empty, &[]);
        let words = refused(ours, &came, AlertDescription::UNEXPECTED_MESSAGE);
        assert!(words.contains("too many empty fragments"), "{words}");
    }
    for (role, version) in ALL {
        for other in [CHANGE_CIPHER_SPEC, HEARTBEAT, 0, 255] {
            let mut ours = duties(role, version);
            let came = ours.received(other, &[1]);
            refused(ours, &came, AlertDescription::UNEXPECTED_MESSAGE);
        }
    }
}

#[test]
fn records_that_the_kernel_cannot_open_are_refused_by_their_alerts() {
    use AlertDescription as Alert;
    for (how, alert) in [
        (BadRecord::Forged, Alert::BAD_RECORD_MAC),
        (BadRecord::TooLong, Alert::RECORD_OVERFLOW),
        (BadRecord::Header, Alert::DECODE_ERROR),
    ] {
        let mut ours = duties(Client, V1_3);
        let ending = ours.bad_record(how);
        refused(ours, &[Duty::End(ending)], alert);

        // Nothing may follow our goodbye.
        let mut ours = duties(Client, V1_3);
        ours.close();
        assert_eq!(outbox(&mut ours), [Outgoing::CloseNotify]);
        assert!(matches!(ours.bad_record(how), Ending::FatalError { alert: None, .. }));
        assert_eq!(ours.outgoing(), None);
    }
}

#[test]
fn the_fuzzers_corpus_passes() {
    for case in corpus("kernel_session") {
        odd_kernel_session::check(&case);
    }
}

/// One thing that happens to a session.
#[derive(Clone, Debug)]
enum Step {
    Came(u8, Vec<u8>),
    Data(usize),
    Send(usize),
    Sent,
    Close,
}

fn any_step() -> impl Strategy<Value = Step> {
    let message = prop_oneof![
        Just(TICKET.to_vec()),
        Just(UPDATE.to_vec()),
        Just(UPDATE_REQUESTED.to_vec()),
        Just(HELLO_REQUEST.to_vec()),
        Just(CLIENT_HELLO.to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    let handshake = proptest::collection::vec(message, 1..4).prop_map(|parts| parts.concat());
    prop_oneof![
        8 => handshake.prop_map(|content| Step::Came(HANDSHAKE, content)),
        2 => proptest::collection::vec(0..3_u8, 0..4).prop_map(|content| Step::Came(ALERT, content)),
        1 => (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..4))
            .prop_map(|(content_type, content)| Step::Came(content_type, content)),
        6 => (0..100_usize).prop_map(Step::Data),
        6 => (1..100_000_usize).prop_map(Step::Send),
        6 => Just(Step::Sent),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_nothing_follows_an_end_or_a_goodbye(
        end in 0..4_usize,
        rekeys: bool,
        steps in proptest::collection::vec(any_step(), 0..60),
    ) {
        let (role, version) = ALL[end];
        let mut state = session(role, version, rekeys);
        state.renew_after(20);
        let mut ours = state.duties();
        let (mut ended, mut said_goodbye, mut heard_goodbye) = (false, false, false);
        let mut under_one_key = 0;
        for step in steps {
            match step {
                Step::Came(content_type, content) => {
                    let came = ours.received(content_type, &content);
                    prop_assert!(!(ended || heard_goodbye) || came.is_empty());
                    for (place, duty) in came.iter().enumerate() {
                        match duty {
                            Duty::End(_) => ended = true,
                            Duty::EndOfData => heard_goodbye = true,
                            Duty::RenewReceive => prop_assert!(rekeys && version == V1_3),
                            Duty::Keep(_) => prop_assert_eq!((role, version), (Client, V1_3)),
                        }
                        prop_assert!(!ended || place + 1 == came.len(), "an end is the last");
                    }
                }
                Step::Data(bytes) if !ended && !heard_goodbye => {
                    ended = ours.received_data(bytes).is_err();
                }
                Step::Send(bytes) if !ended && !said_goodbye => match ours.permit(bytes) {
                    Permit::Bytes(most) => {
                        prop_assert!(most > 0 && most <= bytes);
                        prop_assert_eq!(ours.outgoing(), None);
                        under_one_key += most.div_ceil(16_384);
                        ours.data_sent(most);
                    }
                    Permit::Behind => prop_assert!(ours.outgoing().is_some()),
                    Permit::End(_) => ended = true,
                },
                Step::Sent => {
                    if let Some(outgoing) = ours.outgoing() {
                        prop_assert!(!said_goodbye, "nothing follows a goodbye");
                        under_one_key += 1;
                        if ours.sent() == Sent::RenewTransmit {
                            under_one_key = 0;
                        }
                        said_goodbye = matches!(outgoing, Outgoing::CloseNotify | Outgoing::Alert(_));
                    }
                }
                Step::Close => ours.close(),
                Step::Data(_) | Step::Send(_) => {}
            }
            prop_assert_eq!(ours.has_failed(), ended);
            prop_assert!(under_one_key <= 20 + 8, "no key is worn out");
        }
    }

    #[test]
    fn where_messages_are_cut_changes_nothing(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..8),
        cuts in proptest::collection::vec(1..50_usize, 1..20),
    ) {
        let stream: Vec<u8> = messages
            .iter()
            .flat_map(|body| [&[4, 0, 0, body.len() as u8][..], body].concat())
            .collect();
        let mut whole = duties(Client, V1_3);
        let wanted = whole.received(HANDSHAKE, &stream);
        prop_assert_eq!(wanted.len(), messages.len());
        let mut parts = duties(Client, V1_3);
        let (mut rest, mut came, mut cuts) = (&stream[..], Vec::new(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (part, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            came.extend(parts.received(HANDSHAKE, part));
            rest = behind;
        }
        prop_assert_eq!(came, wanted);
    }
}
