//! The policy as it is written: TOML in, what it says out. Nothing is opened.

use std::ops::Range;
use std::path::{Path, PathBuf};

use levada_config::{Fault, Faults, suggest};
use levada_tls::CrlScope;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::selector::{is_host, normalize};

/// What a policy file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyFile {
    /// Whom to trust as server; the platform's authorities where there is none.
    pub(crate) anchors: Option<Placed<PathBuf>>,
    /// Which servers are revoked.
    pub(crate) crls: Vec<Placed<PathBuf>>,
    /// Of whose revocation these lists have to tell.
    pub(crate) crl_scope: CrlScope,
    /// Who vouches for clients.
    pub(crate) client_anchors: Option<Placed<PathBuf>>,
    /// Which clients are revoked.
    pub(crate) client_crls: Vec<Placed<PathBuf>>,
    pub(crate) client_crl_scope: CrlScope,
    /// Whether connections are not protected at all.
    pub(crate) closed: bool,
    /// Whether no connection is handed back under kernel TLS.
    pub(crate) keeps_data: bool,
    pub(crate) clients_per_user: Option<usize>,
    pub(crate) sessions_per_user: Option<usize>,
    /// Who may enter PINs, and who may choose identities.
    pub(crate) pin_entry_users: Option<Vec<Placed<Account>>>,
    pub(crate) lidentry_users: Option<Vec<Placed<Account>>>,
    pub(crate) local_ca: Option<LocalCaEntry>,
    pub(crate) identities: Vec<IdentityEntry>,
    /// For faults that are found when the files are opened.
    pub(crate) text: String,
}

/// A value, with its place in the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) place: Range<usize>,
}

/// One `[[identity]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityEntry {
    pub(crate) name: Placed<String>,
    pub(crate) cert: Placed<PathBuf>,
    pub(crate) key: Option<Placed<PathBuf>>,
    pub(crate) passphrase_file: Option<Placed<PathBuf>>,
    /// What the authority says of the certificate.
    pub(crate) ocsp: Option<Placed<PathBuf>>,
    /// Whether a person is asked for what decrypts the key.
    pub(crate) asks: bool,
    pub(crate) rights: RightsEntry,
    /// Selectors, normalized.
    pub(crate) show_to: Vec<String>,
    /// Whether it is shown to clients that ask for no name.
    pub(crate) default: bool,
}

/// The `[local-ca]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalCaEntry {
    pub(crate) cert: Placed<PathBuf>,
    pub(crate) key: Option<Placed<PathBuf>>,
    /// Selectors, normalized.
    pub(crate) names: Vec<String>,
    pub(crate) rights: RightsEntry,
}

/// Who may use what the table is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RightsEntry {
    pub(crate) roles: Roles,
    pub(crate) services: Option<Vec<String>>,
    pub(crate) users: Option<Vec<Placed<Account>>>,
    pub(crate) groups: Option<Vec<Placed<Account>>>,
}

/// In which roles an identity may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) client: bool,
    pub(crate) server: bool,
}

impl Default for Roles {
    fn default() -> Self {
        Self { client: true, server: true }
    }
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    Number(u32),
    Name(String),
}

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

/// The keys of the whole file.
pub const POLICY_KEYS: &[PolicyKey] = &[
    key("anchors", "\"FILE\"", "the platform's authorities", "PEM of whom to trust as server"),
    key(
        "crl",
        "[\"FILE\", ...]",
        "none is asked for",
        "PEM or DER of the servers' revocation lists",
    ),
    key(
        "crl-check",
        "\"chain\" or \"leaf\"",
        "`\"chain\"`",
        "of whom a list has to tell: of all below the anchor, or of the server alone",
    ),
    key("client-anchors", "\"FILE\"", "nobody", "PEM of who vouches for clients"),
    key("client-crl", "[\"FILE\", ...]", "none is asked for", "as `crl`, of the clients"),
    key(
        "client-crl-check",
        "\"chain\" or \"leaf\"",
        "`\"chain\"`",
        "as `crl-check`, of the clients",
    ),
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
        "[\"NAME\" or UID, ...]",
        "the pool's user and root",
        "who may enter PINs for `key-pass = \"ask\"`",
    ),
    key(
        "lidentry-users",
        "[\"NAME\" or UID, ...]",
        "the pool's user and root",
        "who may choose which identity is shown",
    ),
    key("local-ca", "[local-ca]", "nobody", "who signs certificates on the fly"),
    key("identity", "[[identity]]", "none", "who we can be; repeatable"),
];

/// The keys of an identity.
pub const IDENTITY_KEYS: &[PolicyKey] = &[
    key("name", "\"DOMAIN\" or \"USER@DOMAIN\"", "needed", "by what applications ask for it"),
    key("cert", "\"FILE\"", "needed", "PEM of the certificate, its issuers behind it"),
    key("key", "\"FILE\"", "in the file `cert`", "PEM of the private key"),
    key("key-pass-file", "\"FILE\"", "the key is not encrypted", "its first line decrypts the key"),
    key(
        "key-pass",
        "\"ask\"",
        "the key is not encrypted",
        "a person is asked for what decrypts it",
    ),
    key("ocsp", "\"FILE\"", "none", "DER of the OCSP response that is stapled to the certificate"),
    key("roles", "[\"client\", \"server\"]", "both", "where it may be used"),
    key(
        "show-to",
        "[\"SELECTOR\", ...]",
        "nobody",
        "the servers that see it without being told to",
    ),
    key("services", "[\"NAME\", ...]", "all", "the protocols that may use it"),
    key("users", "[\"NAME\" or UID, ...]", "all that reach the socket", "who may use it"),
    key("groups", "[\"NAME\" or GID, ...]", "all that reach the socket", "who may use it"),
    key("default", "true", "`false`", "shown to clients that ask for no name"),
];

/// The keys of the local CA.
pub const LOCAL_CA_KEYS: &[PolicyKey] = &[
    key("cert", "\"FILE\"", "needed", "PEM of the authority's certificate, its issuers behind it"),
    key("key", "\"FILE\"", "in the file `cert`", "PEM of its private key"),
    key("names", "[\"SELECTOR\", ...]", "needed", "the local identities that it may sign for"),
    key("roles", "[\"client\", \"server\"]", "both", "where they may be used"),
    key("services", "[\"NAME\", ...]", "all", "the protocols that may use them"),
    key("users", "[\"NAME\" or UID, ...]", "all that reach the socket", "who may use them"),
    key("groups", "[\"NAME\" or GID, ...]", "all that reach the socket", "who may use them"),
];

impl PolicyFile {
    /// Reads a policy. Relative paths begin at `folder`, that of the file.
    ///
    /// ```
    /// use std::path::Path;
    /// use levada_pool_daemon::PolicyFile;
    ///
    /// let text = r#"
    /// [[identity]]
    /// name = "host.example"
    /// cert = "host.pem"
    /// service = ["https"]
    /// "#;
    /// let faults = PolicyFile::parse(text, Path::new("/etc/levada")).unwrap_err();
    /// assert_eq!(
    ///     faults.in_file("pool.toml").to_string(),
    ///     "pool.toml:5:1: unknown key `service`
    ///     service = [\"https\"]
    ///     ^^^^^^^
    ///     did you mean `services`?"
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it; where it is no TOML, the first thing alone.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Faults> {
        let table = DeTable::parse(text).map_err(|error| {
            let place = error.span().unwrap_or(text.len()..text.len());
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            Faults::new(text, vec![Fault::new(place, message, None)])
        })?;
        let mut reader = Reader { text, folder, faults: Vec::new() };
        let file = reader.file(table.get_ref());
        if reader.faults.is_empty() { Ok(file) } else { Err(Faults::new(text, reader.faults)) }
    }
}

type Value<'a> = Spanned<DeValue<'a>>;

/// The reading of one text. What is wrong is kept, and the reading goes on.
struct Reader<'t> {
    text: &'t str,
    folder: &'t Path,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn file(&mut self, table: &DeTable<'_>) -> PolicyFile {
        self.unknown_keys(table, POLICY_KEYS, IDENTITY_KEYS, "write `[[identity]]` above it");
        let mut identities = Vec::new();
        match table.get("identity").map(|value| (value, value.get_ref())) {
            None => {}
            Some((_, DeValue::Array(items))) => {
                identities.extend(items.iter().filter_map(|item| self.identity(item)));
            }
            Some((value, _)) => {
                let hint = "write `[[identity]]`, with two brackets: there may be several";
                self.fault(value.span(), "`identity` is no list of identities", hint);
            }
        }
        self.together(&identities);
        PolicyFile {
            anchors: self.path(table, "anchors"),
            crls: self.paths(table, "crl"),
            crl_scope: self.scope(table, "crl-check", "crl"),
            client_anchors: self.path(table, "client-anchors"),
            client_crls: self.paths(table, "client-crl"),
            client_crl_scope: self.scope(table, "client-crl-check", "client-crl"),
            closed: !self.switch(table.get("starttls"), true),
            keeps_data: !self.switch(table.get("kernel-tls"), true),
            clients_per_user: self.count(table.get("clients-per-user")),
            sessions_per_user: self.count(table.get("sessions-per-user")),
            pin_entry_users: table.get("pin-entry-users").map(|value| self.accounts(value)),
            lidentry_users: table.get("lidentry-users").map(|value| self.accounts(value)),
            local_ca: table.get("local-ca").and_then(|value| self.local_ca(value)),
            identities,
            text: self.text.to_owned(),
        }
    }

    fn identity(&mut self, item: &Value<'_>) -> Option<IdentityEntry> {
        let DeValue::Table(table) = item.get_ref() else {
            self.fault(item.span(), "no identity", "write `[[identity]]`, and its keys below");
            return None;
        };
        self.unknown_keys(
            table,
            IDENTITY_KEYS,
            POLICY_KEYS,
            "move it above the first `[[identity]]`",
        );
        let missing = |reader: &mut Self, word: &str, hint: &str| {
            if !table.contains_key(word) {
                reader.fault(item.span(), format!("an identity needs `{word}`"), hint);
            }
        };
        missing(self, "name", "add `name = \"host.example\"`: by what applications ask for it");
        missing(self, "cert", "add `cert = \"FILE\"`: its certificate, in PEM");
        // Everything is read before anything is missed, so that all faults are told at once.
        let name = table.get("name").and_then(|value| self.name(value));
        let cert = self.path(table, "cert");
        let key = self.path(table, "key");
        let passphrase_file = self.path(table, "key-pass-file");
        let ocsp = self.path(table, "ocsp");
        let asks = self.asks(table);
        let rights = self.rights(table);
        let show_to = self.selectors(table.get("show-to"));
        let default = self.switch(table.get("default"), false);
        Some(IdentityEntry {
            name: name?,
            cert: cert?,
            key,
            passphrase_file,
            ocsp,
            asks,
            rights,
            show_to,
            default,
        })
    }

    fn local_ca(&mut self, value: &Value<'_>) -> Option<LocalCaEntry> {
        let DeValue::Table(table) = value.get_ref() else {
            let hint = "write `[local-ca]`, with one pair of brackets, and its keys below";
            self.fault(value.span(), "no local CA", hint);
            return None;
        };
        let elsewhere = "move it above the first line in brackets";
        self.unknown_keys(table, LOCAL_CA_KEYS, POLICY_KEYS, elsewhere);
        let hints = [
            ("cert", "add `cert = \"FILE\"`: the authority's certificate, in PEM"),
            ("names", "add `names = [\".test\"]`: whom it may sign for"),
        ];
        for (word, hint) in hints.into_iter().filter(|(word, _)| !table.contains_key(*word)) {
            self.fault(value.span(), format!("a local CA needs `{word}`"), hint);
        }
        let cert = self.path(table, "cert");
        Some(LocalCaEntry {
            key: self.path(table, "key"),
            names: self.selectors(table.get("names")),
            rights: self.rights(table),
            cert: cert?,
        })
    }

    fn rights(&mut self, table: &DeTable<'_>) -> RightsEntry {
        RightsEntry {
            roles: self.roles(table.get("roles")),
            services: table.get("services").map(|value| self.services(value)),
            users: table.get("users").map(|value| self.accounts(value)),
            groups: table.get("groups").map(|value| self.accounts(value)),
        }
    }

    /// Whether a person is asked for the passphrase of a key.
    fn asks(&mut self, table: &DeTable<'_>) -> bool {
        let Some(value) = table.get("key-pass") else { return false };
        match self.string(value, "\"ask\"").as_deref() {
            Some("ask") | None => {}
            Some(_) => {
                let hint = "write `\"ask\"`; a passphrase itself stands in a file, `key-pass-file`";
                self.fault(value.span(), "nobody is named who knows it", hint);
            }
        }
        if table.contains_key("key-pass-file") {
            let hint = "keep one of `key-pass` and `key-pass-file`";
            self.fault(value.span(), "the passphrase has two places", hint);
        }
        true
    }

    /// What no identity can see by itself.
    fn together(&mut self, identities: &[IdentityEntry]) {
        for (index, entry) in identities.iter().enumerate() {
            let before = &identities[..index];
            if before.iter().any(|other| other.name.value == entry.name.value) {
                let hint = "give it another name, or take one of the two away";
                self.fault(entry.name.place.clone(), "another identity has this name", hint);
            }
            if entry.default && before.iter().any(|other| other.default) {
                let hint = "one identity alone is for clients that ask for no name";
                self.fault(entry.name.place.clone(), "another identity is the default", hint);
            }
        }
    }

    fn unknown_keys(
        &mut self,
        table: &DeTable<'_>,
        here: &[PolicyKey],
        elsewhere: &[PolicyKey],
        where_then: &str,
    ) {
        let words = here.iter().map(|row| row.word);
        for key in table.keys() {
            if here.iter().any(|row| row.word == key.get_ref()) {
                continue;
            }
            let hint = if elsewhere.iter().any(|row| row.word == key.get_ref()) {
                where_then.to_owned()
            } else {
                suggest::key(key.get_ref(), words.clone())
            };
            self.fault(key.span(), format!("unknown key `{key}`"), hint);
        }
    }

    fn name(&mut self, value: &Value<'_>) -> Option<Placed<String>> {
        let name = self.string(value, "\"host.example\"")?.to_ascii_lowercase();
        let (user, domain) = match name.rsplit_once('@') {
            Some((user, domain)) => (Some(user), domain),
            None => (None, name.as_str()),
        };
        let host = domain.strip_prefix("*.").filter(|_| user.is_none()).unwrap_or(domain);
        if !is_host(host) || user.is_some_and(str::is_empty) || name.len() > 127 {
            let hint = "write a domain, `*.` and a domain, or `user@domain`, of up to 127 bytes";
            self.fault(value.span(), "no identity has such a name", hint);
            return None;
        }
        Some(Placed { value: name, place: value.span() })
    }

    fn path(&mut self, table: &DeTable<'_>, word: &str) -> Option<Placed<PathBuf>> {
        self.file_at(table.get(word)?)
    }

    fn paths(&mut self, table: &DeTable<'_>, word: &str) -> Vec<Placed<PathBuf>> {
        let Some(value) = table.get(word) else { return Vec::new() };
        let items = self.list(value, "[\"FILE\"]");
        items.iter().filter_map(|item| self.file_at(item)).collect()
    }

    /// Of whose revocation the lists have to tell that `lists` names.
    fn scope(&mut self, table: &DeTable<'_>, word: &str, lists: &str) -> CrlScope {
        let Some(value) = table.get(word) else { return CrlScope::default() };
        if !table.contains_key(lists) {
            let hint = format!("name the lists in `{lists}`, or take it away");
            self.fault(value.span(), "there are no lists to check with", hint);
        }
        match self.string(value, "\"leaf\"").as_deref() {
            Some("chain") | None => CrlScope::Chain,
            Some("leaf") => CrlScope::Leaf,
            Some(other) => {
                let hint = suggest::key(other, ["chain", "leaf"].into_iter());
                self.fault(value.span(), "neither the chain nor the leaf", hint);
                CrlScope::Chain
            }
        }
    }

    fn file_at(&mut self, value: &Value<'_>) -> Option<Placed<PathBuf>> {
        let text = self.string(value, "\"FILE\"")?;
        if text.is_empty() || text.contains('\0') {
            self.fault(value.span(), "no path", "give the path of a file");
            return None;
        }
        Some(Placed { value: self.folder.join(text), place: value.span() })
    }

    fn roles(&mut self, value: Option<&Value<'_>>) -> Roles {
        let Some(value) = value else { return Roles::default() };
        let mut roles = Roles { client: false, server: false };
        for item in self.list(value, "[\"server\"]") {
            match self.string(item, "\"server\"").as_deref() {
                Some("client") => roles.client = true,
                Some("server") => roles.server = true,
                Some(other) => {
                    let hint = suggest::key(other, ["client", "server"].into_iter());
                    self.fault(item.span(), "no role", hint);
                }
                None => {}
            }
        }
        roles
    }

    fn selectors(&mut self, value: Option<&Value<'_>>) -> Vec<String> {
        let Some(value) = value else { return Vec::new() };
        let mut selectors = Vec::new();
        for item in self.list(value, "[\".example\"]") {
            let Some(text) = self.string(item, "\".example\"") else { continue };
            match normalize(&text) {
                Ok(selector) => selectors.push(selector),
                Err(error) => {
                    let hint = "write `host.example`, `.example` for all below it, `.` for all, \
                                each with `user@` or `@` before it where users are meant";
                    self.fault(item.span(), error.to_string(), hint);
                }
            }
        }
        selectors
    }

    fn services(&mut self, value: &Value<'_>) -> Vec<String> {
        let mut services = Vec::new();
        for item in self.list(value, "[\"https\"]") {
            let Some(text) = self.string(item, "\"https\"") else { continue };
            if text.is_empty() || text.len() > 15 {
                let hint = "a service is named as in IANA's registry, in 1 to 15 bytes";
                self.fault(item.span(), "no service has such a name", hint);
            } else {
                services.push(text);
            }
        }
        services
    }

    fn accounts(&mut self, value: &Value<'_>) -> Vec<Placed<Account>> {
        let mut accounts = Vec::new();
        for item in self.list(value, "[\"www-data\", 1000]") {
            let account = match item.get_ref() {
                DeValue::String(name) if !name.is_empty() => Account::Name(name.to_string()),
                DeValue::Integer(number) => {
                    match u32::from_str_radix(number.as_str(), number.radix()) {
                        Ok(number) if number != u32::MAX => Account::Number(number),
                        _ => {
                            let hint = "numbers of users and groups are below 4294967295";
                            self.fault(item.span(), "no such number", hint);
                            continue;
                        }
                    }
                }
                _ => {
                    let hint = "give a name in quotes, or a number";
                    self.fault(item.span(), "neither a name nor a number", hint);
                    continue;
                }
            };
            accounts.push(Placed { value: account, place: item.span() });
        }
        accounts
    }

    fn switch(&mut self, value: Option<&Value<'_>>, absent: bool) -> bool {
        let Some(value) = value else { return absent };
        if let DeValue::Boolean(on) = value.get_ref() {
            return *on;
        }
        self.fault(
            value.span(),
            "neither true nor false",
            "write `true` or `false`, without quotes",
        );
        absent
    }

    fn count(&mut self, value: Option<&Value<'_>>) -> Option<usize> {
        let value = value?;
        if let DeValue::Integer(number) = value.get_ref()
            && let Ok(count @ 1..) = usize::from_str_radix(number.as_str(), number.radix())
        {
            return Some(count);
        }
        self.fault(value.span(), "no number of them", "write a number from 1 on, without quotes");
        None
    }

    fn list<'v, 't>(&mut self, value: &'v Value<'t>, shape: &str) -> &'v [Value<'t>] {
        if let DeValue::Array(items) = value.get_ref() {
            return items;
        }
        self.fault(value.span(), "no list", format!("write it like `{shape}`"));
        &[]
    }

    fn string(&mut self, value: &Value<'_>, shape: &str) -> Option<String> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.clone().into_owned());
        }
        self.fault(value.span(), "no text", format!("write it like `{shape}`, in quotes"));
        None
    }

    fn fault(&mut self, place: Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        self.faults.push(Fault::new(place, what, Some(hint.into())));
    }
}
