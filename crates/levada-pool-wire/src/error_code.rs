//! The numbers of ERROR packets.

use core::error::Error;
use core::fmt;

/// Declares the pool's error codes: variant, offset from the base, message.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $code:ident = $offset:literal, $message:literal;)*) => {
        /// Why a pool refuses, as V2 numbers it.
        ///
        /// Source: TLS Pool protocol V2, error codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $code,)*
        }

        impl ErrorCode {
            /// Every code, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// How far above [`ErrorCode::BASE`] this code's number is.
            pub const fn offset(self) -> u8 {
                match self { $(Self::$code => $offset,)* }
            }

            /// What happened, in one line for a person. Clients go by the number.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$code => $message,)* }
            }
        }
    };
}

error_codes! {
    /// No memory, or a stated bound is reached.
    OutOfMemory = 0, "TLS Pool has no room left for this";
    /// No thread or task could be started.
    ThreadStart = 1, "TLS Pool could not start a worker";
    /// The control connection is gone.
    ClientDisconnect = 2, "TLS Pool lost the connection to its client";
    /// The application does not want to answer.
    ClientRefusesCallback = 3, "TLS Pool asked, and the application declined to answer";
    /// A packet without a command where one is needed.
    CommandNeeded = 4, "TLS Pool needs a command here";
    /// A socket came where none belongs.
    SuperfluousSocket = 5, "TLS Pool got a socket that does not belong to this command";
    /// STARTTLS came without the network socket.
    CipherSocketNeeded = 6, "TLS Pool needs the socket of the connection to protect";
    /// The answer came without the plaintext socket.
    PlainSocketNeeded = 7, "TLS Pool needs the socket for the plaintext side";
    /// No such command, or not from this side, or not now.
    UnknownCommand = 8, "TLS Pool does not take this command here";
    /// Known, but not done.
    NotImplemented = 9, "TLS Pool does not do what this request asks for";
    /// A callback was answered with something else.
    BadCallbackResponse = 10, "TLS Pool cannot use this answer to its question";
    /// STARTTLS is excluded.
    StartTlsExcluded = 11, "TLS Pool is set up without STARTTLS";
    /// STARTGSS is excluded.
    StartGssExcluded = 12, "TLS Pool is set up without STARTGSS";
    /// STARTSSH is excluded.
    StartSshExcluded = 13, "TLS Pool is set up without STARTSSH";
    /// The control key is taken.
    ControlKeyRegistration = 14, "TLS Pool could not register the control key";
    /// No session has this control key, or none that one may ask about.
    ControlKeyNotFound = 15, "TLS Pool knows no session by this control key";
    /// The session belongs to another control connection.
    NotYours = 16, "TLS Pool keeps this session for another client";
    /// Detached before.
    AlreadyDetached = 17, "TLS Pool has detached this session already";
    /// Attached, to this connection or another.
    AlreadyAttached = 18, "TLS Pool has this session attached already";
    /// No session to renegotiate.
    RenegotiateNotFound = 19, "TLS Pool found no session to renegotiate";
    /// The session cannot be interrupted.
    NotInterruptible = 20, "TLS Pool cannot interrupt this session now";
    /// Done so it would not be secure.
    WouldBeInsecure = 21, "TLS Pool refuses, since the result would not be secure";
    /// The connection's handler could not be set up.
    HandlerSetup = 22, "TLS Pool could not set up the handling of this connection";
    /// The TLS session could not be set up.
    TlsDriverSetup = 23, "TLS Pool could not set up TLS as requested";
    /// The handshake failed, or took too long.
    HandshakeFailed = 24, "TLS Pool did not complete the TLS handshake";
    /// No key material can be derived so.
    PrngUnavailable = 25, "TLS Pool cannot derive key material from these parameters";
    /// Another client is registered to choose identities.
    LidentryNotVacant = 26, "TLS Pool has another client that chooses identities";
    /// Another client is registered to enter PINs.
    PinEntryNotVacant = 27, "TLS Pool has another client that enters PINs";
    /// No such kind of fact.
    InfoKindUnknown = 28, "TLS Pool has no facts of this kind";
    /// The fact is absent, or does not match.
    InfoNotFound = 29, "TLS Pool did not find this fact about the session";
}

impl ErrorCode {
    /// The number of the first code, 0xBA6B5000 as a signed number.
    pub const BASE: i32 = -1_167_372_288;

    /// This code's number in an ERROR packet.
    pub const fn number(self) -> ErrorNumber {
        ErrorNumber(Self::BASE + self.offset() as i32)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Error for ErrorCode {}

/// The number in an ERROR packet: one of the pool's codes, a system error that a client made
/// itself (1 to 255), or anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ErrorNumber(i32);

impl ErrorNumber {
    /// The number as the packet has it.
    pub const fn from_wire(number: i32) -> Self {
        Self(number)
    }

    /// The number as the packet has it.
    pub const fn to_wire(self) -> i32 {
        self.0
    }

    /// The system error `errno`; 0 is no error.
    pub const fn from_errno(errno: u8) -> Self {
        Self(errno as i32)
    }

    /// The pool's code, if it is one.
    pub fn code(self) -> Option<ErrorCode> {
        let offset = usize::try_from(self.0.checked_sub(ErrorCode::BASE)?).ok()?;
        ErrorCode::ALL.get(offset).copied()
    }

    /// The system's error number, if it is one.
    pub fn errno(self) -> Option<u8> {
        u8::try_from(self.0).ok().filter(|&errno| errno != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a10_codes_are_the_base_and_their_offset() {
        assert_eq!(ErrorCode::BASE.cast_unsigned(), 0xba6b_5000);
        assert_eq!(ErrorCode::ALL.len(), 30);
        for (n, &code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(usize::from(code.offset()), n, "{code:?} stands in its place");
            assert_eq!(code.number().code(), Some(code));
            assert_eq!(code.number().errno(), None);
        }
        assert_eq!(ErrorCode::HandshakeFailed.number().to_wire().cast_unsigned(), 0xba6b_5018);
    }

    #[test]
    fn a10_every_message_names_the_pool_fits_the_packet_and_is_its_own() {
        for (n, code) in ErrorCode::ALL.iter().enumerate() {
            let message = code.message();
            assert!(message.starts_with("TLS Pool "), "{message}");
            assert!(message.is_ascii() && message.len() <= 127, "{message}");
            assert!(ErrorCode::ALL[..n].iter().all(|other| other.message() != message));
        }
    }

    #[test]
    fn a10_small_numbers_are_system_errors_and_the_rest_is_neither() {
        assert_eq!(ErrorNumber::from_wire(71).errno(), Some(71));
        assert_eq!(ErrorNumber::from_wire(255).errno(), Some(255));
        for number in [0, 256, -1, i32::MIN, i32::MAX, ErrorCode::BASE - 1, ErrorCode::BASE + 30] {
            let number = ErrorNumber::from_wire(number);
            assert_eq!((number.code(), number.errno()), (None, None), "{number:?}");
        }
    }
}
