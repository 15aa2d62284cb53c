//! Gives every message back, as server or as client: how to drive a connection, which does no io,
//! over the blocking sockets of the standard library.
//!
//! ```sh
//! cargo run --example echo -- serve 127.0.0.1:9001
//! cargo run --example echo -- connect 127.0.0.1:9001 /
//! ```
#![expect(clippy::disallowed_types, reason = "blocking sockets have no clock but the system's")]

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use std::{env, thread};

use levada_ws::Role;
use levada_ws::connection::{Config, Event, MAX_CONTROL_BURST, WriteError};
#[cfg(feature = "deflate")]
use levada_ws::deflate::Params;
use levada_ws::handshake::{
    Answer, AnswerError, ClientHandshake, Limits, Offer, Progress, Request, Response,
    ServerHandshake,
};
use levada_ws::message::{Message, MessageConnection, MessageEvent, ReceivedMessage};

/// The largest message that is taken, in bytes.
const LARGEST: u64 = 64 << 20;

/// How long the peer may take to end TCP, so that no reset takes our last bytes away from it.
const LINGER: Duration = Duration::from_secs(2);

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", address] => serve(&TcpListener::bind(address)?),
        ["connect", address, target] => {
            Peer::connect(TcpStream::connect(address)?, address, target)?.echo()
        }
        _ => Err(other("usage: echo serve ADDRESS | echo connect ADDRESS TARGET")),
    }
}

/// Echoes on every connection, each in a thread of its own.
pub(crate) fn serve(listener: &TcpListener) -> io::Result<()> {
    for socket in listener.incoming() {
        let socket = socket?;
        thread::spawn(move || {
            if let Err(error) = Peer::accept(socket).and_then(Peer::echo) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

/// A WebSocket on a blocking socket.
pub(crate) struct Peer {
    socket: TcpStream,
    connection: MessageConnection,
    /// What was read; behind `done` it is not used yet.
    wire: Vec<u8>,
    done: usize,
    /// Masking keys have to be unpredictable, so that no web page can choose what a client's bytes
    /// look like on the wire (RFC 6455 §10.3).
    random: BufReader<File>,
    born: Instant,
}

impl Peer {
    /// Opens a connection as client; see [`Offer::new`] for host and target.
    pub(crate) fn connect(mut socket: TcpStream, host: &str, target: &str) -> io::Result<Self> {
        let mut random = BufReader::new(File::open("/dev/urandom")?);
        let mut nonce = [0; 16];
        random.read_exact(&mut nonce)?;
        let offer = Offer::new(host, target).map_err(other)?;
        #[cfg(feature = "deflate")]
        let offer = offer.with_deflate(Params::default());
        let mut handshake = ClientHandshake::new(offer, nonce, Limits::default());
        socket.write_all(&handshake.request())?;
        let (response, rest) = read_head(&mut socket, |wire| handshake.handle_wire(wire))?;
        Self::open(socket, connection(Role::Client, agreed_by(&response)), rest, random)
    }

    /// Opens a connection as server, whatever the client asks for.
    fn accept(mut socket: TcpStream) -> io::Result<Self> {
        let mut handshake = ServerHandshake::new(Limits::default());
        let mut refusal = None;
        let read = read_head(&mut socket, |wire| {
            handshake.handle_wire(wire).inspect_err(|cause| refusal = Some(cause.to_response()))
        });
        if let Some(response) = refusal {
            socket.write_all(&response)?;
        }
        let (request, rest) = read?;
        let (head, agreed) = accept(&request).map_err(other)?;
        socket.write_all(&head)?;
        let random = BufReader::new(File::open("/dev/urandom")?);
        Self::open(socket, connection(Role::Server, agreed), rest, random)
    }

    fn open(
        socket: TcpStream,
        connection: MessageConnection,
        wire: Vec<u8>,
        random: BufReader<File>,
    ) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self { socket, connection, wire, done: 0, random, born: Instant::now() })
    }

    /// Sends every message back until the connection ends.
    pub(crate) fn echo(mut self) -> io::Result<()> {
        while let Some(message) = self.next()? {
            self.send(&message)?;
        }
        Ok(())
    }

    /// The next message, or `None` at the end of the connection, however it ended.
    pub(crate) fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            let now = self.born.elapsed();
            let unused = &mut self.wire[self.done..];
            let ReceivedMessage { consumed, event } = self.connection.handle_wire(now, unused);
            self.done += consumed;
            let is_over = self.transmit()?;
            match event {
                Some(MessageEvent::Message(message)) => return Ok(Some(message)),
                // What else happened, such as a ping, is answered by now.
                Some(MessageEvent::Connection(_)) if !is_over => {}
                None if !is_over && self.read()? => {}
                _ => return self.leave(),
            }
        }
    }

    /// Sends a message. Once the connection is closing there is nobody to send it to.
    fn send(&mut self, message: &Message) -> io::Result<()> {
        let mut out = Vec::new();
        let keys = &mut keys(&mut self.random);
        let encoded = match message {
            Message::Text(text) => self.connection.encode_text(text, &mut out, keys),
            Message::Binary(bytes) => self.connection.encode_binary(bytes, &mut out, keys),
        };
        match encoded {
            Ok(()) => self.socket.write_all(&out),
            Err(WriteError::NotConnected) => Ok(()),
            Err(error) => Err(other(error)),
        }
    }

    /// Sends the control frames that wait. Whether the connection is over with it.
    fn transmit(&mut self) -> io::Result<bool> {
        let mut burst = [0; MAX_CONTROL_BURST];
        let keys = &mut keys(&mut self.random);
        let len = self.connection.connection().poll_transmit(&mut burst, keys);
        self.socket.write_all(&burst[..len])?;
        Ok(matches!(self.connection.connection().handle_flushed(), Some(Event::Closed(_))))
    }

    /// Waits for bytes, or for a deadline. Whether the connection goes on.
    fn read(&mut self) -> io::Result<bool> {
        let connection = self.connection.connection();
        let wait = connection.poll_timeout().map(|at| at.saturating_sub(self.born.elapsed()));
        self.socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
        self.wire.resize(64 << 10, 0);
        self.done = 0;
        let read = self.socket.read(&mut self.wire);
        self.wire.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Ok(connection.handle_eof().is_none()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Ok(connection.handle_timeout(self.born.elapsed()).is_none())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Ends our direction and reads until the peer ends the other one.
    fn leave(&mut self) -> io::Result<Option<Message>> {
        // The peer may have gone already, which is as good.
        if self.socket.shutdown(Shutdown::Write).is_ok() {
            self.socket.set_read_timeout(Some(LINGER))?;
            let _ = io::copy(&mut self.socket, &mut io::sink());
        }
        Ok(None)
    }
}

/// How messages are compressed, where they are.
#[cfg(feature = "deflate")]
type Agreed = Option<Params>;
/// Without the feature nothing is ever compressed.
#[cfg(not(feature = "deflate"))]
type Agreed = Option<std::convert::Infallible>;

/// The answer that lets a client in, with compression if it offers that.
fn accept(request: &Request) -> Result<(Vec<u8>, Agreed), AnswerError> {
    #[cfg(feature = "deflate")]
    let (deflate, answer) = {
        let deflate = request.deflate(Params::default());
        (deflate, Answer { deflate, ..Answer::default() })
    };
    #[cfg(not(feature = "deflate"))]
    let (deflate, answer) = (None, Answer::default());
    Ok((request.accept(&answer)?, deflate))
}

#[cfg_attr(
    not(feature = "deflate"),
    expect(unused_variables, reason = "there is nothing to agree on")
)]
fn agreed_by(response: &Response) -> Agreed {
    #[cfg(feature = "deflate")]
    return response.deflate();
    #[cfg(not(feature = "deflate"))]
    None
}

fn connection(role: Role, agreed: Agreed) -> MessageConnection {
    let (config, now) = (Config::default(), Duration::ZERO);
    match agreed {
        #[cfg(feature = "deflate")]
        Some(agreed) => MessageConnection::with_deflate(role, config, LARGEST, agreed, now),
        #[cfg(not(feature = "deflate"))]
        Some(never) => match never {},
        None => MessageConnection::new(role, config, LARGEST, now),
    }
}

/// Reads a head, and gives with it what was read behind.
fn read_head<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    socket: &mut TcpStream,
    mut take: impl FnMut(&[u8]) -> Result<Progress<T>, E>,
) -> io::Result<(T, Vec<u8>)> {
    let mut room = [0; 1024];
    loop {
        let count = socket.read(&mut room)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let progress = take(&room[..count]).map_err(other)?;
        if let Some(head) = progress.head {
            return Ok((head, room[progress.consumed..count].to_vec()));
        }
    }
}

fn keys(random: &mut impl Read) -> impl FnMut() -> [u8; 4] {
    || {
        let mut key = [0; 4];
        random.read_exact(&mut key).expect("the system has randomness");
        key
    }
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
