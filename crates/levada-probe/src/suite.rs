//! Cipher suites: their numbers and names (IANA, "TLS Cipher Suites"), and what is wrong with the old
//! ones.

/// A cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Suite {
    /// Its number on the wire.
    pub code: u16,
    /// Its name in the IANA registry.
    pub name: &'static str,
}

/// How much protection a suite gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// None that counts: it does not encrypt, does not authenticate, or is broken.
    Broken,
    /// Whoever gets the server's key later can read what was recorded before.
    NoForwardSecrecy,
    /// CBC mode, whose padding has been attacked again and again.
    Dated,
    /// Nothing is known against it.
    Good,
}

impl Strength {
    /// What is wrong with it, in one line; `None` for a good one.
    pub const fn weakness(self) -> Option<&'static str> {
        match self {
            Self::Broken => Some("broken"),
            Self::NoForwardSecrecy => Some("no forward secrecy"),
            Self::Dated => Some("CBC mode"),
            Self::Good => None,
        }
    }
}

impl Suite {
    /// Every suite that certificates go with, without those of pre-shared keys and passwords; the best
    /// first.
    pub const ALL: &[Self] = SUITES;

    /// The suite of this number.
    pub fn find(code: u16) -> Option<&'static Self> {
        SUITES.iter().find(|suite| suite.code == code)
    }

    /// Whether it is one of TLS 1.3, and of no version before it.
    pub const fn is_tls13(&self) -> bool {
        self.code >> 8 == 0x13
    }

    /// Whether its keys come from an exchange over an elliptic curve, or another named group.
    pub fn has_group(&self) -> bool {
        self.is_tls13() || self.name.starts_with("TLS_ECDHE_") || self.name.starts_with("TLS_ECDH_")
    }

    /// How much protection it gives.
    pub fn strength(&self) -> Strength {
        let has = |word: &&str| self.name.contains(*word);
        if ["NULL", "anon", "EXPORT", "RC4", "DES", "MD5"].iter().any(has) {
            Strength::Broken
        } else if self.name.starts_with("TLS_RSA_") {
            Strength::NoForwardSecrecy
        } else if has(&"_CBC_") {
            Strength::Dated
        } else {
            Strength::Good
        }
    }
}

const SUITES: &[Suite] = &[
    Suite { code: 0x1301, name: "TLS_AES_128_GCM_SHA256" },
    Suite { code: 0x1302, name: "TLS_AES_256_GCM_SHA384" },
    Suite { code: 0x1303, name: "TLS_CHACHA20_POLY1305_SHA256" },
    Suite { code: 0x1304, name: "TLS_AES_128_CCM_SHA256" },
    Suite { code: 0x1305, name: "TLS_AES_128_CCM_8_SHA256" },
    Suite { code: 0xc02c, name: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" },
    Suite { code: 0xc030, name: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" },
    Suite { code: 0x00a3, name: "TLS_DHE_DSS_WITH_AES_256_GCM_SHA384" },
    Suite { code: 0x009f, name: "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384" },
    Suite { code: 0xcca9, name: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" },
    Suite { code: 0xcca8, name: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" },
    Suite { code: 0xccaa, name: "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256" },
    Suite { code: 0xc0af, name: "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8" },
    Suite { code: 0xc0ad, name: "TLS_ECDHE_ECDSA_WITH_AES_256_CCM" },
    Suite { code: 0xc0a3, name: "TLS_DHE_RSA_WITH_AES_256_CCM_8" },
    Suite { code: 0xc09f, name: "TLS_DHE_RSA_WITH_AES_256_CCM" },
    Suite { code: 0xc05d, name: "TLS_ECDHE_ECDSA_WITH_ARIA_256_GCM_SHA384" },
    Suite { code: 0xc061, name: "TLS_ECDHE_RSA_WITH_ARIA_256_GCM_SHA384" },
    Suite { code: 0xc057, name: "TLS_DHE_DSS_WITH_ARIA_256_GCM_SHA384" },
    Suite { code: 0xc053, name: "TLS_DHE_RSA_WITH_ARIA_256_GCM_SHA384" },
    Suite { code: 0xc02b, name: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" },
    Suite { code: 0xc02f, name: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" },
    Suite { code: 0x00a2, name: "TLS_DHE_DSS_WITH_AES_128_GCM_SHA256" },
    Suite { code: 0x009e, name: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256" },
    Suite { code: 0xc0ae, name: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8" },
    Suite { code: 0xc0ac, name: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM" },
    Suite { code: 0xc0a2, name: "TLS_DHE_RSA_WITH_AES_128_CCM_8" },
    Suite { code: 0xc09e, name: "TLS_DHE_RSA_WITH_AES_128_CCM" },
    Suite { code: 0xc05c, name: "TLS_ECDHE_ECDSA_WITH_ARIA_128_GCM_SHA256" },
    Suite { code: 0xc060, name: "TLS_ECDHE_RSA_WITH_ARIA_128_GCM_SHA256" },
    Suite { code: 0xc056, name: "TLS_DHE_DSS_WITH_ARIA_128_GCM_SHA256" },
    Suite { code: 0xc052, name: "TLS_DHE_RSA_WITH_ARIA_128_GCM_SHA256" },
    Suite { code: 0xc086, name: "TLS_ECDHE_ECDSA_WITH_CAMELLIA_128_GCM_SHA256" },
    Suite { code: 0xc087, name: "TLS_ECDHE_ECDSA_WITH_CAMELLIA_256_GCM_SHA384" },
    Suite { code: 0xc08a, name: "TLS_ECDHE_RSA_WITH_CAMELLIA_128_GCM_SHA256" },
    Suite { code: 0xc08b, name: "TLS_ECDHE_RSA_WITH_CAMELLIA_256_GCM_SHA384" },
    Suite { code: 0xc07c, name: "TLS_DHE_RSA_WITH_CAMELLIA_128_GCM_SHA256" },
    Suite { code: 0xc07d, name: "TLS_DHE_RSA_WITH_CAMELLIA_256_GCM_SHA384" },
    Suite { code: 0xc024, name: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384" },
    Suite { code: 0xc028, name: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384" },
    Suite { code: 0x006b, name: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256" },
    Suite { code: 0x006a, name: "TLS_DHE_DSS_WITH_AES_256_CBC_SHA256" },
    Suite { code: 0xc073, name: "TLS_ECDHE_ECDSA_WITH_CAMELLIA_256_CBC_SHA384" },
    Suite { code: 0xc077, name: "TLS_ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384" },
    Suite { code: 0x00c4, name: "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA256" },
    Suite { code: 0x00c3, name: "TLS_DHE_DSS_WITH_CAMELLIA_256_CBC_SHA256" },
    Suite { code: 0xc023, name: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256" },
    Suite { code: 0xc027, name: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256" },
    Suite { code: 0x0067, name: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256" },
    Suite { code: 0x0040, name: "TLS_DHE_DSS_WITH_AES_128_CBC_SHA256" },
    Suite { code: 0xc072, name: "TLS_ECDHE_ECDSA_WITH_CAMELLIA_128_CBC_SHA256" },
    Suite { code: 0xc076, name: "TLS_ECDHE_RSA_WITH_CAMELLIA_128_CBC_SHA256" },
    Suite { code: 0x00be, name: "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA256" },
    Suite { code: 0x00bd, name: "TLS_DHE_DSS_WITH_CAMELLIA_128_CBC_SHA256" },
    Suite { code: 0xc00a, name: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA" },
    Suite { code: 0xc014, name: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA" },
    Suite { code: 0x0039, name: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA" },
    Suite { code: 0x0038, name: "TLS_DHE_DSS_WITH_AES_256_CBC_SHA" },
    Suite { code: 0x0088, name: "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA" },
    Suite { code: 0x0087, name: "TLS_DHE_DSS_WITH_CAMELLIA_256_CBC_SHA" },
    Suite { code: 0xc009, name: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA" },
    Suite { code: 0xc013, name: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA" },
    Suite { code: 0x0033, name: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA" },
    Suite { code: 0x0032, name: "TLS_DHE_DSS_WITH_AES_128_CBC_SHA" },
    Suite { code: 0x0045, name: "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA" },
    Suite { code: 0x0044, name: "TLS_DHE_DSS_WITH_CAMELLIA_128_CBC_SHA" },
    Suite { code: 0x009d, name: "TLS_RSA_WITH_AES_256_GCM_SHA384" },
    Suite { code: 0xc0a1, name: "TLS_RSA_WITH_AES_256_CCM_8" },
    Suite { code: 0xc09d, name: "TLS_RSA_WITH_AES_256_CCM" },
    Suite { code: 0xc051, name: "TLS_RSA_WITH_ARIA_256_GCM_SHA384" },
    Suite { code: 0x009c, name: "TLS_RSA_WITH_AES_128_GCM_SHA256" },
    Suite { code: 0xc0a0, name: "TLS_RSA_WITH_AES_128_CCM_8" },
    Suite { code: 0xc09c, name: "TLS_RSA_WITH_AES_128_CCM" },
    Suite { code: 0xc050, name: "TLS_RSA_WITH_ARIA_128_GCM_SHA256" },
    Suite { code: 0x003d, name: "TLS_RSA_WITH_AES_256_CBC_SHA256" },
    Suite { code: 0x00c0, name: "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA256" },
    Suite { code: 0x003c, name: "TLS_RSA_WITH_AES_128_CBC_SHA256" },
    Suite { code: 0x00ba, name: "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA256" },
    Suite { code: 0x0035, name: "TLS_RSA_WITH_AES_256_CBC_SHA" },
    Suite { code: 0x0084, name: "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA" },
    Suite { code: 0x002f, name: "TLS_RSA_WITH_AES_128_CBC_SHA" },
    Suite { code: 0x0041, name: "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA" },
    Suite { code: 0xc07a, name: "TLS_RSA_WITH_CAMELLIA_128_GCM_SHA256" },
    Suite { code: 0xc07b, name: "TLS_RSA_WITH_CAMELLIA_256_GCM_SHA384" },
    Suite { code: 0x00a7, name: "TLS_DH_anon_WITH_AES_256_GCM_SHA384" },
    Suite { code: 0x00a6, name: "TLS_DH_anon_WITH_AES_128_GCM_SHA256" },
    Suite { code: 0x006d, name: "TLS_DH_anon_WITH_AES_256_CBC_SHA256" },
    Suite { code: 0x00c5, name: "TLS_DH_anon_WITH_CAMELLIA_256_CBC_SHA256" },
    Suite { code: 0x006c, name: "TLS_DH_anon_WITH_AES_128_CBC_SHA256" },
    Suite { code: 0x00bf, name: "TLS_DH_anon_WITH_CAMELLIA_128_CBC_SHA256" },
    Suite { code: 0xc019, name: "TLS_ECDH_anon_WITH_AES_256_CBC_SHA" },
    Suite { code: 0x003a, name: "TLS_DH_anon_WITH_AES_256_CBC_SHA" },
    Suite { code: 0x0089, name: "TLS_DH_anon_WITH_CAMELLIA_256_CBC_SHA" },
    Suite { code: 0xc018, name: "TLS_ECDH_anon_WITH_AES_128_CBC_SHA" },
    Suite { code: 0x0034, name: "TLS_DH_anon_WITH_AES_128_CBC_SHA" },
    Suite { code: 0x0046, name: "TLS_DH_anon_WITH_CAMELLIA_128_CBC_SHA" },
    Suite { code: 0xc006, name: "TLS_ECDHE_ECDSA_WITH_NULL_SHA" },
    Suite { code: 0xc010, name: "TLS_ECDHE_RSA_WITH_NULL_SHA" },
    Suite { code: 0xc015, name: "TLS_ECDH_anon_WITH_NULL_SHA" },
    Suite { code: 0x003b, name: "TLS_RSA_WITH_NULL_SHA256" },
    Suite { code: 0x0002, name: "TLS_RSA_WITH_NULL_SHA" },
    Suite { code: 0x0001, name: "TLS_RSA_WITH_NULL_MD5" },
    Suite { code: 0xc008, name: "TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA" },
    Suite { code: 0xc012, name: "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA" },
    Suite { code: 0x0016, name: "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA" },
    Suite { code: 0x0013, name: "TLS_DHE_DSS_WITH_3DES_EDE_CBC_SHA" },
    Suite { code: 0x000a, name: "TLS_RSA_WITH_3DES_EDE_CBC_SHA" },
    Suite { code: 0xc007, name: "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA" },
    Suite { code: 0xc011, name: "TLS_ECDHE_RSA_WITH_RC4_128_SHA" },
    Suite { code: 0x0005, name: "TLS_RSA_WITH_RC4_128_SHA" },
    Suite { code: 0x0004, name: "TLS_RSA_WITH_RC4_128_MD5" },
    Suite { code: 0xc017, name: "TLS_ECDH_anon_WITH_3DES_EDE_CBC_SHA" },
    Suite { code: 0xc016, name: "TLS_ECDH_anon_WITH_RC4_128_SHA" },
    Suite { code: 0x001b, name: "TLS_DH_anon_WITH_3DES_EDE_CBC_SHA" },
    Suite { code: 0x0018, name: "TLS_DH_anon_WITH_RC4_128_MD5" },
    Suite { code: 0x0015, name: "TLS_DHE_RSA_WITH_DES_CBC_SHA" },
    Suite { code: 0x0009, name: "TLS_RSA_WITH_DES_CBC_SHA" },
    Suite { code: 0x0014, name: "TLS_DHE_RSA_EXPORT_WITH_DES40_CBC_SHA" },
    Suite { code: 0x0008, name: "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA" },
    Suite { code: 0x0006, name: "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5" },
    Suite { code: 0x0003, name: "TLS_RSA_EXPORT_WITH_RC4_40_MD5" },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_stand_once_and_the_best_first() {
        for (index, suite) in SUITES.iter().enumerate() {
            let others = &SUITES[..index];
            assert!(others.iter().all(|other| other.code != suite.code), "{suite:?}");
            assert!(others.iter().all(|other| other.name != suite.name), "{suite:?}");
            assert!(others.iter().all(|other| other.strength() >= suite.strength()), "{suite:?}");
            assert_eq!(Suite::find(suite.code), Some(suite));
        }
    }

    #[test]
    fn a_name_tells_how_strong_it_is() {
        for (code, strength) in [
            (0x1301, Strength::Good),
            (0xc02f, Strength::Good),
            (0xc014, Strength::Dated),
            (0x009c, Strength::NoForwardSecrecy),
            (0x000a, Strength::Broken),
            (0x00a6, Strength::Broken),
        ] {
            assert_eq!(Suite::find(code).map(Suite::strength), Some(strength), "{code:#06x}");
        }
    }
}
