//! The keys of a policy file: what the reader takes, and what the docs show.

/// One key of a policy file, as the docs show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyKey {
    /// The key.
    pub word: &'static str,
    /// The shape of its value, as TOML.
    pub value: &'static str,
    /// What holds where it is absent, in words.
    pub default: &'static str,
    /// What it does, as one line without a full stop.
    pub help: &'static str,
}

const fn key(
    word: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> PolicyKey {
    PolicyKey { word, value, default, help }
}

const FILE: &str = "\"FILE\"";
const FILES: &str = "[\"FILE\", ...]";
const NAMES: &str = "[\"NAME\", ...]";
const SELECTORS: &str = "[\"SELECTOR\", ...]";
const USERS: &str = "[\"NAME\" or UID, ...]";
const GROUPS: &str = "[\"NAME\" or GID, ...]";
const SCOPE: &str = "\"chain\" or \"leaf\"";

/// The keys of the whole file.
pub const POLICY_KEYS: &[PolicyKey] = &[
    key("anchors", FILE, "the platform's authorities", "PEM of whom to trust as server"),
    key("crl", FILES, "none is asked for", "PEM or DER of the servers' revocation lists"),
    key(
        "crl-check",
        SCOPE,
        "`\"chain\"`",
        "of whom a list has to tell: of all below the anchor, or of the server alone",
    ),
    key("client-anchors", FILE, "nobody", "PEM of who vouches for clients"),
    key("client-crl", FILES, "none is asked for", "as `crl`, of the clients"),
    key("client-crl-check", SCOPE, "`\"chain\"`", "as `crl-check`, of the clients"),
    key("starttls", "false", "`true`", "whether connections are protected; PING tells of it"),
    key(
        "kernel-tls",
        "false",
        "`true`",
        "whether the kernel may seal and open records, for programs that ask for it",
    ),
    key("clients-per-user", "NUMBER", "as many as there may be", "control connections of one user"),
    key("sessions-per-user", "NUMBER", "as many as there may be", "sessions of one user"),
    key(
        "pin-entry-users",
        USERS,
        "the pool's user and root",
        "who may enter PINs for `key-pass = \"ask\"`",
    ),
    key(
        "lidentry-users",
        USERS,
        "the pool's user and root",
        "who may choose which identity is shown",
    ),
    key(
        "lidentry-choices",
        FILE,
        "they hold until the pool stops",
        "keeps the choices that are to be remembered",
    ),
    key("local-ca", "[local-ca]", "nobody", "who signs certificates on the fly"),
    key("identity", "[[identity]]", "none", "who we can be; repeatable"),
];

// Of identities and of the local CA alike.
const CERT: PolicyKey =
    key("cert", FILE, "needed", "PEM of the certificate, its issuers behind it");
const ROLES: PolicyKey = key("roles", "[\"client\", \"server\"]", "both", "where it may be used");
const SERVICES: PolicyKey = key("services", NAMES, "all", "the protocols that may use it");
const BY_USER: PolicyKey = key("users", USERS, "all that reach the socket", "who may use it");
const BY_GROUP: PolicyKey = key("groups", GROUPS, "all that reach the socket", "who may use it");

/// The keys of an identity.
pub const IDENTITY_KEYS: &[PolicyKey] = &[
    key("name", "\"DOMAIN\" or \"USER@DOMAIN\"", "needed", "by what applications ask for it"),
    CERT,
    key(
        "key",
        "\"FILE\" or \"pkcs11:URI\"",
        "in the file `cert`",
        "PEM of the private key, or where it is on a token",
    ),
    key(
        "key-pass-file",
        FILE,
        "the key is not encrypted",
        "its first line decrypts the key, or is the PIN of its token",
    ),
    key(
        "key-pass",
        "\"ask\"",
        "the key is not encrypted",
        "a person is asked for what decrypts it, or for the PIN of its token",
    ),
    key("ocsp", FILE, "none", "DER of the OCSP response that is stapled to the certificate"),
    ROLES,
    key("show-to", SELECTORS, "nobody", "the servers that see it without being told to"),
    SERVICES,
    BY_USER,
    BY_GROUP,
    key("default", "true", "`false`", "shown to clients that ask for no name"),
];

/// The keys of the local CA.
pub const LOCAL_CA_KEYS: &[PolicyKey] = &[
    CERT,
    key("key", FILE, "in the file `cert`", "PEM of its private key"),
    key("names", SELECTORS, "needed", "the local identities that it may sign for"),
    ROLES,
    SERVICES,
    BY_USER,
    BY_GROUP,
];
