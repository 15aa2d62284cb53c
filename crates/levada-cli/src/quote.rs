//! Words that can be pasted into a shell.

use std::borrow::Cow;
use std::path::Path;

/// `word` as a POSIX shell reads it back, in quotes where it needs them.
pub(crate) fn quote(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

/// The path as a word.
pub(crate) fn quoted(path: &Path) -> String {
    quote(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_from_a_shell() {
        for word in ["", "a", "/a b/c", "it's", "tls://a:1?ca=b&c", "$HOME", "*", "\"", "a\nb", "~"]
        {
            let script = format!("printf %s {}", quote(word));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
        assert_eq!(quote("/a/b-1.pem"), "/a/b-1.pem");
    }
}
