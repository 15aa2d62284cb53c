//! Secrets of sessions for whoever is to read the recorded traffic.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

/// A place where the secrets of every session are written: whoever has them reads, and can forge, all
/// that these sessions carry. For finding faults with a recorder of traffic, never in use.
///
/// One line for each secret, in the form of `SSLKEYLOGFILE` that Wireshark reads
/// (draft-ietf-tls-keylogfile). Cheap to clone. A line that cannot be written is lost.
#[derive(Clone)]
pub struct DangerKeyLog(Arc<Lines>);

struct Lines(Mutex<Box<dyn Write + Send>>);

impl DangerKeyLog {
    /// Writes to `sink`, one call for each line.
    pub fn new(sink: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Lines(Mutex::new(Box::new(sink)))))
    }

    pub(crate) fn for_rustls(&self) -> Arc<dyn rustls::KeyLog> {
        self.0.clone()
    }
}

impl fmt::Debug for DangerKeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DangerKeyLog(..)")
    }
}

impl rustls::KeyLog for Lines {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        // With room for all: no part of a secret stays behind where a text grew.
        let room = label.len() + 2 * (client_random.len() + secret.len()) + 3;
        let mut line = Zeroizing::new(Vec::with_capacity(room));
        line.extend_from_slice(label.as_bytes());
        for bytes in [client_random, secret] {
            line.push(b' ');
            for byte in bytes {
                // Writing to a vector cannot fail.
                let _ = write!(line, "{byte:02x}");
            }
        }
        line.push(b'\n');
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = sink.write_all(&line).and_then(|()| sink.flush());
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines(..)")
    }
}
