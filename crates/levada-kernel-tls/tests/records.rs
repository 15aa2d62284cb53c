//! What is done about each record, in which order, and when the transport has to be waited for: on a kernel
//! that does what a script says. With a real one, `kernel_tls` of other crates has the same in guests.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use levada_core::{AlertDescription, Ending, Fault};
use levada_kernel_tls::{KeepTickets, Records, Transport};
use levada_sys::kernel_tls::Received;
use levada_tls::{Direction, KernelSession, RecordKeys};

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

const CLOSE_NOTIFY: [u8; 2] = [1, 0];
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];
const KEY_UPDATE_REQUESTED: [u8; 5] = [24, 0, 0, 1, 1];

/// What somebody did to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Did {
    Wrote(Vec<u8>),
    Sent(u8, Vec<u8>),
    Transmits,
    Receives,
    Ended,
}

/// What a read finds.
enum Comes {
    Record(u8, Vec<u8>),
    Fails(i32),
    EndOfFile,
}

/// A kernel of TLS 1.3 that follows a script.
struct Kernel {
    socket: UnixStream,
    comes: VecDeque<Comes>,
    /// How many records have room.
    room: usize,
    /// Whether TCP has all that was sent.
    is_drained: bool,
    takes_keys: bool,
    given: u64,
    paused: usize,
    did: Vec<Did>,
}

impl Kernel {
    fn new(comes: impl IntoIterator<Item = Comes>) -> Self {
        Self {
            socket: UnixStream::pair().unwrap().0,
            comes: comes.into_iter().collect(),
            room: usize::MAX,
            is_drained: true,
            takes_keys: true,
            given: 1000,
            paused: 0,
            did: Vec::new(),
        }
    }

    fn takes(&mut self, bytes: usize) -> io::Result<()> {
        self.room = self.room.checked_sub(1).ok_or(io::ErrorKind::WouldBlock)?;
        if self.is_drained {
            self.given += bytes as u64 + 22;
        }
        Ok(())
    }
}

impl Transport for Kernel {
    fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn pause(&mut self) -> io::Result<()> {
        self.paused += 1;
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn receive(&mut self, room: &mut [u8]) -> io::Result<Received> {
        let (content_type, mut content) = match self.comes.pop_front() {
            None => return Err(io::ErrorKind::WouldBlock.into()),
            Some(Comes::Fails(code)) => return Err(io::Error::from_raw_os_error(code)),
            Some(Comes::EndOfFile) => {
                self.comes.push_front(Comes::EndOfFile);
                return Ok(Received { bytes: 0, content_type: None, is_whole: false });
            }
            Some(Comes::Record(content_type, content)) => (content_type, content),
        };
        let bytes = room.len().min(content.len());
        room[..bytes].copy_from_slice(&content[..bytes]);
        let rest = content.split_off(bytes);
        let is_whole = rest.is_empty();
        if !is_whole {
            self.comes.push_front(Comes::Record(content_type, rest));
        }
        Ok(Received { bytes, content_type: Some(content_type), is_whole })
    }

    fn send(&mut self, content_type: u8, content: &[u8]) -> io::Result<usize> {
        self.takes(content.len())?;
        self.did.push(Did::Sent(content_type, content.to_vec()));
        Ok(content.len())
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.takes(bytes.len())?;
        let count = bytes.len();
        self.did.push(Did::Wrote(bytes));
        Ok(count)
    }

    fn install(&mut self, direction: Direction, _: &RecordKeys) -> io::Result<()> {
        if !self.takes_keys {
            return Err(io::Error::from_raw_os_error(16));
        }
        self.did.push(match direction {
            Direction::Transmit => Did::Transmits,
            Direction::Receive => Did::Receives,
        });
        Ok(())
    }

    fn given(&self) -> io::Result<u64> {
        Ok(self.given)
    }

    fn forget_error(&mut self) {}

    fn end(&mut self) {
        self.did.push(Did::Ended);
    }
}

/// Tickets that came; those that begin with a 0 behind their header are faulty.
#[derive(Default)]
struct Tickets(Vec<Vec<u8>>);

impl KeepTickets for Tickets {
    fn keep(&mut self, ticket: &[u8]) -> Result<(), Ending> {
        if ticket[4] == 0 {
            let cause = Fault::Protocol("a faulty ticket".to_owned());
            let alert = Some(AlertDescription::ILLEGAL_PARAMETER);
            return Err(Ending::FatalError { alert, cause });
        }
        self.0.push(ticket.to_vec());
        Ok(())
    }
}

/// A client's session of TLS_AES_128_GCM_SHA256, whose kernel renews keys.
fn records() -> Records<Tickets> {
    let head = [1, 1, 1, 0x13, 0x01, 0x40, 0x00];
    let bytes = [&head[..], &[0; 8], &[7; 64]].concat();
    Records::new(KernelSession::from_bytes(&bytes).unwrap(), Tickets::default())
}

fn data(text: &str) -> Comes {
    Comes::Record(DATA, text.into())
}

fn sent(content_type: u8, content: &[u8]) -> Did {
    Did::Sent(content_type, content.to_vec())
}

/// What a read gives: data, or why not.
#[track_caller]
fn read(records: &mut Records<Tickets>, kernel: &mut Kernel) -> Result<String, io::Error> {
    let mut room = [0; 64];
    let count = records.read(kernel, &mut room)?;
    Ok(String::from_utf8(room[..count].to_vec()).unwrap())
}

fn waits<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn ending<T: std::fmt::Debug>(result: io::Result<T>) -> Ending {
    Ending::of(&result.unwrap_err()).unwrap().clone()
}

#[test]
fn the_peers_close_notify_is_the_end_and_fin_goes_behind_both_once_tcp_has_all() {
    let mut kernel = Kernel::new([data("last"), Comes::Record(ALERT, CLOSE_NOTIFY.into())]);
    let mut records = records();
    assert_eq!(records.write_vectored(&mut kernel, &[IoSlice::new(b"words")]).unwrap(), 5);
    assert_eq!(read(&mut records, &mut kernel).unwrap(), "last");
    assert_eq!(read(&mut records, &mut kernel).unwrap(), "");
    assert!(!records.is_truncated());
    kernel.is_drained = false;
    assert!(waits(records.finish(&mut kernel)), "the kernel holds it back");
    let goodbye = sent(ALERT, &CLOSE_NOTIFY);
    assert_eq!(kernel.did, [Did::Wrote(b"words".into()), goodbye.clone()]);
    assert!(waits(records.finish(&mut kernel)));
    assert_eq!(kernel.paused, 2);
    kernel.given += 24;
    records.finish(&mut kernel).unwrap();
    records.finish(&mut kernel).unwrap();
    assert_eq!(kernel.did, [Did::Wrote(b"words".into()), goodbye, Did::Ended], "once");
}

#[test]
fn an_end_of_file_without_one_is_truncation() {
    let mut kernel = Kernel::new([data("half"), Comes::EndOfFile]);
    let mut records = records();
    assert_eq!(read(&mut records, &mut kernel).unwrap(), "half");
    assert_eq!(read(&mut records, &mut kernel).unwrap(), "");
    assert!(records.is_truncated());
}

#[test]
fn new_keys_are_installed_and_answered_before_anything_else_goes_either_way() {
    let update = Comes::Record(HANDSHAKE, KEY_UPDATE_REQUESTED.into());
    let mut kernel = Kernel::new([update, data("under new keys")]);
    let mut records = records();
    kernel.room = 0;
    assert_eq!(read(&mut records, &mut kernel).unwrap(), "under new keys");
    assert!(records.has_outgoing(), "the answer has no room, and holds up no reader");
    assert_eq!(kernel.did, [Did::Receives]);
    let write = |records: &mut Records<_>, kernel: &mut Kernel| {
        records.write_vectored(kernel, &[IoSlice::new(b"ours")])
    };
    assert!(waits(write(&mut records, &mut kernel)), "behind the answer");
    kernel.room = 2;
    assert_eq!(write(&mut records, &mut kernel).unwrap(), 4);
    let answer = sent(HANDSHAKE, &KEY_UPDATE);
    let ours = Did::Wrote(b"ours".into());
    assert_eq!(kernel.did, [Did::Receives, answer, Did::Transmits, ours]);
}

#[test]
fn keys_that_the_kernel_does_not_take_end_the_session_in_words() {
    let update = Comes::Record(HANDSHAKE, KEY_UPDATE.into());
    let mut kernel = Kernel::new([update]);
    kernel.takes_keys = false;
    let mut records = records();
    let ended = ending(read(&mut records, &mut kernel));
    let Ending::FatalError { alert: Some(alert), cause: Fault::Internal(why) } = &ended else {
        panic!("{ended}")
    };
    assert!(why.contains("kernel"), "{why}");
    assert_eq!(kernel.did, [sent(ALERT, &[2, alert.0])]);
    assert_eq!(ending(read(&mut records, &mut kernel)), ended, "again and again");
    let written = records.write_vectored(&mut kernel, &[IoSlice::new(b"x")]);
    assert_eq!(ending(written), ended, "and for a writer");
}

#[test]
fn a_forged_record_is_told_to_the_peer_when_there_is_room_and_the_transport_ends() {
    const EBADMSG: i32 = 74;
    let mut kernel = Kernel::new([data("good"), Comes::Fails(EBADMSG)]);
    kernel.room = 0;
    let mut records = records();
    assert_eq!(read(&mut records, &mut kernel).unwrap(), "good");
    let alert = Some(AlertDescription::BAD_RECORD_MAC);
    let ended = Ending::FatalError { alert, cause: Fault::BadRecord };
    assert_eq!(ending(read(&mut records, &mut kernel)), ended);
    assert!(records.has_last_words());
    assert!(waits(records.send_last_words(&mut kernel)));
    kernel.room = 1;
    records.send_last_words(&mut kernel).unwrap();
    records.finish(&mut kernel).unwrap();
    assert_eq!(kernel.did, [sent(ALERT, &[2, 20]), Did::Ended], "no goodbye");
}

#[test]
fn what_the_system_says_is_handed_on_and_the_rest_can_still_be_read() {
    const ECONNRESET: i32 = 104;
    let mut kernel = Kernel::new([Comes::Fails(ECONNRESET), data("rest")]);
    let mut records = records();
    let error = read(&mut records, &mut kernel).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(ECONNRESET));
    assert_eq!(read(&mut records, &mut kernel).unwrap(), "rest");
}

#[test]
fn a_record_that_has_no_room_is_put_together_and_its_tickets_are_kept() {
    let ticket = |mark: u8| [&[4, 0, 0, 100, mark][..], &[5; 99]].concat();
    let two = [ticket(1), ticket(2)].concat();
    let mut kernel = Kernel::new([Comes::Record(HANDSHAKE, two), data("data")]);
    let mut records = records();
    assert_eq!(read(&mut records, &mut kernel).unwrap(), "data");
    assert_eq!(records.keeper().0, [ticket(1), ticket(2)]);

    kernel.comes.push_back(Comes::Record(HANDSHAKE, ticket(0)));
    let Ending::FatalError { alert, .. } = ending(read(&mut records, &mut kernel)) else {
        panic!("a faulty ticket")
    };
    assert_eq!(alert, Some(AlertDescription::ILLEGAL_PARAMETER));
    assert_eq!(kernel.did, [sent(ALERT, &[2, 47])]);
}

#[test]
fn the_peers_alert_ends_both_directions_and_is_not_answered() {
    let mut kernel = Kernel::new([Comes::Record(ALERT, vec![2, 42])]);
    let mut records = records();
    let ended = Ending::FatalAlert(AlertDescription::BAD_CERTIFICATE);
    assert_eq!(ending(read(&mut records, &mut kernel)), ended);
    assert_eq!(ending(records.write_vectored(&mut kernel, &[IoSlice::new(b"x")])), ended);
    records.finish(&mut kernel).unwrap();
    assert_eq!(kernel.did, [Did::Ended]);
}

#[test]
fn it_is_touched_by_what_is_moved() {
    let mut kernel = Kernel::new([]);
    let mut records = records();
    assert!(waits(read(&mut records, &mut kernel)));
    assert_eq!(records.read(&mut kernel, &mut []).unwrap(), 0, "no room is no end");
    assert!(!records.is_touched() && !records.is_truncated());
    records.write_vectored(&mut kernel, &[IoSlice::new(b"x")]).unwrap();
    assert!(records.is_touched());
}
