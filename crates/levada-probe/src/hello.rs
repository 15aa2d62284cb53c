//! A ClientHello made by hand (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2).

use alloc::vec::Vec;

use crate::version::Version;

/// A ClientHello that offers just this. It is never gone on with: the server's answer to it is all that
/// is wanted, so it holds no key, and in TLS 1.3 asks for the group by an empty list of shares (RFC 8446
/// section 4.2.8).
#[derive(Clone, Debug)]
pub struct ClientHello<'a> {
    /// The one version that is offered.
    pub version: Version,
    /// The numbers of the suites, the preferred one first. At least one, at most 32767.
    pub suites: &'a [u16],
    /// The numbers of the groups, the preferred one first. None of them: the extension stays away.
    pub groups: &'a [u16],
    /// The name to ask for (RFC 6066 section 3): ASCII, at most 255 bytes.
    pub server_name: Option<&'a str>,
    /// Bytes for the random and the session id, which nobody needs to be unable to guess.
    pub random: [u8; 32],
}

/// Extensions, by their numbers.
const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const EC_POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const EXTENDED_MASTER_SECRET: u16 = 23;
const SUPPORTED_VERSIONS: u16 = 43;
const PSK_KEY_EXCHANGE_MODES: u16 = 45;
const KEY_SHARE: u16 = 51;
const RENEGOTIATION_INFO: u16 = 0xff01;

/// Every signature scheme in use, so that none is the reason for a refusal: ECDSA, EdDSA, RSA-PSS, the
/// Brainpool curves, RSA PKCS#1, ML-DSA, and those by SHA-1 and DSA.
const SIGNATURE_SCHEMES: &[u16] = &[
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x081a,
    0x081b, 0x081c, 0x0401, 0x0501, 0x0601, 0x0904, 0x0905, 0x0906, 0x0303, 0x0301, 0x0203, 0x0201,
    0x0402, 0x0302, 0x0202,
];

impl ClientHello<'_> {
    /// The record that holds it.
    pub fn record(&self) -> Vec<u8> {
        // Of TLS 1.3 nothing shows on the outside (RFC 8446 section 4.1.2); and some servers want no more
        // than 1.0 there (section 5.1).
        let legacy = self.version.min(Version::Tls12).number();
        let outside = self.version.min(Version::Tls10).number();
        let mut record = Vec::with_capacity(1024);
        record.push(22);
        record.extend(outside.to_be_bytes());
        with_length::<2>(&mut record, |record| {
            record.push(1);
            with_length::<3>(record, |hello| {
                hello.extend(legacy.to_be_bytes());
                hello.extend(self.random);
                let session_id: &[u8] =
                    if self.version == Version::Tls13 { &self.random } else { &[] };
                with_length::<1>(hello, |hello| hello.extend_from_slice(session_id));
                with_length::<2>(hello, |hello| numbers(hello, self.suites));
                hello.extend([1, 0]);
                if self.version > Version::Ssl3 {
                    with_length::<2>(hello, |hello| self.extensions(hello));
                }
            });
        });
        record
    }

    fn extensions(&self, hello: &mut Vec<u8>) {
        if let Some(name) = self.server_name {
            extension(hello, SERVER_NAME, |list| {
                with_length::<2>(list, |list| {
                    list.push(0);
                    with_length::<2>(list, |list| list.extend(name.bytes()));
                });
            });
        }
        if !self.groups.is_empty() {
            extension(hello, SUPPORTED_GROUPS, |list| {
                with_length::<2>(list, |list| numbers(list, self.groups));
            });
        }
        if self.version >= Version::Tls12 {
            extension(hello, SIGNATURE_ALGORITHMS, |list| {
                with_length::<2>(list, |list| numbers(list, SIGNATURE_SCHEMES));
            });
        }
        if self.version == Version::Tls13 {
            extension(hello, SUPPORTED_VERSIONS, |list| {
                with_length::<1>(list, |list| list.extend(self.version.number().to_be_bytes()));
            });
            extension(hello, PSK_KEY_EXCHANGE_MODES, |list| list.extend([1, 1]));
            extension(hello, KEY_SHARE, |list| list.extend([0, 0]));
        } else {
            extension(hello, EC_POINT_FORMATS, |list| list.extend([1, 0]));
            extension(hello, EXTENDED_MASTER_SECRET, |_| {});
            extension(hello, RENEGOTIATION_INFO, |list| list.push(0));
        }
    }
}

fn extension(hello: &mut Vec<u8>, number: u16, body: impl FnOnce(&mut Vec<u8>)) {
    hello.extend(number.to_be_bytes());
    with_length::<2>(hello, body);
}

fn numbers(to: &mut Vec<u8>, numbers: &[u16]) {
    to.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
}

/// Writes `body` behind its length in `BYTES` bytes.
fn with_length<const BYTES: usize>(to: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    to.extend([0; BYTES]);
    body(to);
    let length = (to.len() - start - BYTES).to_be_bytes();
    to[start..start + BYTES].copy_from_slice(&length[length.len() - BYTES..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Group, Suite};

    fn hello(version: Version) -> Vec<u8> {
        let suites: Vec<_> = Suite::ALL.iter().map(|suite| suite.code).collect();
        let groups: Vec<_> = Group::ALL.iter().map(|group| group.code).collect();
        let server_name = Some("host.example");
        ClientHello { version, suites: &suites, groups: &groups, server_name, random: [7; 32] }
            .record()
    }

    #[test]
    fn every_length_is_that_of_what_follows() {
        for version in Version::ALL {
            let record = hello(version);
            assert_eq!(usize::from(u16::from_be_bytes([record[3], record[4]])), record.len() - 5);
            assert_eq!(&record[5..7], &[1, 0]);
            assert_eq!(usize::from(u16::from_be_bytes([record[7], record[8]])), record.len() - 9);
        }
    }

    #[test]
    fn the_version_stands_where_its_time_has_put_it() {
        let outside = |version| {
            let record = hello(version);
            ([record[1], record[2]], [record[9], record[10]])
        };
        assert_eq!(outside(Version::Ssl3), ([3, 0], [3, 0]));
        assert_eq!(outside(Version::Tls10), ([3, 1], [3, 1]));
        assert_eq!(outside(Version::Tls11), ([3, 1], [3, 2]));
        assert_eq!(outside(Version::Tls12), ([3, 1], [3, 3]));
        assert_eq!(outside(Version::Tls13), ([3, 1], [3, 3]));
        let versions = [0, 43, 0, 3, 2, 3, 4];
        let has = |version| hello(version).windows(7).any(|bytes| bytes == versions);
        assert!(has(Version::Tls13) && !has(Version::Tls12));
    }

    #[test]
    fn ssl_3_knows_no_extensions() {
        let record = hello(Version::Ssl3);
        assert!(!record.windows(12).any(|bytes| bytes == b"host.example"));
        assert!(record.ends_with(&[1, 0]));
    }
}
