//! The commands of packets.

use core::fmt;

/// What a packet says or asks.
///
/// Source: TLS Pool protocol V2, commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Done, and nothing more to say.
    Success,
    /// Not done, or not answered.
    Error,
    /// Who are you, and what can you do?
    Ping,
    /// Protect this connection.
    StartTls,
    /// Do you stand for this local identity?
    StartTlsLocalId,
    /// A service that enters PINs; the pool's question; the answer with the PIN.
    PinEntry,
    /// Give me the plaintext socket.
    PlaintextConnect,
    /// Derive keys from a session (RFC 5705).
    Prng,
    /// Facts about a session.
    Info,
    /// Let a session outlive this control connection.
    ControlDetach,
    /// Make a detached session this connection's own.
    ControlReattach,
    /// A service that chooses local identities.
    LidentryRegister,
    /// The question to that service, and its answer.
    LidentryCallback,
    /// A private extension: the number has [`LocalCommand::BIT`].
    Local(LocalCommand),
    /// A number to which V2 gives no meaning.
    Unknown(Unassigned),
}

impl Command {
    /// Every command that V2 names, in the order of their numbers.
    pub const NAMED: [Self; 13] = [
        Self::Success,
        Self::Error,
        Self::Ping,
        Self::StartTls,
        Self::StartTlsLocalId,
        Self::PinEntry,
        Self::PlaintextConnect,
        Self::Prng,
        Self::Info,
        Self::ControlDetach,
        Self::ControlReattach,
        Self::LidentryRegister,
        Self::LidentryCallback,
    ];

    /// The command that has this number.
    pub const fn from_wire(number: u32) -> Self {
        match number {
            0x000 => Self::Success,
            0x001 => Self::Error,
            0x010 => Self::Ping,
            0x024 => Self::StartTls,
            0x028 => Self::StartTlsLocalId,
            0x029 => Self::PinEntry,
            0x02a => Self::PlaintextConnect,
            0x02b => Self::Prng,
            0x02c => Self::Info,
            0x100 => Self::ControlDetach,
            0x101 => Self::ControlReattach,
            0x200 => Self::LidentryRegister,
            0x201 => Self::LidentryCallback,
            _ if number & LocalCommand::BIT != 0 => Self::Local(LocalCommand::new(number)),
            _ => Self::Unknown(Unassigned(number)),
        }
    }

    /// This command's number.
    pub const fn to_wire(self) -> u32 {
        match self {
            Self::Success => 0x000,
            Self::Error => 0x001,
            Self::Ping => 0x010,
            Self::StartTls => 0x024,
            Self::StartTlsLocalId => 0x028,
            Self::PinEntry => 0x029,
            Self::PlaintextConnect => 0x02a,
            Self::Prng => 0x02b,
            Self::Info => 0x02c,
            Self::ControlDetach => 0x100,
            Self::ControlReattach => 0x101,
            Self::LidentryRegister => 0x200,
            Self::LidentryCallback => 0x201,
            Self::Local(local) => local.to_wire(),
            Self::Unknown(number) => number.to_wire(),
        }
    }

    /// The name that the protocol gives to this command.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Error => "ERROR",
            Self::Ping => "PING",
            Self::StartTls => "STARTTLS",
            Self::StartTlsLocalId => "STARTTLS_LOCALID",
            Self::PinEntry => "PINENTRY",
            Self::PlaintextConnect => "PLAINTEXT_CONNECT",
            Self::Prng => "PRNG",
            Self::Info => "INFO",
            Self::ControlDetach => "CONTROL_DETACH",
            Self::ControlReattach => "CONTROL_REATTACH",
            Self::LidentryRegister => "LIDENTRY_REGISTER",
            Self::LidentryCallback => "LIDENTRY_CALLBACK",
            Self::Local(_) => "LOCAL",
            Self::Unknown(_) => "UNKNOWN",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(_) | Self::Unknown(_) => write!(f, "{} {:#x}", self.name(), self.to_wire()),
            _ => f.write_str(self.name()),
        }
    }
}

/// The number of a private command: free for extensions that both sides know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct LocalCommand(u32);

impl LocalCommand {
    /// The bit that marks private commands; V2 itself never sets it.
    pub const BIT: u32 = 0x8000_0000;

    /// The private command with this number; [`LocalCommand::BIT`] is set if it is not.
    pub const fn new(number: u32) -> Self {
        Self(number | Self::BIT)
    }

    /// The whole number, with its bit.
    pub const fn to_wire(self) -> u32 {
        self.0
    }
}

/// A number to which V2 gives no meaning. Only decoding makes one, so that no named value hides
/// in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Unassigned(pub(crate) u32);

impl Unassigned {
    /// The number.
    pub const fn to_wire(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a3_the_numbers_of_the_named_commands() {
        let numbers = Command::NAMED.map(Command::to_wire);
        assert_eq!(
            numbers,
            [0x0, 0x1, 0x10, 0x24, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x100, 0x101, 0x200, 0x201]
        );
    }

    #[test]
    fn a3_the_private_bit_shows() {
        assert_eq!(Command::from_wire(0x8000_0024), Command::Local(LocalCommand::new(0x24)));
        assert!(matches!(Command::from_wire(0x25), Command::Unknown(Unassigned(0x25))));
    }

    proptest! {
        #[test]
        fn every_number_is_exactly_one_command(number: u32, low in 0_u32..0x300) {
            prop_assert_eq!(Command::from_wire(number).to_wire(), number);
            prop_assert_eq!(Command::from_wire(low).to_wire(), low);
        }
    }
}
