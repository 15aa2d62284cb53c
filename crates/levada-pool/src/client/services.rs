//! What a client may do for the pool: enter PINs, choose identities.

use std::fmt;
use std::time::{Duration, SystemTime};

use levada_pool_wire::body::{Lidentry, Pin, PinEntry};
use levada_pool_wire::{Identity, LidentryFlags, Message, Text};

/// What the pool needs a PIN or a passphrase for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinQuestion {
    /// What to ask the person.
    pub prompt: String,
    /// How often a PIN was wrong before, from 0.
    pub attempt: u32,
    /// How long an answer may take; nobody waits for a later one.
    pub time: Duration,
    /// Who made the token; empty, as what follows, where a file is locked.
    pub manufacturer: String,
    /// The token's model.
    pub model: String,
    /// The token's serial number.
    pub serial: String,
    /// The token's label.
    pub label: String,
}

impl fmt::Display for PinQuestion {
    /// The prompt, and which token it is about, as one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prompt)?;
        let fields = [&self.label, &self.manufacturer, &self.model, &self.serial];
        let told: Vec<_> =
            fields.into_iter().filter(|field| !field.is_empty()).map(String::as_str).collect();
        if told.is_empty() { Ok(()) } else { write!(f, " ({})", told.join(", ")) }
    }
}

/// A service as its client gives it: what it registers with, and what it makes of a question.
pub(crate) trait Service {
    /// What the person, or the program, is asked.
    type Question;
    /// What they say.
    type Answer;

    /// What registers the service.
    fn registration(&mut self) -> Message;

    /// What is asked. `None` wants any answer, and nobody is asked for it.
    fn question(&mut self, message: Message) -> Option<Self::Question>;

    /// The answer, which registers anew. `None` declines.
    fn answer(&mut self, said: Option<Self::Answer>) -> Message;
}

/// PIN entry.
pub(crate) struct Pins {
    pub(crate) time: Duration,
}

impl Pins {
    fn entry(&self, pin: Pin) -> Message {
        let timeout_us = u32::try_from(self.time.as_micros()).unwrap_or(u32::MAX);
        Message::PinEntry(PinEntry { timeout_us, pin, ..PinEntry::default() })
    }
}

impl Service for Pins {
    type Question = PinQuestion;
    type Answer = Pin;

    fn registration(&mut self) -> Message {
        self.entry(Pin::default())
    }

    fn question(&mut self, message: Message) -> Option<PinQuestion> {
        // The protocol's rules let no other question be asked.
        let Message::PinEntry(asked) = message else { return None };
        Some(PinQuestion {
            prompt: words(&asked.prompt),
            attempt: asked.attempt,
            time: Duration::from_micros(asked.timeout_us.into()),
            manufacturer: words(&asked.manufacturer),
            model: words(&asked.model),
            serial: words(&asked.serial),
            label: words(&asked.label),
        })
    }

    fn answer(&mut self, said: Option<Pin>) -> Message {
        self.entry(said.unwrap_or_default())
    }
}

/// What comes from the pool goes to a person's terminal: without control characters.
fn words<const N: usize>(text: &Text<N>) -> String {
    String::from_utf8_lossy(text.as_bytes()).chars().filter(|char| !char.is_control()).collect()
}

/// How a client wants to choose identities.
///
/// ```
/// use std::time::Duration;
///
/// use levada_pool::Chooser;
/// use levada_pool::wire::LidentryFlags;
///
/// // Asked about servers that the policy knows nothing of in particular.
/// let chooser = Chooser::new(Duration::from_secs(60))
///     .flags(LidentryFlags::SKIP_DOMAIN_SAME.with(LidentryFlags::WANT_DBENTRY))
///     .max_levels(2);
/// # let _ = chooser;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chooser {
    time: Duration,
    flags: LidentryFlags,
    max_levels: u16,
}

impl Chooser {
    /// A chooser that takes up to `time`, in seconds, for an answer, and is asked about every remote
    /// identity.
    pub const fn new(time: Duration) -> Self {
        Self { time, flags: LidentryFlags::NONE, max_levels: 0 }
    }

    /// When not to be asked, and whether to be told what could be chosen:
    /// [`SKIP_DBENTRY`](LidentryFlags::SKIP_DBENTRY) and its like, and
    /// [`WANT_DBENTRY`](LidentryFlags::WANT_DBENTRY). Other flags do not count here.
    #[must_use]
    pub const fn flags(mut self, flags: LidentryFlags) -> Self {
        self.flags = flags.and(LidentryFlags::REGFLAGS);
        self
    }

    /// How many steps a remote identity may be generalised, to remember a choice for more than it.
    #[must_use]
    pub const fn max_levels(mut self, levels: u16) -> Self {
        self.max_levels = levels;
        self
    }
}

/// Who are we to be to a server?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityQuestion {
    /// The server.
    pub remote_id: Identity,
    /// Who the application says that we are, or else the first of those below; may be empty.
    pub local_id: Identity,
    /// Whom the pool would show, the first one first, with the selector of the remote identity that
    /// they stand under. Empty without [`WANT_DBENTRY`](LidentryFlags::WANT_DBENTRY).
    pub disclosed: Vec<(Identity, Identity)>,
    /// How many steps the remote identity may be generalised.
    pub max_levels: u16,
    /// Whether the pool can sign for names that it has no identity of.
    pub on_the_fly: bool,
    /// By when an answer is due.
    pub due: SystemTime,
}

/// Who we are to be, and for how long that is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Who we are to be.
    pub local_id: Identity,
    /// To whom: the remote identity of the question, or a more general form of it, such as
    /// `.orvelte.nep`; empty is the former. It counts where the choice is remembered.
    pub remote_id: Identity,
    /// [`DBINSERT`](LidentryFlags::DBINSERT), [`DBAPPEND`](LidentryFlags::DBAPPEND) or
    /// [`DBREORDER`](LidentryFlags::DBREORDER) to have it remembered, and
    /// [`ONTHEFLY`](LidentryFlags::ONTHEFLY) where the pool may sign for a name that it has no identity
    /// of.
    pub flags: LidentryFlags,
}

impl Choice {
    /// This identity, for once.
    pub const fn once(local_id: Identity) -> Self {
        Self { local_id, remote_id: Identity::EMPTY, flags: LidentryFlags::NONE }
    }
}

/// The choice of identities.
pub(crate) struct Identities {
    chooser: Chooser,
    disclosed: Vec<(Identity, Identity)>,
}

impl Identities {
    pub(crate) const fn new(chooser: Chooser) -> Self {
        Self { chooser, disclosed: Vec::new() }
    }

    fn body(&self) -> Lidentry {
        let Chooser { time, flags, max_levels } = self.chooser;
        let timeout_s = u32::try_from(time.as_secs().max(1)).unwrap_or(u32::MAX);
        Lidentry { flags, max_levels, timeout_s, ..Lidentry::default() }
    }
}

impl Service for Identities {
    type Question = IdentityQuestion;
    type Answer = Choice;

    fn registration(&mut self) -> Message {
        self.disclosed.clear();
        Message::LidentryRegister(self.body())
    }

    fn question(&mut self, message: Message) -> Option<IdentityQuestion> {
        let Message::LidentryCallback(asked) = message else { return None };
        if asked.flags.contains(LidentryFlags::DBENTRY) {
            self.disclosed.push((asked.local_id, asked.remote_id));
            return None;
        }
        Some(IdentityQuestion {
            remote_id: asked.remote_id,
            local_id: asked.local_id,
            disclosed: std::mem::take(&mut self.disclosed),
            max_levels: asked.max_levels,
            on_the_fly: asked.flags.contains(LidentryFlags::ONTHEFLY),
            due: SystemTime::UNIX_EPOCH + Duration::from_secs(asked.timeout_s.into()),
        })
    }

    fn answer(&mut self, said: Option<Choice>) -> Message {
        let body = self.body();
        Message::LidentryCallback(match said {
            Some(Choice { local_id, remote_id, flags }) => {
                let flags = body.flags.with(flags.without(LidentryFlags::REGFLAGS));
                Lidentry { local_id, remote_id, flags, ..body }
            }
            None => body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_shown_as_one_line_without_control_characters() {
        let text = |text: &str| Text::new(text).unwrap();
        let asked = PinEntry {
            prompt: text("PIN\u{1b}[2J of the key"),
            label: Text::new("mail").unwrap(),
            serial: Text::new("12\n34").unwrap(),
            ..PinEntry::default()
        };
        let mut pins = Pins { time: Duration::from_secs(1) };
        let question = pins.question(Message::PinEntry(asked)).unwrap();
        assert_eq!(question.to_string(), "PIN[2J of the key (mail, 1234)");
        let plain = PinQuestion { label: String::new(), serial: String::new(), ..question };
        assert_eq!(plain.to_string(), "PIN[2J of the key");
    }

    #[test]
    fn a7_entries_are_answered_and_told_with_the_question() {
        let flags = LidentryFlags::WANT_DBENTRY;
        let mut service = Identities::new(Chooser::new(Duration::from_secs(9)).flags(flags));
        let id = |text: &str| Identity::new(text).unwrap();
        let asked = |flags: LidentryFlags, local: &str, remote: &str| {
            let (local_id, remote_id) = (id(local), id(remote));
            Message::LidentryCallback(Lidentry {
                flags,
                local_id,
                remote_id,
                ..Lidentry::default()
            })
        };
        let entry = asked(flags.with(LidentryFlags::DBENTRY), "u@a.b", ".c");
        assert_eq!(service.question(entry), None);
        let Message::LidentryCallback(answer) = service.answer(None) else { panic!() };
        assert_eq!((answer.flags, answer.timeout_s), (flags, 9));
        let question = service.question(asked(flags, "u@a.b", "x.c")).unwrap();
        assert_eq!(question.disclosed, [(id("u@a.b"), id(".c"))]);
        let choice = Choice {
            flags: LidentryFlags::DBINSERT.with(LidentryFlags::SKIP_USER),
            ..Choice::once(id("v@a.b"))
        };
        let Message::LidentryCallback(answer) = service.answer(Some(choice)) else { panic!() };
        assert_eq!(
            answer.flags,
            flags.with(LidentryFlags::DBINSERT),
            "those of the registration stay"
        );
        let question = service.question(asked(flags, "", "y.c")).unwrap();
        assert!(question.disclosed.is_empty(), "each has its own");
    }
}
