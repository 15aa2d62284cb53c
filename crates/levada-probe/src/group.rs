//! Groups for the key exchange: their numbers and names (IANA, "TLS Supported Groups").

/// A group, or a hybrid of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// Its number on the wire.
    pub code: u16,
    /// Its name in the IANA registry.
    pub name: &'static str,
    /// Whether what is recorded today stays unreadable to the quantum computers of tomorrow.
    pub post_quantum: bool,
}

impl Group {
    /// Every group that is in use, the best first.
    pub const ALL: &[Self] = GROUPS;

    /// The group of this number.
    pub fn find(code: u16) -> Option<&'static Self> {
        GROUPS.iter().find(|group| group.code == code)
    }

    /// The group of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        GROUPS.iter().find(|group| group.name == name)
    }
}

const fn hybrid(code: u16, name: &'static str) -> Group {
    Group { code, name, post_quantum: true }
}

const fn classic(code: u16, name: &'static str) -> Group {
    Group { code, name, post_quantum: false }
}

const GROUPS: &[Group] = &[
    hybrid(0x11ec, "X25519MLKEM768"),
    hybrid(0x11eb, "SecP256r1MLKEM768"),
    hybrid(0x11ed, "SecP384r1MLKEM1024"),
    hybrid(0x0201, "MLKEM768"),
    hybrid(0x0202, "MLKEM1024"),
    hybrid(0x0200, "MLKEM512"),
    hybrid(0x6399, "X25519Kyber768Draft00"),
    classic(0x001d, "x25519"),
    classic(0x0017, "secp256r1"),
    classic(0x0018, "secp384r1"),
    classic(0x0019, "secp521r1"),
    classic(0x001e, "x448"),
    classic(0x0100, "ffdhe2048"),
    classic(0x0101, "ffdhe3072"),
    classic(0x0102, "ffdhe4096"),
    classic(0x0103, "ffdhe6144"),
    classic(0x0104, "ffdhe8192"),
    classic(0x001f, "brainpoolP256r1tls13"),
    classic(0x0020, "brainpoolP384r1tls13"),
    classic(0x0021, "brainpoolP512r1tls13"),
    classic(0x001a, "brainpoolP256r1"),
    classic(0x001b, "brainpoolP384r1"),
    classic(0x001c, "brainpoolP512r1"),
    classic(0x0016, "secp256k1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_stand_once() {
        for group in GROUPS {
            assert_eq!(Group::find(group.code), Some(group));
            assert_eq!(Group::named(group.name), Some(group));
        }
    }
}
