//! A signer in another process: whoever listens at a Unix socket, one connection for each signature.
//!
//! We send one line, `sign spki:PIN SCHEME MESSAGE`: by its SHA-256 which key is to sign, by which
//! scheme of RFC 8446 section 4.2.3, and what, in base64. One line comes back: `signature BASE64`, or
//! `error` and why.

use std::io;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use levada_core::ShownCertificate;
use levada_tls::{SignatureScheme, Signer, Signing};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The longest answer: a signature by RSA of 16384 bits has 2732 characters.
const LONGEST: usize = 4096;

/// Asks whoever listens at a Unix socket.
pub(crate) struct SocketSigner {
    socket: PathBuf,
    /// The pin of the key.
    pin: String,
}

impl SocketSigner {
    /// The signer at `socket`, for the key of this certificate.
    pub(crate) fn new(socket: &Path, certificate: &ShownCertificate) -> Self {
        // One that cannot be read makes no identity.
        let pin = certificate.read().map(|facts| facts.spki_pin.clone()).unwrap_or_default();
        Self { socket: socket.to_owned(), pin }
    }
}

impl Signer for SocketSigner {
    fn sign(&self, scheme: SignatureScheme, message: Vec<u8>) -> Signing {
        let message = Base64::encode_string(&message);
        let request = format!("sign spki:{} {scheme} {message}\n", self.pin);
        let socket = self.socket.clone();
        Box::pin(async move {
            let answer = match ask(&socket, request.as_bytes()).await {
                Ok(line) => read(&line),
                Err(error) => Err(error.to_string()),
            };
            answer.map_err(|why| format!("{}: {why}", socket.display()).into())
        })
    }
}

/// What comes back to `request`, up to the end of its line.
async fn ask(socket: &Path, request: &[u8]) -> io::Result<Vec<u8>> {
    let stream = UnixStream::connect(socket).await?;
    let mut rest = request;
    while !rest.is_empty() {
        let written = stream.async_io(Interest::WRITABLE, || stream.try_write(rest)).await?;
        rest = &rest[written..];
    }
    let mut line = Vec::new();
    let mut room = [0; 1024];
    while line.len() <= LONGEST && !line.contains(&b'\n') {
        match stream.async_io(Interest::READABLE, || stream.try_read(&mut room)).await? {
            0 => break,
            count => line.extend_from_slice(&room[..count]),
        }
    }
    Ok(line)
}

/// The signature in an answer, or why there is none.
fn read(answer: &[u8]) -> Result<Vec<u8>, String> {
    let Some(end) = answer.iter().position(|&byte| byte == b'\n').filter(|&end| end <= LONGEST)
    else {
        return Err(match answer {
            [] => "it gave no answer".to_owned(),
            _ => format!("its answer is no line of up to {LONGEST} bytes"),
        });
    };
    let line = String::from_utf8_lossy(answer[..end].trim_ascii_end());
    match line.split_once(' ') {
        Some(("signature", base64)) => {
            Base64::decode_vec(base64).map_err(|_| "its signature is no base64".to_owned())
        }
        Some(("error", why)) => Err(why.escape_debug().to_string()),
        _ => Err("its answer begins with neither `signature` nor `error`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_signature_or_a_reason_is_read() {
        assert_eq!(read(b"signature AQID\n"), Ok(vec![1, 2, 3]));
        assert_eq!(read(b"signature AQID\r\nmore"), Ok(vec![1, 2, 3]));
        assert_eq!(read(b"error the card is \x1bout\n"), Err("the card is \\u{1b}out".to_owned()));
        for (answer, why) in [
            (&b""[..], "it gave no answer"),
            (b"signature AQID", "its answer is no line of up to 4096 bytes"),
            (b"signature A\n", "its signature is no base64"),
            (b"hello\n", "its answer begins with neither `signature` nor `error`"),
        ] {
            assert_eq!(read(answer), Err(why.to_owned()), "{}", answer.escape_ascii());
        }
        let long = [&b"error "[..], &[b'x'; LONGEST], b"\n"].concat();
        assert!(read(&long).is_err_and(|why| why.contains("no line")));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_signature_or_told_in_printable_words(
            begin in "(signature|error|) ?",
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Err(why) = read(&[begin.as_bytes(), &rest].concat()) {
                prop_assert!(!why.chars().any(char::is_control), "{why:?}");
            }
        }
    }
}
