//! Which routes may share a listener: where a ClientHello tells their clients apart, or the path that a
//! WebSocket is asked for at.

use levada_address::{Deflate, Endpoint, ListenAddress, ListenWebSocket};

use crate::config::Route;
use crate::reader::Reader;

impl Reader<'_> {
    /// What no route can see by itself.
    pub(crate) fn together(&mut self, routes: &[Route]) {
        for (index, route) in routes.iter().enumerate() {
            if route.when.is_some()
                && let Some((of, hint)) = takes_everybody(route)
            {
                let what = format!("a listener {of} takes every client");
                self.fault(route.listen.place.clone(), what, format!("leave `when` away: {hint}"));
            }
            let before: Vec<_> =
                routes[..index].iter().filter(|other| other.shares_listener(route)).collect();
            if let Some((what, hint)) = cannot_share(&before, route) {
                self.fault(route.listen.place.clone(), what, hint);
            }
        }
    }
}

/// Why a route cannot share its listener with those that stand before it, if there are any.
fn cannot_share(before: &[&Route], route: &Route) -> Option<(String, String)> {
    let first = before.first()?;
    let told = |what: &str, hint: &str| Some((what.to_owned(), hint.to_owned()));
    let web_sockets: Option<Vec<_>> = before.iter().map(|other| web_socket(other)).collect();
    let both_open_web_sockets = web_sockets.zip(web_socket(route));
    if let Some((theirs, ours)) = &both_open_web_sockets {
        if theirs.iter().any(|their| their.path.is_none()) {
            let hint = "give that one a path, as in `ws://:80/path`, or let it stand last";
            return told("another route takes every path there already", hint);
        }
        if theirs.iter().any(|their| their.path == ours.path) {
            let hint = "choose another path for one of them";
            return told("another route has this path there already", hint);
        }
    } else {
        let endpoint = route.listen.address.endpoint();
        if before.iter().any(|other| other.when.is_none()) || *endpoint == Endpoint::Stdio {
            let hint = match endpoint {
                Endpoint::Stdio => "there is only one standard input",
                _ => {
                    "choose another port or path for one of them, or say with \
                     `when = { sni = [\"NAME\"] }` which clients the first one is for"
                }
            };
            return told("another route listens there already", hint);
        }
        let alone = before.iter().copied().chain([route]).find_map(takes_everybody);
        if let Some((of, hint)) = alone {
            let hint = format!("choose another port for it: {hint}");
            return Some((format!("a listener {of} cannot be shared so"), hint));
        }
    }
    if shared(first) != shared(route) {
        let hint = match both_open_web_sockets {
            Some(_) => {
                "but for the path, `origin`, `subprotocol` and `deflate`, all that is said of listening \
                 is the listener's: say the same in each"
            }
            None => "deadlines and `family` are the listener's: say the same in each",
        };
        return told("the first route of this listener has others", hint);
    }
    None
}

/// What the routes of one listener have in common.
fn shared(route: &Route) -> Option<ListenAddress> {
    let mut listening = route.listen.address.for_listening().ok()?;
    match &mut listening.web_socket {
        // The request tells clients apart, when TLS is up.
        Some(web_socket) => {
            web_socket.path = None;
            web_socket.origins = None;
            web_socket.subprotocols = Vec::new();
            web_socket.deflate = Deflate::Off;
        }
        // The ClientHello does.
        None => listening.tls = None,
    }
    Some(listening)
}

fn web_socket(route: &Route) -> Option<ListenWebSocket> {
    route.listen.address.for_listening().ok()?.web_socket
}

/// Why no ClientHello can tell the clients of this listener apart, where none can.
fn takes_everybody(route: &Route) -> Option<(&'static str, &'static str)> {
    let listening = route.listen.address.for_listening().ok()?;
    if listening.pool.is_some() {
        Some(("with a pool", "the pool reads the ClientHello itself"))
    } else if listening.web_socket.is_some() {
        Some(("of WebSockets", "its clients are told apart by their paths, as in `ws://:80/path`"))
    } else {
        None
    }
}
