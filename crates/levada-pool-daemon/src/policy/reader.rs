//! The reading of a policy file: its tables. What is wrong is kept, and the reading goes on, so that all
//! faults are told at once.

use std::ops::Range;
use std::path::Path;

use levada_config::{Fault, Faults, suggest};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{IdentityEntry, LocalCaEntry, PolicyFile, RightsEntry};
use super::keys::{IDENTITY_KEYS, LOCAL_CA_KEYS, POLICY_KEYS, PolicyKey};

pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// The reading of one text.
pub(super) struct Reader<'t> {
    text: &'t str,
    pub(super) folder: &'t Path,
    faults: Vec<Fault>,
}

impl<'t> Reader<'t> {
    /// What `table` says, which is all of `text`.
    pub(super) fn read(
        text: &'t str,
        folder: &'t Path,
        table: &DeTable<'_>,
    ) -> Result<PolicyFile, Faults> {
        let mut reader = Self { text, folder, faults: Vec::new() };
        let file = reader.file(table);
        if reader.faults.is_empty() { Ok(file) } else { Err(Faults::new(text, reader.faults)) }
    }

    fn file(&mut self, table: &DeTable<'_>) -> PolicyFile {
        self.unknown_keys(table, POLICY_KEYS, IDENTITY_KEYS, "write `[[identity]]` above it");
        let identities = match table.get("identity").map(|value| (value, value.get_ref())) {
            None => Vec::new(),
            Some((_, DeValue::Array(items))) => {
                items.iter().filter_map(|item| self.identity(item)).collect()
            }
            Some((value, _)) => {
                let hint = "write `[[identity]]`, with two brackets: there may be several";
                self.fault(value.span(), "`identity` is no list of identities", hint);
                Vec::new()
            }
        };
        self.together(&identities);
        PolicyFile {
            anchors: self.path(table, "anchors"),
            crls: self.paths(table, "crl"),
            crl_scope: self.scope(table, "crl-check", "crl"),
            client_anchors: self.path(table, "client-anchors"),
            client_crls: self.paths(table, "client-crl"),
            client_crl_scope: self.scope(table, "client-crl-check", "client-crl"),
            closed: !self.switch(table, "starttls", true),
            keeps_data: !self.switch(table, "kernel-tls", true),
            clients_per_user: self.count(table, "clients-per-user"),
            sessions_per_user: self.count(table, "sessions-per-user"),
            pin_entry_users: self.accounts(table, "pin-entry-users"),
            lidentry_users: self.accounts(table, "lidentry-users"),
            lidentry_choices: self.path(table, "lidentry-choices"),
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
        let elsewhere = "move it above the first `[[identity]]`";
        self.unknown_keys(table, IDENTITY_KEYS, POLICY_KEYS, elsewhere);
        let needed = [
            ("name", "add `name = \"host.example\"`: by what applications ask for it"),
            ("cert", "add `cert = \"FILE\"`: its certificate, in PEM"),
        ];
        self.missing_keys(item, table, "an identity", needed);
        // All is read before one thing is missed.
        let (name, cert) = (self.name(table), self.path(table, "cert"));
        Some(IdentityEntry {
            key: table.get("key").and_then(|value| self.key_place(value)),
            passphrase_file: self.path(table, "key-pass-file"),
            ocsp: self.path(table, "ocsp"),
            asks: self.asks(table),
            rights: self.rights(table),
            show_to: self.selectors(table, "show-to"),
            default: self.switch(table, "default", false),
            name: name?,
            cert: cert?,
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
        let needed = [
            ("cert", "add `cert = \"FILE\"`: the authority's certificate, in PEM"),
            ("names", "add `names = [\".test\"]`: whom it may sign for"),
        ];
        self.missing_keys(value, table, "a local CA", needed);
        let cert = self.path(table, "cert");
        Some(LocalCaEntry {
            key: self.path(table, "key"),
            names: self.selectors(table, "names"),
            rights: self.rights(table),
            cert: cert?,
        })
    }

    fn rights(&mut self, table: &DeTable<'_>) -> RightsEntry {
        RightsEntry {
            roles: self.roles(table),
            services: self.services(table),
            users: self.accounts(table, "users"),
            groups: self.accounts(table, "groups"),
        }
    }

    /// Whether a person is asked for the passphrase of a key.
    fn asks(&mut self, table: &DeTable<'_>) -> bool {
        let Some(value) = table.get("key-pass") else { return false };
        if self.string(value, "\"ask\"").is_some_and(|word| word != "ask") {
            let hint = "write `\"ask\"`; a passphrase itself stands in a file, `key-pass-file`";
            self.fault(value.span(), "nobody is named who knows it", hint);
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
        let is_one = |keys: &[PolicyKey], word: &str| keys.iter().any(|row| row.word == word);
        for key in table.keys().filter(|key| !is_one(here, key.get_ref())) {
            let hint = if is_one(elsewhere, key.get_ref()) {
                where_then.to_owned()
            } else {
                suggest::key(key.get_ref(), here.iter().map(|row| row.word))
            };
            self.fault(key.span(), format!("unknown key `{key}`"), hint);
        }
    }

    fn missing_keys(
        &mut self,
        place: &Value<'_>,
        table: &DeTable<'_>,
        what: &str,
        needed: [(&str, &str); 2],
    ) {
        for (word, hint) in needed.into_iter().filter(|(word, _)| !table.contains_key(*word)) {
            self.fault(place.span(), format!("{what} needs `{word}`"), hint);
        }
    }

    pub(super) fn fault(
        &mut self,
        place: Range<usize>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.faults.push(Fault::new(place, what, Some(hint.into())));
    }
}
