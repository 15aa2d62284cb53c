//! Two connections, one of each role, joined by two wires that hold what is under way.

use levada_ws::connection::{Config, Connection, Event, MAX_CONTROL_BURST, WriteError};
use levada_ws::{CloseCode, CloseFrame, Role};

use crate::keys::{NOW, keys};

pub(crate) fn close_frame(code: u16, reason: &str) -> CloseFrame {
    let code = CloseCode::new(code).expect("it may go on the wire");
    CloseFrame::new(code, reason).expect("it fits")
}

/// One end with all that came out of it.
pub(crate) struct End {
    pub(crate) connection: Connection,
    /// What the peer has sent and this end has not read.
    pub(crate) incoming: Vec<u8>,
    /// What this end has sent, all of it.
    pub(crate) sent: Vec<u8>,
    /// The payload that this end has read.
    pub(crate) data: Vec<u8>,
    /// Every other event, in order, each with the length of `data` at its time.
    pub(crate) events: Vec<(usize, Event)>,
}

pub(crate) struct Pair {
    client: End,
    server: End,
}

impl Pair {
    pub(crate) fn new(config: Config) -> Self {
        let end = |role| End {
            connection: Connection::new(role, config, NOW),
            incoming: Vec::new(),
            sent: Vec::new(),
            data: Vec::new(),
            events: Vec::new(),
        };
        Self { client: end(Role::Client), server: end(Role::Server) }
    }

    pub(crate) fn end(&mut self, role: Role) -> &mut End {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    /// What `role` sends goes under way.
    pub(crate) fn send(&mut self, role: Role, bytes: &[u8]) {
        self.end(role).sent.extend_from_slice(bytes);
        self.end(role.peer()).incoming.extend_from_slice(bytes);
    }

    /// Sends the queued control frames of `role`.
    pub(crate) fn transmit(&mut self, role: Role) {
        let mut out = [0; MAX_CONTROL_BURST];
        let len = self.end(role).connection.poll_transmit(&mut out, &mut keys());
        self.send(role, &out[..len]);
    }

    /// Writes all of `data` through a buffer of `room` bytes.
    pub(crate) fn write(
        &mut self,
        role: Role,
        mut data: &[u8],
        room: usize,
    ) -> Result<(), WriteError> {
        let (mut out, mut keys) = (vec![0; room], keys());
        while !data.is_empty() {
            let encoded = self.end(role).connection.encode(data, &mut out, &mut keys)?;
            assert!(encoded.written > 0, "a buffer of {room} bytes must take something");
            self.send(role, &out[..encoded.written]);
            data = &data[encoded.taken..];
        }
        Ok(())
    }

    pub(crate) fn close(&mut self, role: Role, code: u16) -> bool {
        let frame = close_frame(code, "");
        let goes = self.end(role).connection.close(NOW, frame);
        self.transmit(role);
        goes
    }

    /// Lets `role` read up to `len` of the bytes under way; it answers after each event.
    pub(crate) fn read(&mut self, role: Role, len: usize) {
        let end = self.end(role);
        let len = len.min(end.incoming.len());
        let mut wire: Vec<u8> = end.incoming.drain(..len).collect();
        let mut rest = &mut wire[..];
        loop {
            let end = self.end(role);
            let received = end.connection.handle_wire(NOW, rest);
            match received.event {
                None => return,
                Some(Event::Data(chunk)) => end.data.extend_from_slice(&rest[chunk.payload]),
                Some(event) => end.events.push((end.data.len(), event)),
            }
            self.transmit(role);
            rest = &mut rest[received.consumed..];
        }
    }

    /// Delivers everything; then the carrier ends, the server's side first if its life is over.
    pub(crate) fn settle(&mut self) {
        while !self.client.incoming.is_empty() || !self.server.incoming.is_empty() {
            self.read(Role::Client, usize::MAX);
            self.read(Role::Server, usize::MAX);
        }
        for role in [Role::Server, Role::Client] {
            let end = self.end(role);
            let flushed = end.connection.handle_flushed();
            let event = flushed.or_else(|| end.connection.handle_eof());
            end.events.extend(event.map(|event| (end.data.len(), event)));
        }
    }

    pub(crate) fn events(&mut self, role: Role) -> Vec<Event> {
        self.end(role).events.iter().map(|(_, event)| event.clone()).collect()
    }
}
