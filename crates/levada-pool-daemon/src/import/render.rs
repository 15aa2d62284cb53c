//! A policy as it is written.

use std::fmt::Write as _;

use super::Import;
use crate::policy::PolicyFile;

/// An identity that is to be in the policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) cert: String,
    /// Where the key is, if not behind the certificate.
    pub(super) key: Option<String>,
    pub(super) asks: bool,
    /// In one role alone.
    pub(super) role: Option<&'static str>,
    pub(super) show_to: Vec<String>,
}

impl Entry {
    fn text(&self) -> String {
        let mut text =
            format!("[[identity]]\nname = {}\ncert = {}\n", quoted(&self.name), quoted(&self.cert));
        // Writing to a String cannot fail.
        if let Some(key) = &self.key {
            let _ = writeln!(text, "key = {}", quoted(key));
        }
        if self.asks {
            text.push_str("key-pass = \"ask\"\n");
        }
        if let Some(role) = self.role {
            let _ = writeln!(text, "roles = [{}]", quoted(role));
        }
        if !self.show_to.is_empty() {
            let all: Vec<_> = self.show_to.iter().map(|selector| quoted(selector)).collect();
            let _ = writeln!(text, "show-to = [{}]", all.join(", "));
        }
        text
    }

    /// What is wrong with it for the reader of policies, if anything is.
    pub(super) fn fault(&self) -> Option<String> {
        // Its file has a name once it is taken.
        let with_file = Self { cert: "x".to_owned(), ..self.clone() };
        let faults = PolicyFile::parse(&with_file.text(), "".as_ref()).err()?;
        Some(faults.iter().map(levada_config::Fault::what).collect::<Vec<_>>().join("; "))
    }
}

/// The files that are named for the whole.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// Keys of the policy with the files that they name; `crl` is a list.
    pub(super) files: Vec<(&'static str, String)>,
}

impl Import {
    /// Adds the policy that has all this.
    pub(super) fn finish(mut self, whole: &Whole, entries: &[Entry]) -> Self {
        let mut text = String::new();
        for (key, file) in &whole.files {
            let file = quoted(file);
            let file = if key.ends_with("crl") { format!("[{file}]") } else { file };
            let _ = writeln!(text, "{key} = {file}");
        }
        for entry in entries {
            let before = if text.is_empty() { "" } else { "\n" };
            text.extend([before, &entry.text()]);
        }
        self.files.push((super::POLICY.to_owned(), text.into_bytes().into()));
        self
    }
}

/// A text of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(char));
            }
            char => quoted.push(char),
        }
    }
    quoted + "\""
}
