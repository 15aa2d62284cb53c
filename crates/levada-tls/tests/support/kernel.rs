//! The kernel's part of TLS, by hand: records sealed and opened with the keys that it is given.
#![allow(unreachable_pub, reason = "shared by test files")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use levada_tls::{RecordCipher, RecordKeys, TlsVersion};

const APPLICATION_DATA: u8 = 23;
const HEADER: usize = 5;

/// One direction.
pub struct Direction {
    key: LessSafeKey,
    keys: RecordKeys,
    /// The explicit part of the next nonce, with AES in TLS 1.2.
    explicit: u64,
}

impl Direction {
    pub fn new(keys: RecordKeys) -> Self {
        let algorithm = match keys.cipher {
            RecordCipher::Aes128Gcm => &AES_128_GCM,
            RecordCipher::Aes256Gcm => &AES_256_GCM,
            RecordCipher::Chacha20Poly1305 => &CHACHA20_POLY1305,
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, &keys.key).unwrap());
        let explicit = u64::from_be_bytes(keys.nonce[4..].try_into().unwrap());
        Self { key, keys, explicit }
    }

    fn has_explicit_nonce(&self) -> bool {
        let chacha = self.keys.cipher == RecordCipher::Chacha20Poly1305;
        self.keys.version == TlsVersion::V1_2 && !chacha
    }

    /// The nonce of a record without an explicit one.
    fn implicit_nonce(&self) -> [u8; 12] {
        let mut nonce = *self.keys.nonce;
        for (byte, sequence) in nonce[4..].iter_mut().zip(self.keys.sequence.to_be_bytes()) {
            *byte ^= sequence;
        }
        nonce
    }

    /// What of a record of TLS 1.2 is authenticated and not encrypted (RFC 5246 section 6.2.3.3).
    fn tls12_header(&self, content_type: u8, length: usize) -> Vec<u8> {
        let length = u16::try_from(length).unwrap().to_be_bytes();
        [&self.keys.sequence.to_be_bytes()[..], &[content_type, 3, 3], &length].concat()
    }

    /// The next record that is sent.
    pub fn seal(&mut self, content_type: u8, content: &[u8]) -> Vec<u8> {
        let mut nonce = self.implicit_nonce();
        let mut sealed = content.to_vec();
        let (outer_type, front, header) = match self.keys.version {
            TlsVersion::V1_3 => {
                sealed.push(content_type);
                let length = u16::try_from(sealed.len() + 16).unwrap().to_be_bytes();
                let header = [&[APPLICATION_DATA, 3, 3][..], &length].concat();
                (APPLICATION_DATA, Vec::new(), header)
            }
            TlsVersion::V1_2 => {
                let mut front = Vec::new();
                if self.has_explicit_nonce() {
                    front = self.explicit.to_be_bytes().to_vec();
                    nonce[..4].copy_from_slice(&self.keys.nonce[..4]);
                    nonce[4..].copy_from_slice(&front);
                    self.explicit = self.explicit.wrapping_add(1);
                }
                (content_type, front, self.tls12_header(content_type, content.len()))
            }
        };
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed).unwrap();
        self.keys.sequence += 1;
        let length = u16::try_from(front.len() + sealed.len()).unwrap().to_be_bytes();
        [&[outer_type, 3, 3][..], &length, &front, &sealed].concat()
    }

    /// The next record that came: of what type, and what is in it.
    pub fn open(&mut self, record: &[u8]) -> (u8, Vec<u8>) {
        let (header, body) = record.split_at(HEADER);
        let mut nonce = self.implicit_nonce();
        let mut sealed = body.to_vec();
        let header = match self.keys.version {
            TlsVersion::V1_3 => header.to_vec(),
            TlsVersion::V1_2 => {
                if self.has_explicit_nonce() {
                    nonce[..4].copy_from_slice(&self.keys.nonce[..4]);
                    nonce[4..].copy_from_slice(&sealed[..8]);
                    sealed.drain(..8);
                }
                self.tls12_header(header[0], sealed.len() - 16)
            }
        };
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(header), &mut sealed).unwrap();
        let mut content = opened.to_vec();
        self.keys.sequence += 1;
        let content_type = match self.keys.version {
            TlsVersion::V1_2 => record[0],
            TlsVersion::V1_3 => content.pop().unwrap(),
        };
        (content_type, content)
    }
}
