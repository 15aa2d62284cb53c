//! What a configuration says.

use std::ops::Range;
use std::path::{Path, PathBuf};

use levada_address::{Address, Endpoint, TimeLimit};

use crate::when::When;

/// What a configuration file says; `None` where it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The routes, at least one, in the order of the file.
    pub routes: Vec<Route>,
    /// How long streams may go on after the first signal.
    pub drain: Option<TimeLimit>,
    /// How the log is written.
    pub log: Option<LogFormat>,
    /// Streams at once, from 1.
    pub max_connections: Option<usize>,
    /// Streams at once of one client for each listener, from 1.
    pub max_connections_per_address: Option<usize>,
    /// Handshakes at once for each listener, of TLS and WebSockets, from 1.
    pub max_handshakes: Option<usize>,
}

/// Whoever comes to `listen` is joined to `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which clients of the listener it is for; `None`: every one that no route before it is for.
    pub when: Option<When>,
    /// Where streams come from: an address that is good for listening. Routes with the same one share
    /// it: they tell their clients apart by `when` and speak TLS each in its own way, or, where these
    /// open WebSockets, by their paths.
    pub listen: End,
    /// Where they go: an address that is good for connecting.
    pub to: End,
}

impl Route {
    /// Whether both come from one listener.
    pub fn shares_listener(&self, other: &Self) -> bool {
        let endpoint = self.listen.address.endpoint();
        let any_port = matches!(endpoint, Endpoint::Tcp { port: 0, .. });
        !any_port && other.listen.address.endpoint() == endpoint
    }
}

/// One end of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The address with all its words, its paths as seen from the folder of the file.
    pub address: Address,
    /// Where it stands in the text, in bytes.
    pub place: Range<usize>,
    pub(crate) files: Vec<(PathBuf, Range<usize>)>,
}

impl End {
    /// Where in the text `file` is named, in bytes; the place of the address if it is not.
    pub fn place_of(&self, file: &Path) -> Range<usize> {
        let found = self.files.iter().find(|(path, _)| path == file);
        found.map_or(&self.place, |(_, place)| place).clone()
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}
