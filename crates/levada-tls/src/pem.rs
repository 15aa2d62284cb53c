//! Reading PEM (RFC 7468), with the line numbers and the odd blocks that good errors speak of.

use std::fmt;
use std::str;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

/// One block of a PEM text.
pub(crate) struct Block {
    /// What it says it is, such as `CERTIFICATE`.
    pub(crate) label: String,
    /// The number of its first line, from 1.
    pub(crate) line: usize,
    /// Whether it is encrypted in the way that was before PKCS#8 (RFC 1421 `Proc-Type`).
    pub(crate) is_legacy_encrypted: bool,
    /// What it holds; wiped when dropped, for it may be a key.
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// A text that is no PEM, from the line where it stops being that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemError {
    pub(crate) line: usize,
    pub(crate) why: &'static str,
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for PemError {}

/// Whether there is a PEM block in `text` at all.
pub(crate) fn is_pem(text: &[u8]) -> bool {
    text.windows(BEGIN.len()).any(|window| window == BEGIN.as_bytes())
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// All blocks of `text`; what stands between them is passed over.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<Block>, PemError> {
    let mut blocks = Vec::new();
    let mut open: Option<Open> = None;
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let number = index + 1;
        let line = line.trim_ascii();
        let marker = str::from_utf8(line).ok();
        if let Some(label) = marker.and_then(|line| label(line, BEGIN)) {
            if open.is_some() {
                return Err(PemError { line: number, why: "a block begins inside another one" });
            }
            open = Some(Open::new(label, number));
        } else if let Some(label) = marker.and_then(|line| label(line, END)) {
            match open.take() {
                Some(block) if block.label == label => blocks.push(block.finish()?),
                _ => return Err(PemError { line: number, why: "an end without its beginning" }),
            }
        } else if let Some(block) = &mut open {
            block.take(line);
        }
    }
    match open {
        Some(block) => Err(PemError { line: block.line, why: "a block begins and does not end" }),
        None => Ok(blocks),
    }
}

fn label<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    line.strip_prefix(marker)?.strip_suffix(DASHES)
}

/// A block that is being read.
struct Open {
    label: String,
    line: usize,
    is_legacy_encrypted: bool,
    text: Zeroizing<Vec<u8>>,
}

impl Open {
    fn new(label: &str, line: usize) -> Self {
        Self {
            label: label.to_owned(),
            line,
            is_legacy_encrypted: false,
            text: Zeroizing::new(Vec::new()),
        }
    }

    fn take(&mut self, line: &[u8]) {
        if line.contains(&b':') {
            self.is_legacy_encrypted |=
                line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED");
            return;
        }
        if self.text.len() + line.len() > self.text.capacity() {
            // Growing in place would leave a copy of the old buffer behind.
            let room = (self.text.len() + line.len()) * 2 + 4096;
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.text);
            self.text = larger;
        }
        self.text.extend_from_slice(line);
    }

    fn finish(self) -> Result<Block, PemError> {
        let bad = |why| PemError { line: self.line, why };
        let text =
            str::from_utf8(&self.text).map_err(|_| bad("the block that begins here is no text"))?;
        let der = if self.is_legacy_encrypted {
            // Ciphertext that nobody here reads.
            Vec::new()
        } else {
            Base64::decode_vec(text)
                .map_err(|_| bad("the block that begins here is damaged: it is no base64"))?
        };
        Ok(Block {
            label: self.label,
            line: self.line,
            is_legacy_encrypted: self.is_legacy_encrypted,
            der: Zeroizing::new(der),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_other_text() {
        let text = b"hello\r\n-----BEGIN A B-----\r\nAAEC\r\nAw==\r\n-----END A B-----\r\nbye\n";
        let blocks = blocks(text).map_err(|error| error.to_string()).unwrap();
        assert_eq!(blocks.len(), 1);
        assert_eq!((blocks[0].label.as_str(), blocks[0].line), ("A B", 2));
        assert_eq!(&blocks[0].der[..], &[0, 1, 2, 3]);
    }

    #[test]
    fn legacy_encryption_is_seen() {
        let text = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
            DEK-Info: AES-128-CBC,00\n\nAAEC\n-----END RSA PRIVATE KEY-----\n";
        assert!(blocks(text).is_ok_and(|blocks| blocks[0].is_legacy_encrypted));
    }

    #[test]
    fn damage_is_told_with_its_line() {
        let told = |text: &[u8]| blocks(text).map(|_| ()).unwrap_err().to_string();
        assert_eq!(
            told(b"\n-----BEGIN A-----\n!!!!\n-----END A-----\n"),
            "line 2: the block that begins here is damaged: it is no base64"
        );
        assert_eq!(told(b"-----BEGIN A-----\nAAEC\n"), "line 1: a block begins and does not end");
        assert_eq!(told(b"-----END A-----\n"), "line 1: an end without its beginning");
        assert_eq!(
            told(b"-----BEGIN A-----\n-----BEGIN B-----\n"),
            "line 2: a block begins inside another one"
        );
    }
}
