//! The log: one structured line for each thing worth a line, on standard error.
//!
//! A thread of its own writes it, so that a reader who stalls stops no stream. What does not fit into
//! its queue is lost, and counted.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use levada::{Ended, Ending, Endpoint};
use serde::Serialize;
use time::OffsetDateTime;

use crate::danger::Danger;

/// Lines that wait for a slow reader at most.
const QUEUE: usize = 4096;

/// Bytes that are written at once, but for the last line of them.
const GATHERED: usize = 64 * 1024;

/// How long lines gather once all that waited are written.
const GATHERING: Duration = Duration::from_millis(5);

/// How long the last lines may take to go out when the command ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `TIME level event key=value …`
    Text,
    /// One JSON object.
    Json,
}

/// One line of the log.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Record<'a> {
    /// Streams can come now.
    Listening { on: &'a str, to: &'a str },
    /// An option takes security away.
    Danger(&'a Danger),
    /// Peers will not like an identity of ours.
    Identity { of: &'a str, warning: &'a str },
    /// What the addresses name was read again, and holds from the next handshake on.
    Reloaded,
    /// It cannot be used: all goes on as it was.
    NotReloaded { error: &'a str },
    /// A pair of streams has ended.
    Ended(EndedPair<'a>),
    /// A client came for a page of the demo, in place of a stream.
    Page { stream: u64, path: &'a str, on: &'a str, peer: Option<&'a Endpoint> },
    /// As many streams as there may be: no more are taken for now.
    Full { connections: usize },
    /// A listener takes no more streams, and that for ever.
    ListenerBroken { on: &'a str, error: &'a str },
    /// A signal came: nothing is listened at any more.
    Draining { signal: &'a str, streams: u64, deadline_ms: Option<u64> },
    /// A pool can be asked now.
    PoolListening { at: &'a str },
    /// A right that the process has given up, or what stood in the way.
    Hardened { right: &'a str, state: &'a str },
    /// What a pool has to tell, in words.
    Pool {
        message: &'a str,
        #[serde(skip)]
        warning: bool,
    },
    /// Every stream has ended, but for those that were cut.
    Stopped { cut: u64 },
}

/// How a client's stream and the one to its target ended.
#[derive(Debug, Serialize)]
pub(crate) struct EndedPair<'a> {
    /// The number of the pair in this process, from 1 on.
    pub(crate) stream: u64,
    /// Where the client came to.
    pub(crate) on: &'a str,
    /// Where it was joined to; `None` where no route was for it.
    pub(crate) to: Option<&'a str>,
    /// Whether the end of the command cut it off.
    pub(crate) cut: bool,
    pub(crate) client: &'a Ended,
    /// `None` where the client ended before the target was dialled.
    pub(crate) target: Option<&'a Ended>,
}

impl Record<'_> {
    fn level(&self) -> &'static str {
        let good = |ended: &Ended| ended.is_clean();
        match self {
            Self::Listening { .. }
            | Self::Reloaded
            | Self::PoolListening { .. }
            | Self::Hardened { .. }
            | Self::Pool { warning: false, .. }
            | Self::Page { .. }
            | Self::Draining { .. }
            | Self::Stopped { cut: 0 } => "info",
            Self::Ended(pair) if good(pair.client) && pair.target.is_none_or(good) => "info",
            Self::ListenerBroken { .. } | Self::NotReloaded { .. } => "error",
            Self::Danger(_)
            | Self::Identity { .. }
            | Self::Pool { .. }
            | Self::Ended(_)
            | Self::Full { .. }
            | Self::Stopped { .. } => "warn",
        }
    }

    fn text(&self, line: &mut Line) {
        match self {
            Self::Listening { on, to } => line.word("listening").pair("on", on).pair("to", to),
            Self::Danger(danger) => line
                .word("danger")
                .pair("address", danger.address())
                .pair("option", danger.option())
                .pair("message", danger.message()),
            Self::Identity { of, warning } => {
                line.word("identity").pair("of", of).pair("warning", warning)
            }
            Self::Reloaded => line.word("reloaded"),
            Self::NotReloaded { error } => line.word("not_reloaded").pair("error", error),
            Self::Ended(pair) => pair.text(line.word("ended")),
            Self::Page { stream, path, on, peer } => {
                let line = line.word("page").pair("stream", stream).pair("path", path);
                let line = match peer {
                    Some(peer) => line.pair("peer", peer),
                    None => line,
                };
                line.pair("on", on)
            }
            Self::Full { connections } => line.word("full").pair("connections", connections),
            Self::ListenerBroken { on, error } => {
                line.word("listener_broken").pair("on", on).pair("error", error)
            }
            Self::Draining { signal, streams, deadline_ms } => {
                let line = line.word("draining").pair("signal", signal).pair("streams", streams);
                match deadline_ms {
                    Some(time) => line.pair("deadline_ms", time),
                    None => line,
                }
            }
            Self::PoolListening { at } => line.word("pool_listening").pair("at", at),
            Self::Hardened { right, state } => {
                line.word("hardened").pair("right", right).pair("state", state)
            }
            Self::Pool { message, .. } => line.word("pool").pair("message", message),
            Self::Stopped { cut } => line.word("stopped").pair("cut", cut),
        };
    }
}

impl EndedPair<'_> {
    fn text<'l>(&self, line: &'l mut Line) -> &'l mut Line {
        line.pair("stream", self.stream).pair("client", self.client.code());
        line.pair("target", self.target.map_or("none", Ended::code));
        if self.cut {
            line.pair("cut", true);
        }
        let facts = &self.client.facts;
        if let Some(peer) = &facts.peer {
            line.pair("peer", peer);
        }
        line.pair("on", self.on).pair("to", self.to.unwrap_or("none"));
        if let Some(tls) = &facts.tls {
            let words = [("tls", tls.version), ("sni", tls.sni.as_deref())];
            for (key, value) in words.into_iter().chain([("alpn", tls.alpn.as_deref())]) {
                if let Some(value) = value {
                    line.pair(key, value);
                }
            }
        }
        if let Some(kernel_tls) = &facts.kernel_tls {
            line.pair("kernel_tls", kernel_tls.code());
        }
        if let Some(extension) = facts.web_socket.as_ref().and_then(|ws| ws.extension.as_ref()) {
            line.pair("extension", extension);
        }
        line.pair("read", facts.bytes.read).pair("written", facts.bytes.written);
        if let Some(time) = facts.times.total {
            line.pair("ms", format_args!("{:.1}", time.as_secs_f64() * 1000.0));
        }
        // A side that we only dropped has no reason of its own.
        let has_reason = |ended: &&Ended| !ended.is_clean() && ended.ending != Ending::Aborted;
        for (side, ended) in [("client", Some(self.client)), ("target", self.target)] {
            if let Some(ended) = ended.filter(has_reason) {
                line.pair(format_args!("{side}.cause"), ended.ending.cause_code());
                line.pair(format_args!("{side}.message"), &ended.ending);
                for fault in ended.other_faults() {
                    line.pair(format_args!("{side}.certificate"), fault);
                }
                line.pair(format_args!("{side}.hint"), ended.hint());
            }
        }
        line
    }
}

/// Room for a line as most are.
const LINE: usize = 512;

/// A line of words and pairs, with quotes where a value needs them.
#[derive(Debug)]
struct Line {
    text: String,
    /// The value that is being written: what it needs is known when it is whole.
    value: String,
}

impl Line {
    fn begin(now: OffsetDateTime, level: &str) -> Self {
        let mut text = String::with_capacity(LINE);
        // Writing to a String cannot fail.
        let _ = write!(text, "{} {level} ", Rfc3339(now));
        Self { text, value: String::new() }
    }

    fn word(&mut self, word: &str) -> &mut Self {
        self.text.push_str(word);
        self
    }

    fn pair(&mut self, key: impl fmt::Display, value: impl fmt::Display) -> &mut Self {
        let Self { text, value: whole } = self;
        whole.clear();
        // Writing to a String cannot fail.
        let _ = write!(text, " {key}=");
        let _ = write!(whole, "{value}");
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"';
        if !whole.is_empty() && whole.chars().all(plain) {
            text.push_str(whole);
        } else {
            push_quoted(whole, text);
        }
        self
    }
}

/// Puts a value between quotes: nothing in it ends them, or the line, or steers a terminal.
fn push_quoted(value: &str, text: &mut String) {
    text.push('"');
    for c in value.chars() {
        if c == '"' || c == '\\' || c.is_control() {
            text.extend(c.escape_debug());
        } else {
            text.push(c);
        }
    }
    text.push('"');
}

/// Where lines are told. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    format: Format,
    lines: SyncSender<String>,
    lost: Arc<AtomicU64>,
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    finished: Receiver<()>,
}

impl Log {
    /// Starts to write to standard error.
    pub(crate) fn start(format: Format) -> io::Result<(Self, Writer)> {
        let (lines, waiting) = sync_channel::<String>(QUEUE);
        let (last, finished) = sync_channel(1);
        std::thread::Builder::new().name("levada-log".to_owned()).spawn(move || {
            write_out(&waiting);
            let _ = last.send(());
        })?;
        Ok((Self { format, lines, lost: Arc::default() }, Writer { finished }))
    }

    /// Tells one thing. Never waits.
    pub(crate) fn tell(&self, record: &Record<'_>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let line = line(self.format, OffsetDateTime::now_utc(), record, lost);
        if self.lines.try_send(line).is_err() {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }
}

/// Writes lines until nobody can tell any more.
#[expect(clippy::disallowed_methods, reason = "this thread is the log's own")]
fn write_out(waiting: &Receiver<String>) {
    while let Ok(mut lines) = waiting.recv() {
        while lines.len() < GATHERED
            && let Ok(line) = waiting.try_recv()
        {
            lines.push_str(&line);
        }
        // Nobody reads: there is nobody to tell.
        let _ = io::stderr().write_all(lines.as_bytes());
        // Who tells something wakes this thread only if it waits: under load that would be a twentieth
        // of what a short stream takes.
        if lines.len() < GATHERED {
            std::thread::sleep(GATHERING);
        }
    }
}

impl Writer {
    /// Waits until all that was told is written, but not for a reader who stalls. Every [`Log`] has to
    /// be dropped before.
    pub(crate) fn finish(self) {
        let _ = self.finished.recv_timeout(PATIENCE);
    }
}

#[derive(Serialize)]
struct JsonLine<'a> {
    time: Rfc3339,
    level: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    lost_lines: u64,
    #[serde(flatten)]
    record: &'a Record<'a>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn line(format: Format, now: OffsetDateTime, record: &Record<'_>, lost: u64) -> String {
    let level = record.level();
    let mut line = match format {
        Format::Text => {
            let mut line = Line::begin(now, level);
            record.text(&mut line);
            if lost > 0 {
                line.pair("lost_lines", lost);
            }
            line.text
        }
        Format::Json => {
            let line = JsonLine { time: Rfc3339(now), level, lost_lines: lost, record };
            // Every part of a record is a struct, a string or a number.
            serde_json::to_string(&line).unwrap_or_default()
        }
    };
    line.push('\n');
    line
}

/// The time in UTC, with milliseconds (RFC 3339).
pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    Rfc3339(time).to_string()
}

struct Rfc3339(OffsetDateTime);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(time) = self;
        let (hour, minute, second, milli) = time.time().as_hms_milli();
        write!(f, "{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day())?;
        write!(f, "T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada::{Facts, OsError, State};

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn ended(ending: Ending, phase: State) -> Ended {
        let peer = Some(Endpoint::Ip(([127, 0, 0, 1], 5000).into()));
        Ended { ending, phase, facts: Arc::new(Facts { peer, ..Facts::default() }) }
    }

    #[test]
    fn a_bad_pair_is_told_with_both_ends_and_what_to_do() {
        let refused = OsError::from(&io::Error::from_raw_os_error(111));
        let failed = Ending::SocketError(refused).before_established();
        let (client, target) =
            (ended(Ending::Aborted, State::Established), ended(failed, State::Connecting));
        let record = Record::Ended(EndedPair {
            stream: 7,
            on: "tcp://*:1",
            to: Some("tcp://b:2"),
            cut: false,
            client: &client,
            target: Some(&target),
        });
        let text = line(Format::Text, NOW, &record, 0);
        assert!(
            text.starts_with(
                "1970-01-01T00:00:00.000Z warn ended stream=7 client=aborted target=connectFailed \
                 peer=127.0.0.1:5000 on=tcp://*:1 to=tcp://b:2 read=0 written=0 target.cause="
            ),
            "{text}"
        );
        assert!(text.contains(".cause=ECONNREFUSED target.message=\"never established: "));
        assert!(text.ends_with("check address and port\"\n"), "{text}");

        let json = line(Format::Json, NOW, &record, 3);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["event"], "ended");
        assert_eq!(json["level"], "warn");
        assert_eq!(json["lost_lines"], 3);
        assert_eq!(json["client"]["code"], "aborted");
        assert_eq!(json["target"]["cause"], "ECONNREFUSED");
        assert_eq!(json["target"]["facts"]["peer"], "127.0.0.1:5000");
    }

    #[test]
    fn a_clean_pair_is_one_short_line() {
        let clean = ended(Ending::Finished, State::Closing);
        let record = Record::Ended(EndedPair {
            stream: 1,
            on: "unix:a b",
            to: Some("echo:"),
            cut: false,
            client: &clean,
            target: Some(&clean),
        });
        assert_eq!(
            line(Format::Text, NOW, &record, 0),
            "1970-01-01T00:00:00.000Z info ended stream=1 client=finished target=finished \
             peer=127.0.0.1:5000 on=\"unix:a b\" to=echo: read=0 written=0\n"
        );
    }

    #[test]
    fn no_value_can_break_its_line() {
        let text = line(
            Format::Text,
            NOW,
            &Record::ListenerBroken { on: "", error: "it's \"b\"\nc\u{1b}[31m" },
            0,
        );
        assert_eq!(
            text.split_once("listener_broken").unwrap().1,
            " on=\"\" error=\"it's \\\"b\\\"\\nc\\u{1b}[31m\"\n"
        );
    }
}
