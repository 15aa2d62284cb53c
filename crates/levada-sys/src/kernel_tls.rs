//! TLS records that the kernel seals and opens (the upper layer protocol `tls` of a TCP socket).
//!
//! Source: the kernel's documentation, networking/tls, and `linux/tls.h`.

use std::fmt;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::OnceLock;

use rustix::net::{AddressFamily, SocketType};
use zeroize::Zeroize;

/// The content type of a record that carries data (RFC 8446 section 5.1).
pub const APPLICATION_DATA: u8 = 23;

/// The versions of TLS that the kernel speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// How records are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-128 in GCM: a key of 16 bytes.
    Aes128Gcm,
    /// AES-256 in GCM: a key of 32 bytes.
    Aes256Gcm,
    /// ChaCha20-Poly1305: a key of 32 bytes.
    Chacha20Poly1305,
}

impl Cipher {
    /// The length of its keys, in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::Chacha20Poly1305 => 32,
        }
    }
}

/// One of the two directions of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What we send.
    Transmit,
    /// What we receive.
    Receive,
}

/// What the records of one direction are sealed with, from some record on.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// The version of TLS.
    pub version: Version,
    /// How they are sealed.
    pub cipher: Cipher,
    /// The key, [`Cipher::key_len`] bytes.
    pub key: &'a [u8],
    /// The nonce: that of TLS 1.3, or of ChaCha20-Poly1305, before the sequence number is added. With
    /// AES in TLS 1.2, the salt of 4 bytes and then the explicit part of the next record that we send,
    /// which the kernel counts up from there.
    pub nonce: &'a [u8; 12],
    /// The sequence number of the next record.
    pub sequence: u64,
}

impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("version", &self.version)
            .field("cipher", &self.cipher)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// Why a socket cannot have its records sealed by the kernel. It is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum AttachError {
    /// The kernel has no TLS: it was built without, or its module `tls` cannot be loaded.
    NoKernelTls,
    /// It is no TCP socket.
    NotTcp,
    /// It is not connected, or not any more.
    NotConnected,
    /// Another reason of the system's.
    System(io::Error),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoKernelTls => "this kernel has no TLS (CONFIG_TLS, module `tls`)",
            Self::NotTcp => "the kernel does TLS on TCP sockets alone",
            Self::NotConnected => "the socket is not connected",
            Self::System(error) => return error.fmt(f),
        })
    }
}

impl std::error::Error for AttachError {}

/// Whether this kernel has TLS, or can load it. The answer is kept: a module that is loaded later is found by
/// the next process, and asking costs nothing.
pub fn is_supported() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        // A socket that is not connected tells, too, and is refused for that then.
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
        socket.is_ok_and(|socket| !matches!(attach(socket), Err(AttachError::NoKernelTls)))
    })
}

/// Prepares a connected TCP socket: nothing changes on it until keys are [installed](install). A socket
/// that is prepared already stays so.
///
/// # Errors
///
/// [`AttachError`], why it cannot be; the socket goes on as before.
pub fn attach(socket: impl AsFd) -> Result<(), AttachError> {
    let Err(error) = set(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_ULP, b"tls") else {
        return Ok(());
    };
    match error.raw_os_error() {
        Some(libc::EEXIST) => Ok(()),
        Some(libc::ENOENT | libc::ENOPROTOOPT) => Err(AttachError::NoKernelTls),
        Some(libc::EOPNOTSUPP | libc::ENOTSOCK) => Err(AttachError::NotTcp),
        Some(libc::ENOTCONN) => Err(AttachError::NotConnected),
        _ => Err(AttachError::System(error)),
    }
}

/// Has the kernel seal or open all that follows on `socket` with these keys. Our copies of them are
/// wiped.
///
/// A second time in the same direction renews them (RFC 8446 section 4.6.3): what was sent before goes
/// out under the old ones.
///
/// # Errors
///
/// The system's, and the direction is as it was: `ENOENT` or `EINVAL` for a cipher or version that this
/// kernel does not have, `EBUSY` where it cannot renew keys. `InvalidInput` for a key of the wrong
/// length.
pub fn install(socket: impl AsFd, direction: Direction, keys: &Keys<'_>) -> io::Result<()> {
    let option = match direction {
        Direction::Transmit => libc::TLS_TX,
        Direction::Receive => libc::TLS_RX,
    };
    let mut info = CryptoInfo::of(keys)?;
    let result = set(socket.as_fd(), libc::SOL_TLS, option, &info.bytes[..info.len]);
    info.bytes.zeroize();
    result
}

/// What one read took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes.
    pub bytes: usize,
    /// What sort of record they are of; `None` at the end of the transport.
    pub content_type: Option<u8>,
    /// Whether they reach to the end of a record. The next read goes on in the same one where not.
    pub is_whole: bool,
}

/// Reads what the kernel has opened: data of as many records as there are and have room, or of one
/// record of another sort. Never waits.
///
/// # Errors
///
/// The system's. `WouldBlock` where nothing whole is there; `EBADMSG` for a record that does not
/// authenticate, `EMSGSIZE` for one that is too long, `EINVAL` for a header that none can have;
/// `EKEYEXPIRED` where the peer has renewed its keys and the new ones are not installed yet.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut room = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; CONTROL_SPACE]);
    let mut message = message(&mut room, &mut control);
    let bytes = retry(|| {
        // SAFETY: the descriptor is borrowed, hence open. `message` points to `room`, which points to
        // `buffer`, and to `control`; all three outlive the call, and are writable for the lengths
        // that stand beside them.
        unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) }
    })?;
    // SAFETY: the kernel has filled in `message`, and what it says of `control` is within it.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message).as_ref() };
    let content_type = header
        .filter(|header| {
            header.cmsg_level == libc::SOL_TLS && header.cmsg_type == libc::TLS_GET_RECORD_TYPE
        })
        // SAFETY: such a message has one byte of data.
        .map(|header| unsafe { libc::CMSG_DATA(header).read() });
    let is_whole = message.msg_flags & libc::MSG_EOR != 0;
    Ok(Received { bytes, content_type, is_whole })
}

/// Sends `content` as one record of this sort, behind all that was sent before. Never waits.
///
/// # Errors
///
/// The system's; `WouldBlock` when nothing went. A connection that is gone is an error, never a signal.
pub fn send(socket: impl AsFd, content_type: u8, content: &[u8]) -> io::Result<usize> {
    // The kernel does not write to it.
    let mut bytes =
        libc::iovec { iov_base: content.as_ptr().cast_mut().cast(), iov_len: content.len() };
    let mut control = Control([0; CONTROL_SPACE]);
    let message = message(&mut bytes, &mut control);
    // SAFETY: `control` is aligned for a header, zeroed, and has room for one with a byte of data, so
    // the first header is there and its data within it.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_TLS;
        (*header).cmsg_type = libc::TLS_SET_RECORD_TYPE;
        (*header).cmsg_len = libc::CMSG_LEN(1) as usize;
        libc::CMSG_DATA(header).write(content_type);
    }
    retry(|| {
        // SAFETY: as for receiving; the kernel only reads.
        unsafe {
            libc::sendmsg(
                socket.as_fd().as_raw_fd(),
                &raw const message,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        }
    })
}

/// Bytes of control data for a message with one byte in it.
// SAFETY: it only computes.
const CONTROL_SPACE: usize = unsafe { libc::CMSG_SPACE(1) } as usize;

/// Room for control data, aligned as its headers are.
#[repr(C, align(8))]
struct Control([u8; CONTROL_SPACE]);

const _: () = assert!(align_of::<Control>() >= align_of::<libc::cmsghdr>());

/// A message of these bytes with this control data; it points to both.
fn message(bytes: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: plain numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = bytes;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_SPACE;
    message
}

fn retry(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        if let Ok(count) = usize::try_from(call()) {
            return Ok(count);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn set(socket: BorrowedFd<'_>, level: i32, option: i32, value: &[u8]) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed, hence open; the kernel reads `value.len()` bytes of `value`.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `struct tls12_crypto_info_*` as bytes: version and cipher, then the explicit part of the nonce, the
/// key, the salt and the sequence number, with nothing in between.
struct CryptoInfo {
    bytes: [u8; LONGEST],
    len: usize,
}

type Aes128 = libc::tls12_crypto_info_aes_gcm_128;
type Aes256 = libc::tls12_crypto_info_aes_gcm_256;
type Chacha20 = libc::tls12_crypto_info_chacha20_poly1305;

const LONGEST: usize = 56;
const _: () = {
    assert!(size_of::<Aes128>() == 40 && offset_of!(Aes128, rec_seq) == 32);
    assert!(size_of::<Aes256>() == LONGEST && offset_of!(Aes256, rec_seq) == 48);
    assert!(size_of::<Chacha20>() == LONGEST && offset_of!(Chacha20, rec_seq) == 48);
    assert!(offset_of!(Aes128, iv) == 4 && offset_of!(Aes128, key) == 12);
    assert!(offset_of!(Aes128, salt) == 28 && offset_of!(Aes256, salt) == 44);
    assert!(offset_of!(Aes256, iv) == 4 && offset_of!(Aes256, key) == 12);
    assert!(offset_of!(Chacha20, iv) == 4 && offset_of!(Chacha20, key) == 16);
};

impl CryptoInfo {
    fn of(keys: &Keys<'_>) -> io::Result<Self> {
        if keys.key.len() != keys.cipher.key_len() {
            let text = format!(
                "a key of {} bytes, where {} are due",
                keys.key.len(),
                keys.cipher.key_len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let version = match keys.version {
            Version::V1_2 => libc::TLS_1_2_VERSION,
            Version::V1_3 => libc::TLS_1_3_VERSION,
        };
        let (cipher, salt_len) = match keys.cipher {
            Cipher::Aes128Gcm => (libc::TLS_CIPHER_AES_GCM_128, 4),
            Cipher::Aes256Gcm => (libc::TLS_CIPHER_AES_GCM_256, 4),
            Cipher::Chacha20Poly1305 => (libc::TLS_CIPHER_CHACHA20_POLY1305, 0),
        };
        let (salt, iv) = keys.nonce.split_at(salt_len);
        let mut info = Self { bytes: [0; LONGEST], len: 0 };
        for part in [
            &version.to_ne_bytes()[..],
            &cipher.to_ne_bytes(),
            iv,
            keys.key,
            salt,
            &keys.sequence.to_be_bytes(),
        ] {
            info.bytes[info.len..info.len + part.len()].copy_from_slice(part);
            info.len += part.len();
        }
        Ok(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    fn keys(cipher: Cipher, key: &[u8]) -> Keys<'_> {
        let nonce = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        Keys { version: Version::V1_2, cipher, key, nonce, sequence: 0x0102 }
    }

    #[test]
    fn keys_are_laid_out_as_the_kernel_reads_them() {
        let info = CryptoInfo::of(&keys(Cipher::Aes128Gcm, &[7; 16])).unwrap();
        let numbers = [0x0303_u16.to_ne_bytes(), 51_u16.to_ne_bytes()].concat();
        let tail = [&[1, 2, 3, 4][..], &[0, 0, 0, 0, 0, 0, 1, 2]].concat();
        let wanted = [&numbers[..], &[5, 6, 7, 8, 9, 10, 11, 12], &[7; 16], &tail].concat();
        assert_eq!(info.bytes[..info.len], wanted);

        let info = CryptoInfo::of(&keys(Cipher::Chacha20Poly1305, &[7; 32])).unwrap();
        assert_eq!(info.len, size_of::<Chacha20>());
        assert_eq!(info.bytes[4..16], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(info.bytes[48..], [0, 0, 0, 0, 0, 0, 1, 2]);
        let info = CryptoInfo::of(&keys(Cipher::Aes256Gcm, &[7; 32])).unwrap();
        assert_eq!(info.len, size_of::<Aes256>());
        assert_eq!(info.bytes[44..48], [1, 2, 3, 4]);
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused_and_never_shown() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let short = keys(Cipher::Aes256Gcm, &[7; 16]);
        let error = install(&socket, Direction::Transmit, &short).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(!format!("{short:?}").contains('7'));
    }

    #[test]
    fn a_socket_that_is_not_of_tcp_says_so() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        assert!(matches!(attach(&socket), Err(AttachError::NotTcp)));
    }

    #[test]
    fn a_tcp_socket_goes_on_as_before_where_the_kernel_has_no_tls() {
        use std::io::{Read as _, Write as _};
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut far = listener.accept().unwrap().0;
        match attach(&near) {
            Ok(()) => attach(&near).unwrap(),
            Err(error) => assert!(matches!(error, AttachError::NoKernelTls), "{error}"),
        }
        near.write_all(b"plain").unwrap();
        let mut got = [0; 5];
        far.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"plain");
        // Without keys there are no records either, and the end is the end.
        near.set_nonblocking(true).unwrap();
        let error = receive(&near, &mut got).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
