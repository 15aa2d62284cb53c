//! Rust source without what is no code, so that a rule is not fooled by a comment or a string.

/// The same text with each comment, string and character literal blanked. Lines and byte offsets
/// stay.
pub(crate) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(length) = opaque(rest) {
            let blank = |byte| if byte == b'\n' { '\n' } else { ' ' };
            code.extend(rest[..length].bytes().map(blank));
            length
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    code
}

/// The identifiers and keywords of `code`, each with its offset.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_border = |c: char| !(c.is_alphanumeric() || c == '_');
    let offset = |word: &str| word.as_ptr().addr() - code.as_ptr().addr();
    code.split(is_border).filter(|word| !word.is_empty()).map(move |word| (offset(word), word))
}

/// The attributes of `code`, `#[…]` and `#![…]`, each with its offset and what is in its brackets.
pub(crate) fn attributes(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.match_indices('#').filter_map(|(offset, _)| {
        let rest = &code[offset + 1..];
        let inside = rest.strip_prefix('!').unwrap_or(rest).strip_prefix('[')?;
        let mut depth = 1;
        let end = inside.find(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth == 0
        })?;
        Some((offset, &inside[..end]))
    })
}

/// The line of a byte offset, counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text[..offset].matches('\n').count()
}

/// The length of the comment or literal that `rest` begins with. One that never ends takes all.
fn opaque(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        Some(rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        Some(block_comment(rest))
    } else if let Some(inside) = rest.strip_prefix('"') {
        Some(1 + quoted(inside, '"'))
    } else if let Some(inside) = rest.strip_prefix('\'') {
        // `'a'` is a character, `'a` a lifetime.
        let mut chars = inside.chars();
        let is_char = chars.next() == Some('\\') || chars.next() == Some('\'');
        is_char.then(|| 1 + quoted(inside, '\''))
    } else {
        raw_string(rest)
    }
}

/// The length up to and with the quote that ends `inside`.
fn quoted(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = inside.find(|c| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(inside.len(), |end| end + 1)
}

fn raw_string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix(['b', 'c']).unwrap_or(rest).strip_prefix('r')?;
    let inside = body.trim_start_matches('#');
    let hashes = body.len() - inside.len();
    let inside = inside.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inside.find(&close).map_or(inside.len(), |end| end + close.len());
    Some(rest.len() - inside.len() + end)
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    loop {
        let here = &rest[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else if let Some(c) = here.chars().next() {
            at += c.len_utf8();
        }
        if depth == 0 || at == rest.len() {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        fn same(text: &str, wanted: &str) {
            let code = code_only(text);
            assert_eq!(code.len(), text.len(), "{text}");
            assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), wanted, "{text}");
        }
        same("a // unsafe\nb", "a b");
        same("a /* x /* unsafe */ y */ b", "a b");
        same(r#"a "un\"safe" b"#, "a b");
        same(r##"a r#"un"safe"# b"##, "a b");
        same(r#"a br"\" b"#, "a b");
        same(r"a '\'' b'x' 'é' b", "a b b");
        same("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
        same("let r#unsafe = 1;", "let r#unsafe = 1;");
        same("a \"never closed", "a");
        same("a /* never closed", "a");
    }

    #[test]
    fn attributes_and_words_are_found_where_they_are() {
        let code = "#![a]\n#[b(c[0])]\nfn d() { e#f }";
        assert_eq!(attributes(code).collect::<Vec<_>>(), [(0, "a"), (6, "b(c[0])")]);
        assert_eq!(words("a_b(c) d").collect::<Vec<_>>(), [(0, "a_b"), (4, "c"), (7, "d")]);
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}
