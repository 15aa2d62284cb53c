//! The kernel takes over.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use levada_core::NoKernelTls;
use levada_sys::kernel_tls::{self, AttachError, Cipher, Keys, Version, attach};
use levada_tls::{
    Direction, Handover, KernelSession, NotReady, RecordCipher, RecordKeys, Session, TlsVersion,
};
use rustix::io::Errno;

/// Why the kernel did not take over.
#[derive(Debug)]
pub enum Unarmed {
    /// The session goes on as it was.
    Declined(NoKernelTls),
    /// It can go on in no way: the kernel has half of it.
    Broken(io::Error),
}

/// Has the kernel take over from a session right behind its handshake, with nothing read from behind it.
/// Whether it can take new keys is found out with the keys that it has: a second time they are either refused
/// or change nothing.
///
/// # Errors
///
/// [`Unarmed`], why it does not.
pub fn arm(tcp: impl AsFd, session: &mut Session) -> Result<KernelSession, Unarmed> {
    let tcp = tcp.as_fd();
    attach(tcp).map_err(|error| Unarmed::Declined(declined(error)))?;
    let Handover { session: mut state, transmit, receive } = session.handover().map_err(unready)?;
    install(tcp, Direction::Transmit, &transmit)
        .map_err(|error| Unarmed::Declined(unsuitable(&error)))?;
    // From here on there is no way back.
    install(tcp, Direction::Receive, &receive).map_err(Unarmed::Broken)?;
    state.set_rekeys(
        transmit.version == TlsVersion::V1_3
            && install(tcp, Direction::Transmit, &transmit).is_ok(),
    );
    session.handed_over(receive);
    Ok(state)
}

/// Has the kernel go on with these keys.
pub(crate) fn install(
    tcp: BorrowedFd<'_>,
    direction: Direction,
    keys: &RecordKeys,
) -> io::Result<()> {
    let direction = match direction {
        Direction::Transmit => kernel_tls::Direction::Transmit,
        Direction::Receive => kernel_tls::Direction::Receive,
    };
    let keys = Keys {
        version: match keys.version {
            TlsVersion::V1_2 => Version::V1_2,
            TlsVersion::V1_3 => Version::V1_3,
        },
        cipher: match keys.cipher {
            RecordCipher::Aes128Gcm => Cipher::Aes128Gcm,
            RecordCipher::Aes256Gcm => Cipher::Aes256Gcm,
            RecordCipher::Chacha20Poly1305 => Cipher::Chacha20Poly1305,
        },
        key: &keys.key,
        nonce: &keys.nonce,
        sequence: keys.sequence,
    };
    kernel_tls::install(tcp, direction, &keys)
}

fn declined(error: AttachError) -> NoKernelTls {
    match error {
        AttachError::NoKernelTls => NoKernelTls::Unsupported,
        AttachError::NotTcp => NoKernelTls::NotTcp,
        AttachError::NotConnected => NoKernelTls::NotConnected,
        AttachError::System(error) => NoKernelTls::System((&error).into()),
        other => NoKernelTls::System((&io::Error::other(other)).into()),
    }
}

fn unready(why: NotReady) -> Unarmed {
    Unarmed::Declined(match why {
        NotReady::Suite => NoKernelTls::Suite,
        NotReady::NotPrepared | NotReady::InUse => NoKernelTls::ReadAhead,
    })
}

/// Why the kernel has not taken the first keys.
fn unsuitable(error: &io::Error) -> NoKernelTls {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::INVAL | Errno::OPNOTSUPP) => NoKernelTls::Suite,
        _ => NoKernelTls::System(error.into()),
    }
}
