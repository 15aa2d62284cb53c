//! The states of a stream, as one sees them from outside at every moment of its life.

use std::future::{Future, poll_fn};
use std::pin::pin;

use levada::{Address, Ended, Event, Role, Socket, State};
use tokio::net::TcpListener;

use crate::ours::Ours;
use crate::peer::Peer;
use crate::wire::Wire;
use crate::world::{Layer, Moved, Setup, patient, session};

/// What a program needs to know of a stream.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Connecting,
    Established,
    Disconnected(Box<Ended>),
}

/// What is seen now: one of the three, whichever way one asks.
fn look(ours: &Ours) -> Seen {
    let state = ours.state();
    match (state, ours.ended()) {
        (State::Disconnected, Some(ended)) => Seen::Disconnected(Box::new(ended)),
        (State::Established | State::Closing, None) => Seen::Established,
        (state, None) if state.is_before_established() => Seen::Connecting,
        contradiction => panic!("{contradiction:?}"),
    }
}

/// What is seen behind every step of `life`, without repetitions.
async fn watched<T>(ours: &Ours, life: impl Future<Output = T>) -> (Vec<Seen>, T) {
    let mut life = pin!(life);
    let mut seen = vec![look(ours)];
    let result = poll_fn(|cx| {
        let polled = life.as_mut().poll(cx);
        let now = look(ours);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        polled
    });
    let result = result.await;
    (seen, result)
}

/// T02: connecting, established, disconnected for a reason that stays: one of them, and never back.
#[tokio::test]
async fn t02_a_stream_is_connecting_or_established_or_disconnected_for_a_reason() {
    for setup in Setup::all().filter(|setup| setup.layer.is_tls()) {
        // It ends well, is cut off in the handshake, is given up in the handshake.
        for life in 0..3 {
            let (socket, mut peer) = setup.start(patient()).await;
            let ours = Ours::new(socket);
            let us = async {
                if life == 2 {
                    ours.shutdown().await.unwrap();
                }
                // It resolves, with or without an error, when it is known whether it is up.
                let _ = ours.flush().await;
                ours.go_on();
                let _ = ours.read_all().await;
                // There is nothing to say goodbye to where the peer was cut off.
                let _ = ours.shutdown().await;
                ours.closed().await
            };
            let them = async {
                match life {
                    0 => {
                        peer.handshake().await;
                        ours.may_go_on().await;
                        peer.say_goodbye().await;
                    }
                    1 => peer.fin().await,
                    _ => {}
                }
                peer.take_all().await;
            };
            // The peer reads until our side has let go of the wire.
            let us = async {
                let (seen, ended) = watched(&ours, us).await;
                let again = look(&ours);
                assert_eq!(seen.last(), Some(&again), "the reason stays");
                ours.drop_stream();
                (seen, ended)
            };
            let ((seen, ended), ()) = tokio::join!(us, them);
            let (code, was_established) =
                [("finished", true), ("connectFailed", false), ("connectFinalized", false)][life];
            assert_eq!(ended.code(), code, "{setup:?}");
            let mut expected = vec![Seen::Connecting, Seen::Established];
            expected.truncate(1 + usize::from(was_established));
            expected.push(Seen::Disconnected(Box::new(ended)));
            assert_eq!(seen, expected, "{setup:?}");
        }
    }
}

/// T03: the states inside, in their order, each told once; those before the stream is established are
/// all `Connecting` from outside.
#[tokio::test]
async fn t03_the_states_of_a_life_are_told_in_their_order() {
    for layer in Layer::TLS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://localhost:{}", listener.local_addr().unwrap().port());
        let to = address.parse::<Address>().unwrap().for_connecting().unwrap();
        let socket = Socket::dial(to.endpoint.clone(), session(layer, Role::Client), patient());
        let ours = Ours::new(socket);
        let us = async {
            ours.flush().await.unwrap();
            ours.shutdown().await.unwrap();
            assert!(ours.read_all().await.error.is_none());
            ours.closed().await
        };
        let them = async {
            let wire = Wire::Tcp(listener.accept().await.unwrap().0);
            let setup = Setup { moved: Moved::Tcp, layer, role: Role::Client };
            let mut peer = Peer::new(wire, session(layer, Role::Server), setup);
            peer.handshake().await;
            peer.take_until(Peer::has_goodbye).await;
            peer.say_goodbye().await;
        };
        let ((seen, ended), ()) = tokio::join!(watched(&ours, us), them);
        assert_eq!(ended.code(), "finished");
        let last = Seen::Disconnected(Box::new(ended));
        assert_eq!(seen, [Seen::Connecting, Seen::Established, last], "{layer:?}");

        let told = ours.told();
        let states: Vec<_> = told
            .iter()
            .filter_map(|event| if let Event::State(state) = event { Some(*state) } else { None })
            .collect();
        let (before, after): (Vec<_>, Vec<_>) =
            states.into_iter().partition(|state| state.is_before_established());
        let connecting =
            [State::HostLookup, State::Connecting, State::Connected, State::Handshaking];
        assert_eq!(before, connecting);
        assert_eq!(after, [State::Established, State::Closing]);
        assert!(matches!(told.last(), Some(Event::Ended(_))), "{told:?}");
    }
}
