//! PAGE, a private command: texts about sessions, one page at a time.
//!
//! V2 has no room for what a session agreed on or how it ended. A client asks for a page of a
//! [`Document`] from an offset on, and goes on from there until it has the whole.

use core::error::Error;
use core::fmt;

use crate::command::LocalCommand;
use crate::layout::BODY_SIZE;
use crate::packet::Message;
use crate::secret::{ControlKey, Secret};

/// A page of a text about sessions: asked for with `bytes` empty, answered with as many as fit; or sent to
/// the pool, for the texts that it is told.
///
/// A pool puts the text together when it is asked for offset 0, and keeps it for the control
/// connection until it is asked for offset 0 again, so that the pages belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The session that it is about, as its STARTTLS request had it; not looked at for
    /// [`Document::Sessions`].
    pub control_key: ControlKey,
    /// Which text.
    pub document: Document,
    /// Where in the text the page begins, in bytes.
    pub offset: u32,
    /// How long the whole text is, in bytes; 0 in a request.
    pub total: u32,
    len: u16,
    bytes: [u8; Self::MAX_LEN],
}

/// Which text about sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Document {
    /// Every session that the asking user owns, or all for the pool's own user and root: one JSON
    /// object a line.
    Sessions,
    /// What is known so far about one session of the asking connection: a
    /// [`Report`](crate::Report). A pool keeps it after the session's end, and after a handshake
    /// that failed, until the control connection closes or 64 newer ones have ended there.
    Report,
    /// A session ticket that an application has got whose session was handed back to it: the message
    /// NewSessionTicket, its header included, up to 16 KiB. It is sent to the pool, page by page, each
    /// answered with SUCCESS.
    Ticket,
    /// How a session ended that was handed back: a [`Report`](crate::Report) by its application, sent as a
    /// ticket is. The pool keeps the session no longer then.
    Farewell,
    /// The certificates that the peer of a session of the asking connection has shown: a
    /// [`Chain`](crate::Chain), empty where it has shown none. A pool has it while the session lives.
    PeerChain,
    /// Another number.
    Unknown(u32),
}

impl Document {
    const fn from_wire(number: u32) -> Self {
        match number {
            1 => Self::Sessions,
            2 => Self::Report,
            3 => Self::Ticket,
            4 => Self::Farewell,
            5 => Self::PeerChain,
            _ => Self::Unknown(number),
        }
    }

    const fn to_wire(self) -> u32 {
        match self {
            Self::Sessions => 1,
            Self::Report => 2,
            Self::Ticket => 3,
            Self::Farewell => 4,
            Self::PeerChain => 5,
            Self::Unknown(number) => number,
        }
    }
}

impl Page {
    /// The number of the command.
    pub const COMMAND: LocalCommand = LocalCommand::new(0x4c56_0001);

    /// The most bytes on one page.
    pub const MAX_LEN: usize = 350;

    /// A request for the page of `document` that begins at `offset`.
    pub const fn request(document: Document, control_key: ControlKey, offset: u32) -> Self {
        Self { control_key, document, offset, total: 0, len: 0, bytes: [0; Self::MAX_LEN] }
    }

    /// The page that this request is for, of the whole `text`: empty behind its end. A text of more than
    /// 4 GiB is cut there.
    #[must_use]
    pub fn reply(&self, text: &[u8]) -> Self {
        let total = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let rest = text.get(self.offset as usize..).unwrap_or_default();
        let page = &rest[..rest.len().min(Self::MAX_LEN)];
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..page.len()].copy_from_slice(page);
        Self { total, len: page.len() as u16, bytes, ..self.clone() }
    }

    /// What stands on the page.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The page that a message carries, if it has this command.
    ///
    /// # Errors
    ///
    /// [`NoPage`] when the length it states does not fit.
    pub fn of(message: &Message) -> Option<Result<Self, NoPage>> {
        let Message::Local(Self::COMMAND, body) = message else { return None };
        Some(Self::read(body.expose()))
    }

    fn read(body: &[u8; BODY_SIZE]) -> Result<Self, NoPage> {
        let (key, rest) = split::<16>(body);
        let (document, rest) = split::<4>(rest);
        let (offset, rest) = split::<4>(rest);
        let (total, rest) = split::<4>(rest);
        let (len, rest) = split::<2>(rest);
        let (bytes, _) = split::<{ Self::MAX_LEN }>(rest);
        let len = u16::from_le_bytes(len);
        if usize::from(len) > Self::MAX_LEN {
            return Err(NoPage { stated: len });
        }
        let mut page = Self {
            control_key: ControlKey::new(key),
            document: Document::from_wire(u32::from_le_bytes(document)),
            offset: u32::from_le_bytes(offset),
            total: u32::from_le_bytes(total),
            len,
            bytes,
        };
        page.bytes[usize::from(len)..].fill(0);
        Ok(page)
    }
}

/// The next `N` bytes, which every caller here knows to be there.
fn split<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    let mut front = [0; N];
    front.copy_from_slice(&bytes[..N]);
    (front, &bytes[N..])
}

impl From<Page> for Message {
    fn from(page: Page) -> Self {
        let mut body = Secret::default();
        let fields: [&[u8]; 6] = [
            page.control_key.expose(),
            &page.document.to_wire().to_le_bytes(),
            &page.offset.to_le_bytes(),
            &page.total.to_le_bytes(),
            &page.len.to_le_bytes(),
            &page.bytes,
        ];
        let mut rest: &mut [u8] = body.expose_mut();
        for field in fields {
            let (room, behind) = rest.split_at_mut(field.len());
            room.copy_from_slice(field);
            rest = behind;
        }
        Self::Local(Page::COMMAND, body)
    }
}

/// A page that states more bytes than fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPage {
    /// How many it states.
    pub stated: u16,
}

impl fmt::Display for NoPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a page of {} bytes where at most {} fit", self.stated, Page::MAX_LEN)
    }
}

impl Error for NoPage {}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_comes_in_pages() {
        let text: Vec<u8> = (0..800_u32).map(|n| n as u8).collect();
        let (mut got, mut pages) = (Vec::new(), 0);
        loop {
            let asked = Page::request(Document::Report, ControlKey::new([7; 16]), got.len() as u32);
            let page = Page::of(&asked.reply(&text).into()).unwrap().unwrap();
            assert_eq!((page.total, page.offset), (800, asked.offset));
            if page.bytes().is_empty() {
                break;
            }
            got.extend_from_slice(page.bytes());
            pages += 1;
        }
        assert_eq!((got, pages), (text, 3));
    }

    #[test]
    fn a_length_that_does_not_fit_is_refused() {
        let mut body = Secret::default();
        body.expose_mut()[28..30].copy_from_slice(&351_u16.to_le_bytes());
        let message = Message::Local(Page::COMMAND, body);
        assert_eq!(Page::of(&message), Some(Err(NoPage { stated: 351 })));
        assert_eq!(Page::of(&Message::Success), None);
    }

    proptest! {
        #[test]
        fn every_page_comes_back_as_it_went(
            key: [u8; 16], document: u32, offset in 0..2000_u32, text: Vec<u8>,
        ) {
            let document = Document::from_wire(document);
            let page = Page::request(document, ControlKey::new(key), offset).reply(&text);
            prop_assert_eq!(Page::of(&page.clone().into()), Some(Ok(page)));
        }
    }
}
