//! `levada serve --demo`: a page in which one can see a WebSocket of this server live.
//!
//! It is in the binary whole, and asks for nothing from elsewhere: its security policy allows what it
//! has in itself, the module beside it, and this server.

mod diagram;

use std::fmt::Write as _;

use base64ct::{Base64, Encoding as _};
use levada::ws::{Field, FieldError, Page};
use sha2::{Digest as _, Sha256};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The npm package `levada-web`.
const MODULE: &str = include_str!("levada-web.js");

/// A stream that the page can open.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) path: String,
    /// Where it leads, as the log shows it.
    pub(crate) to: String,
}

/// The page for these streams of one listener, and its module.
///
/// # Panics
///
/// Never: its header fields are text of ours, made of printable ASCII.
pub(crate) fn pages(streams: &[Stream]) -> Vec<Page> {
    made(streams).expect("the fields are printable ASCII")
}

fn made(streams: &[Stream]) -> Result<Vec<Page>, FieldError> {
    let mut ways = String::new();
    for Stream { path, to } in streams {
        let (path, to) = (escaped(path), escaped(to));
        // Writing to a String cannot fail.
        let _ = write!(ways, "<option value=\"{path}\">{path} → {to}");
    }
    let page = PAGE
        .replacen("{style}", STYLE, 1)
        .replacen("{script}", SCRIPT, 1)
        .replacen("{diagram}", &diagram::svg(), 1)
        .replacen("{ways}", &ways, 1);
    let policy = format!(
        "default-src 'none'; script-src 'self' '{}'; style-src '{}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    let fields = [
        Field::new("Content-Security-Policy", &policy)?,
        Field::new("Cross-Origin-Resource-Policy", "same-origin")?,
        Field::new("Referrer-Policy", "no-referrer")?,
        Field::new("X-Content-Type-Options", "nosniff")?,
        Field::new("Cache-Control", "no-store")?,
    ];
    Ok(vec![
        Page::new("/", "text/html; charset=utf-8", &fields, page.as_bytes())?,
        Page::new("/levada-web.js", "text/javascript; charset=utf-8", &fields, MODULE.as_bytes())?,
    ])
}

/// How a Content-Security-Policy names what stands in the page (CSP 3 section 2.3.1).
fn hash(text: &str) -> String {
    format!("sha256-{}", Base64::encode_string(&Sha256::digest(text)))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for sign in text.chars() {
        match sign {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '"' => escaped.push_str("&quot;"),
            sign => escaped.push(sign),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_names_is_text_in_the_page() {
        assert_eq!(escaped("/a?\"><script>&"), "/a?&quot;>&lt;script>&amp;");
    }

    #[test]
    fn the_hash_is_the_one_of_the_standard() {
        // CSP 3, the example of section 8.4.
        assert_eq!(hash("doSomething();"), "sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc=");
    }
}
