//! A signer in another process: whoever listens at a Unix socket, one connection for each signature.

use std::io;
use std::path::{Path, PathBuf};

use levada_core::ShownCertificate;
use levada_tls::{
    MAX_SIGNING_ANSWER, SignatureScheme, Signer, Signing, read_signing_answer, signing_request,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Asks whoever listens at a Unix socket.
pub(crate) struct SocketSigner {
    socket: PathBuf,
    /// Whose key is to sign.
    certificate: ShownCertificate,
}

impl SocketSigner {
    /// The signer at `socket`, for the key of this certificate.
    pub(crate) fn new(socket: &Path, certificate: &ShownCertificate) -> Self {
        Self { socket: socket.to_owned(), certificate: certificate.clone() }
    }
}

impl Signer for SocketSigner {
    fn sign(&self, scheme: SignatureScheme, message: Vec<u8>) -> Signing {
        let request = signing_request(&self.certificate, scheme, &message);
        let socket = self.socket.clone();
        Box::pin(async move {
            let answer = ask(&socket, request.as_bytes()).await.map_err(|error| error.to_string());
            answer
                .and_then(|answer| read_signing_answer(&answer))
                .map_err(|why| format!("{}: {why}", socket.display()).into())
        })
    }
}

/// What comes back to `request`, up to the end of its line.
async fn ask(socket: &Path, mut request: &[u8]) -> io::Result<Vec<u8>> {
    let stream = UnixStream::connect(socket).await?;
    while !request.is_empty() {
        let written = stream.async_io(Interest::WRITABLE, || stream.try_write(request)).await?;
        request = &request[written..];
    }
    let mut answer = Vec::new();
    let mut room = [0; 1024];
    while answer.len() <= MAX_SIGNING_ANSWER && !answer.contains(&b'\n') {
        match stream.async_io(Interest::READABLE, || stream.try_read(&mut room)).await? {
            0 => break,
            count => answer.extend_from_slice(&room[..count]),
        }
    }
    Ok(answer)
}
