//! The reading of a policy file: its values.

use std::path::PathBuf;

use levada_address::KeyPlace;
use levada_config::suggest;
use levada_pool_wire::Role;
use levada_tls::CrlScope;
use toml::de::{DeTable, DeValue};

use super::file::{Account, Placed, Roles};
use super::reader::{Reader, Value};
use super::selector::{is_host, normalize};

impl Reader<'_> {
    pub(super) fn name(&mut self, table: &DeTable<'_>) -> Option<Placed<String>> {
        let value = table.get("name")?;
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

    pub(super) fn path(&mut self, table: &DeTable<'_>, word: &str) -> Option<Placed<PathBuf>> {
        self.file_at(table.get(word)?)
    }

    pub(super) fn paths(&mut self, table: &DeTable<'_>, word: &str) -> Vec<Placed<PathBuf>> {
        self.each(table, word, "[\"FILE\"]", Self::file_at).unwrap_or_default()
    }

    fn file_at(&mut self, value: &Value<'_>) -> Option<Placed<PathBuf>> {
        let text = self.string(value, "\"FILE\"")?;
        if text.is_empty() || text.contains('\0') {
            self.fault(value.span(), "no path", "give the path of a file");
            return None;
        }
        Some(Placed { value: self.folder.join(text), place: value.span() })
    }

    pub(super) fn key_place(&mut self, value: &Value<'_>) -> Option<Placed<KeyPlace>> {
        if let DeValue::String(text) = value.get_ref()
            && KeyPlace::is_uri(text.as_bytes())
        {
            let uri = KeyPlace::Pkcs11(text.clone().into_owned());
            return Some(Placed { value: uri, place: value.span() });
        }
        let Placed { value, place } = self.file_at(value)?;
        Some(Placed { value: KeyPlace::File(value), place })
    }

    /// Of whose revocation the lists have to tell that `lists` names.
    pub(super) fn scope(&mut self, table: &DeTable<'_>, word: &str, lists: &str) -> CrlScope {
        let Some(value) = table.get(word) else { return CrlScope::default() };
        if !table.contains_key(lists) {
            let hint = format!("name the lists in `{lists}`, or take it away");
            self.fault(value.span(), "there are no lists to check with", hint);
        }
        let words = [("chain", CrlScope::Chain), ("leaf", CrlScope::Leaf)];
        self.one_of(value, &words, "neither the chain nor the leaf").unwrap_or_default()
    }

    pub(super) fn roles(&mut self, table: &DeTable<'_>) -> Roles {
        let words = [("client", Role::Client), ("server", Role::Server)];
        let role = |reader: &mut Self, item: &Value<'_>| reader.one_of(item, &words, "no role");
        let Some(roles) = self.each(table, "roles", "[\"server\"]", role) else {
            return Roles::default();
        };
        Roles { client: roles.contains(&Role::Client), server: roles.contains(&Role::Server) }
    }

    pub(super) fn selectors(&mut self, table: &DeTable<'_>, word: &str) -> Vec<String> {
        let selector = |reader: &mut Self, item: &Value<'_>| {
            let text = reader.string(item, "\".example\"")?;
            let read = normalize(&text).map_err(|error| {
                let hint = "write `host.example`, `.example` for all below it, `.` for all, \
                            each with `user@` or `@` before it where users are meant";
                reader.fault(item.span(), error.to_string(), hint);
            });
            read.ok()
        };
        self.each(table, word, "[\".example\"]", selector).unwrap_or_default()
    }

    pub(super) fn services(&mut self, table: &DeTable<'_>) -> Option<Vec<String>> {
        self.each(table, "services", "[\"https\"]", |reader, item| {
            let text = reader.string(item, "\"https\"")?;
            if text.is_empty() || text.len() > 15 {
                let hint = "a service is named as in IANA's registry, in 1 to 15 bytes";
                reader.fault(item.span(), "no service has such a name", hint);
                return None;
            }
            Some(text)
        })
    }

    pub(super) fn accounts(
        &mut self,
        table: &DeTable<'_>,
        word: &str,
    ) -> Option<Vec<Placed<Account>>> {
        self.each(table, word, "[\"www-data\", 1000]", |reader, item| {
            let account = match item.get_ref() {
                DeValue::String(name) if !name.is_empty() => Ok(Account::Name(name.to_string())),
                DeValue::Integer(number) => {
                    match u32::from_str_radix(number.as_str(), number.radix()) {
                        Ok(number) if number != u32::MAX => Ok(Account::Number(number)),
                        _ => Err((
                            "no such number",
                            "numbers of users and groups are below 4294967295",
                        )),
                    }
                }
                _ => Err(("neither a name nor a number", "give a name in quotes, or a number")),
            };
            let account = account.map_err(|(what, hint)| reader.fault(item.span(), what, hint));
            Some(Placed { value: account.ok()?, place: item.span() })
        })
    }

    pub(super) fn switch(&mut self, table: &DeTable<'_>, word: &str, absent: bool) -> bool {
        let Some(value) = table.get(word) else { return absent };
        if let DeValue::Boolean(on) = value.get_ref() {
            return *on;
        }
        let hint = "write `true` or `false`, without quotes";
        self.fault(value.span(), "neither true nor false", hint);
        absent
    }

    pub(super) fn count(&mut self, table: &DeTable<'_>, word: &str) -> Option<usize> {
        let value = table.get(word)?;
        if let DeValue::Integer(number) = value.get_ref()
            && let Ok(count @ 1..) = usize::from_str_radix(number.as_str(), number.radix())
        {
            return Some(count);
        }
        self.fault(value.span(), "no number of them", "write a number from 1 on, without quotes");
        None
    }

    /// The items of a list that can be read, where there is a list.
    fn each<T>(
        &mut self,
        table: &DeTable<'_>,
        word: &str,
        shape: &str,
        mut read: impl FnMut(&mut Self, &Value<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let value = table.get(word)?;
        let DeValue::Array(items) = value.get_ref() else {
            self.fault(value.span(), "no list", format!("write it like `{shape}`"));
            return Some(Vec::new());
        };
        Some(items.iter().filter_map(|item| read(self, item)).collect())
    }

    /// What a text means that has to be one of `words`.
    fn one_of<T: Copy>(&mut self, value: &Value<'_>, words: &[(&str, T)], what: &str) -> Option<T> {
        let (shape, _) = words.last()?;
        let text = self.string(value, &format!("\"{shape}\""))?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let hint = suggest::key(&text, words.iter().map(|(word, _)| *word));
            self.fault(value.span(), what, hint);
        }
        found.map(|&(_, meant)| meant)
    }

    pub(super) fn string(&mut self, value: &Value<'_>, shape: &str) -> Option<String> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.clone().into_owned());
        }
        self.fault(value.span(), "no text", format!("write it like `{shape}`, in quotes"));
        None
    }
}
