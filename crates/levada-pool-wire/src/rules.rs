//! Who may send what, with or without a descriptor, as data.

use crate::command::{Command, LocalCommand};
use crate::diagram::Step;
use crate::error_code::ErrorCode;
use crate::flags::StartTlsFlags;
use crate::packet::Message;

/// Whether a descriptor comes with a packet.
///
/// Source: TLS Pool protocol V2, descriptor passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptorRule {
    /// None; one that comes is closed and the packet refused.
    Never,
    /// Exactly one, or the packet is refused with this code.
    Required(ErrorCode),
    /// One or none.
    Optional,
}

impl DescriptorRule {
    /// Judges whether a packet may come with a descriptor, or without.
    ///
    /// # Errors
    ///
    /// The code that answers the violation.
    pub const fn judge(self, descriptor: bool) -> Result<(), ErrorCode> {
        match (self, descriptor) {
            (Self::Never, true) => Err(ErrorCode::SuperfluousSocket),
            (Self::Required(code), false) => Err(code),
            (Self::Never, false) | (Self::Required(_), true) | (Self::Optional, _) => Ok(()),
        }
    }
}

/// A command with which a client opens an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRule {
    /// The command.
    pub command: Command,
    /// A flag that tells this rule from the command's other one.
    pub when: Option<StartTlsFlags>,
    /// Whether a descriptor comes with it.
    pub descriptor: DescriptorRule,
    /// What the pool may ask before it replies; a registration is asked for as long as it lives.
    pub questions: &'static [Command],
    /// What the pool replies, if not ERROR. A registration has no reply but its questions.
    pub reply: Option<Command>,
    /// What the request and its reply are in the message flow.
    pub steps: Option<(Step, Step)>,
}

/// A question that the pool asks within an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuestionRule {
    /// The command of the question.
    pub question: Command,
    /// The commands that answer it. ERROR declines; anything else is +10.
    pub answers: &'static [Command],
    /// Whether a descriptor comes with the answer.
    pub descriptor: DescriptorRule,
    /// The code that ends the exchange when the client declines.
    pub declined: ErrorCode,
    /// What question and answer are in the message flow.
    pub steps: Option<(Step, Step)>,
}

const NO_DESCRIPTOR: RequestRule = RequestRule {
    command: Command::Ping,
    when: None,
    descriptor: DescriptorRule::Never,
    questions: &[],
    reply: None,
    steps: None,
};

/// Every request that V2 has. Any other command that opens an exchange is +8, private ones apart.
///
/// Source: TLS Pool protocol V2, commands and descriptor passing.
pub static REQUESTS: [RequestRule; 9] = [
    RequestRule {
        command: Command::Ping,
        reply: Some(Command::Ping),
        steps: Some((Step::ReqPing, Step::CbPing)),
        ..NO_DESCRIPTOR
    },
    RequestRule {
        command: Command::StartTls,
        when: Some(StartTlsFlags::RENEGOTIATE),
        reply: Some(Command::StartTls),
        ..NO_DESCRIPTOR
    },
    RequestRule {
        command: Command::StartTls,
        when: None,
        descriptor: DescriptorRule::Required(ErrorCode::CipherSocketNeeded),
        questions: &[Command::StartTlsLocalId, Command::PlaintextConnect],
        reply: Some(Command::StartTls),
        steps: Some((Step::ReqStartTls, Step::CbStartTls)),
    },
    RequestRule { command: Command::PinEntry, questions: &[Command::PinEntry], ..NO_DESCRIPTOR },
    RequestRule { command: Command::Prng, reply: Some(Command::Prng), ..NO_DESCRIPTOR },
    RequestRule { command: Command::Info, reply: Some(Command::Info), ..NO_DESCRIPTOR },
    RequestRule { command: Command::ControlDetach, reply: Some(Command::Success), ..NO_DESCRIPTOR },
    RequestRule {
        command: Command::ControlReattach,
        reply: Some(Command::Success),
        ..NO_DESCRIPTOR
    },
    RequestRule {
        command: Command::LidentryRegister,
        questions: &[Command::LidentryCallback],
        ..NO_DESCRIPTOR
    },
];

/// Private commands, of which the pool knows more than V2 does: it answers +8 to those that it
/// does not have.
static LOCAL: RequestRule = RequestRule {
    command: Command::Local(LocalCommand::new(0)),
    descriptor: DescriptorRule::Optional,
    ..NO_DESCRIPTOR
};

/// Every question that V2 has.
///
/// Source: TLS Pool protocol V2, commands and descriptor passing. Which of its two commands
/// answers a LIDENTRY question is not stated there; both are taken.
pub static QUESTIONS: [QuestionRule; 4] = [
    QuestionRule {
        question: Command::StartTlsLocalId,
        answers: &[Command::StartTlsLocalId],
        descriptor: DescriptorRule::Optional,
        declined: ErrorCode::ClientRefusesCallback,
        steps: Some((Step::CbLocalId, Step::ReqLocalId)),
    },
    QuestionRule {
        question: Command::PlaintextConnect,
        answers: &[Command::PlaintextConnect],
        descriptor: DescriptorRule::Required(ErrorCode::PlainSocketNeeded),
        declined: ErrorCode::BadCallbackResponse,
        steps: Some((Step::CbPlaintextConnect, Step::ReqPlaintextConnect)),
    },
    QuestionRule {
        question: Command::PinEntry,
        answers: &[Command::PinEntry],
        descriptor: DescriptorRule::Never,
        declined: ErrorCode::ClientRefusesCallback,
        steps: None,
    },
    QuestionRule {
        question: Command::LidentryCallback,
        answers: &[Command::LidentryCallback, Command::LidentryRegister],
        descriptor: DescriptorRule::Never,
        declined: ErrorCode::ClientRefusesCallback,
        steps: None,
    },
];

impl RequestRule {
    /// Judges a message that opens an exchange, and whether a descriptor came with it.
    ///
    /// # Errors
    ///
    /// The code that answers the violation: [`ErrorCode::UnknownCommand`],
    /// [`ErrorCode::SuperfluousSocket`] or [`ErrorCode::CipherSocketNeeded`].
    pub fn judge(message: &Message, descriptor: bool) -> Result<&'static Self, ErrorCode> {
        let rule = Self::of(message).ok_or(ErrorCode::UnknownCommand)?;
        rule.descriptor.judge(descriptor)?;
        Ok(rule)
    }

    /// The rule for a message that opens an exchange, if it may.
    fn of(message: &Message) -> Option<&'static Self> {
        let command = message.command();
        if let Command::Local(_) = command {
            return Some(&LOCAL);
        }
        let flags = match message {
            Message::StartTls(body) => body.flags,
            _ => StartTlsFlags::NONE,
        };
        let applies = |when: Option<StartTlsFlags>| when.is_none_or(|flag| flags.contains(flag));
        REQUESTS.iter().find(|rule| rule.command == command && applies(rule.when))
    }

    /// Whether `reply` may end an exchange that this request opened.
    pub fn allows_reply(&self, reply: Command) -> bool {
        let private = matches!(self.command, Command::Local(_));
        match reply {
            Command::Error => true,
            Command::Local(_) | Command::Success if private => true,
            _ => self.reply == Some(reply),
        }
    }
}

impl QuestionRule {
    /// The rule for a question, if it is one.
    pub fn of(question: Command) -> Option<&'static Self> {
        QUESTIONS.iter().find(|rule| rule.question == question)
    }

    /// Judges the answer to this question, and whether a descriptor came with it.
    ///
    /// # Errors
    ///
    /// The code that ends the exchange: [`ErrorCode::BadCallbackResponse`] for another command,
    /// the code of the descriptor rule, or what this rule has for a client that declines. An
    /// answer to `STARTTLS_LOCALID` with neither identity nor descriptor declines too.
    pub fn judge(&self, answer: &Message, descriptor: bool) -> Result<(), ErrorCode> {
        let command = answer.command();
        if command == Command::Error {
            return Err(self.declined);
        }
        if !self.answers.contains(&command) {
            return Err(ErrorCode::BadCallbackResponse);
        }
        self.descriptor.judge(descriptor)?;
        match answer {
            Message::StartTlsLocalId(body) if body.local_id.is_empty() && !descriptor => {
                Err(self.declined)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Failure, PinEntry, Ping, StartTls};
    use crate::secret::Secret;
    use crate::text::Identity;

    fn starttls(flags: StartTlsFlags) -> Message {
        Message::StartTls(StartTls { flags, ..StartTls::default() })
    }

    fn request(message: &Message, descriptor: bool) -> Result<(), u8> {
        RequestRule::judge(message, descriptor).map(drop).map_err(ErrorCode::offset)
    }

    fn answer(question: Command, message: &Message, descriptor: bool) -> Result<(), u8> {
        let rule = QuestionRule::of(question).unwrap();
        rule.judge(message, descriptor).map_err(ErrorCode::offset)
    }

    #[test]
    fn a6_starttls_needs_a_socket_and_renegotiation_must_not_have_one() {
        assert_eq!(request(&starttls(StartTlsFlags::CLIENT), true), Ok(()));
        assert_eq!(request(&starttls(StartTlsFlags::CLIENT), false), Err(6));
        let again = StartTlsFlags::CLIENT.with(StartTlsFlags::RENEGOTIATE);
        assert_eq!(request(&starttls(again), false), Ok(()));
        assert_eq!(request(&starttls(again), true), Err(5));
    }

    #[test]
    fn a6_no_other_request_takes_a_descriptor() {
        assert_eq!(request(&Message::Ping(Ping::default()), false), Ok(()));
        assert_eq!(request(&Message::Ping(Ping::default()), true), Err(5));
        for rule in REQUESTS.iter().filter(|rule| rule.command != Command::StartTls) {
            assert_eq!(rule.descriptor, DescriptorRule::Never);
        }
    }

    #[test]
    fn a10_replies_callbacks_and_unknown_commands_open_nothing() {
        let body = StartTls::default;
        for message in [
            Message::Success,
            Message::Error(Failure::from_errno(1)),
            Message::StartTlsLocalId(body()),
            Message::PlaintextConnect(body()),
            Message::LidentryCallback(crate::body::Lidentry::default()),
            Message::Unknown(crate::command::Unassigned(0x25), Secret::default()),
        ] {
            assert_eq!(request(&message, false), Err(8), "{message:?}");
            assert_eq!(request(&message, true), Err(8), "{message:?}");
        }
    }

    #[test]
    fn a3_private_commands_are_for_the_pool_to_judge() {
        let message = Message::Local(LocalCommand::new(1), Secret::default());
        assert_eq!(request(&message, false), Ok(()));
        assert_eq!(request(&message, true), Ok(()));
        assert!(LOCAL.allows_reply(message.command()));
        assert!(!LOCAL.allows_reply(Command::Ping));
        assert!(!REQUESTS[0].allows_reply(message.command()));
    }

    #[test]
    fn a7_the_answer_to_plaintext_connect() {
        let asked = Command::PlaintextConnect;
        let right = Message::PlaintextConnect(StartTls::default());
        assert_eq!(answer(asked, &right, true), Ok(()));
        assert_eq!(answer(asked, &right, false), Err(7));
        assert_eq!(answer(asked, &Message::Success, true), Err(10));
        assert_eq!(answer(asked, &Message::Error(Failure::from_errno(1)), false), Err(10));
    }

    #[test]
    fn a6_a_descriptor_with_the_local_identity_approves_whatever_it_says() {
        let asked = Command::StartTlsLocalId;
        let none = Message::StartTlsLocalId(StartTls::default());
        let local_id = Identity::new("orvelte.nep").unwrap();
        let some = Message::StartTlsLocalId(StartTls { local_id, ..StartTls::default() });
        assert_eq!(answer(asked, &some, false), Ok(()));
        assert_eq!(answer(asked, &some, true), Ok(()));
        assert_eq!(answer(asked, &none, true), Ok(()));
        assert_eq!(answer(asked, &none, false), Err(3), "an emptied identity declines");
        assert_eq!(answer(asked, &Message::Error(Failure::from_errno(1)), true), Err(3));
    }

    #[test]
    fn a7_the_answer_to_a_pin_question_has_no_descriptor() {
        let pin = Message::PinEntry(PinEntry::default());
        assert_eq!(answer(Command::PinEntry, &pin, false), Ok(()), "an empty PIN is an answer");
        assert_eq!(answer(Command::PinEntry, &pin, true), Err(5));
        assert_eq!(answer(Command::PinEntry, &Message::Success, false), Err(10));
    }

    #[test]
    fn every_question_of_a_request_has_a_rule() {
        for question in REQUESTS.iter().flat_map(|rule| rule.questions) {
            assert!(QuestionRule::of(*question).is_some(), "{question}");
        }
    }
}
