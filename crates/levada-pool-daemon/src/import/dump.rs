//! Dumps of Berkeley DB, as `db_dump` writes them.

use std::fmt;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Why a text is no dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpError {
    line: usize,
    what: &'static str,
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for DumpError {}

/// How bytes are written.
#[derive(Clone, Copy)]
enum Format {
    /// Two hexadecimal digits each.
    Hex,
    /// Themselves, where they can be printed, else a backslash and two digits.
    Print,
}

/// The records of a dump, in its order. An empty text has none; a text of several databases has those of
/// all.
///
/// Source: Berkeley DB, `db_dump`, output format.
pub(super) fn records(text: &[u8]) -> Result<Vec<Record>, DumpError> {
    let mut records = Vec::new();
    let mut lines = text.split(|&byte| byte == b'\n').zip(1..).filter(|(line, _)| !line.is_empty());
    let mut end = 1;
    while let Some((line, number)) = lines.next() {
        let error = |line, what| Err(DumpError { line, what });
        if line != b"VERSION=3" {
            return error(number, "not the first line of a dump, `VERSION=3`");
        }
        let mut format = None;
        loop {
            let Some((line, number)) = lines.next() else {
                return error(number, "the header has no `HEADER=END`");
            };
            match line {
                b"HEADER=END" => break,
                b"format=bytevalue" => format = Some(Format::Hex),
                b"format=print" => format = Some(Format::Print),
                b"type=hash" | b"type=btree" => {}
                _ if line.starts_with(b"format=") || line.starts_with(b"type=") => {
                    return error(number, "a form that these databases do not have");
                }
                _ if line.contains(&b'=') => {}
                _ => return error(number, "not a line of a header, `name=value`"),
            }
        }
        let Some(format) = format else { return error(number, "the header has no `format=`") };
        let mut key = None;
        loop {
            let Some((line, number)) = lines.next() else {
                return error(end, "the text ends before `DATA=END`");
            };
            end = number;
            if line == b"DATA=END" {
                break;
            }
            let Some(data) = line.strip_prefix(b" ") else {
                return error(number, "neither a space and data, nor `DATA=END`");
            };
            let data = match format {
                Format::Hex => hex(data),
                Format::Print => printed(data),
            };
            let Some(data) = data else { return error(number, "what is no such data") };
            match key.take() {
                None => key = Some(data),
                Some(key) => records.push(Record { key, value: data }),
            }
        }
        if key.is_some() {
            return error(end, "a key without a value");
        }
    }
    Ok(records)
}

fn digit(byte: u8) -> Option<u8> {
    Some(char::from(byte).to_digit(16)? as u8)
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?));
    bytes.collect::<Option<_>>().filter(|_| rest.is_empty())
}

fn printed(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Some(bytes),
            [b'\\', b'\\', rest @ ..] => {
                bytes.push(b'\\');
                rest
            }
            [b'\\', high, low, rest @ ..] => {
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                rest
            }
            [b'\\', ..] => return None,
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "VERSION=3\nformat=bytevalue\ntype=hash\nh_nelem=2\nHEADER=END\n 6b\n 00ff\n 6b\n \nDATA=END\n";
    const PRINT: &str = "VERSION=3\nformat=print\ndatabase=x\ntype=btree\nHEADER=END\n k\n \\00\\ff\n k\n \nDATA=END\n";

    #[test]
    fn c3_both_forms_are_read_with_duplicate_keys_and_empty_values() {
        let record = |value: &[u8]| Record { key: b"k".to_vec(), value: value.to_vec() };
        let wanted = || vec![record(b"\0\xff"), record(b"")];
        assert_eq!(records(HEX.as_bytes()), Ok(wanted()));
        assert_eq!(records(PRINT.as_bytes()), Ok(wanted()));
        let both = records((HEX.to_owned() + PRINT).as_bytes()).unwrap();
        assert_eq!(both.len(), 4);
        assert_eq!(records(b""), Ok(Vec::new()));
        assert_eq!(printed(br"a\\b\5c"), Some(br"a\b\".to_vec()));
    }

    #[test]
    fn what_is_no_dump_is_told_with_its_line() {
        let told = |text: &str| records(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(told("\0\0"), "line 1: not the first line of a dump, `VERSION=3`");
        assert_eq!(told("VERSION=3\nformat=print"), "line 1: the header has no `HEADER=END`");
        assert_eq!(
            told("VERSION=3\ntype=recno"),
            "line 2: a form that these databases do not have"
        );
        assert_eq!(told("VERSION=3\nHEADER=END\n"), "line 1: the header has no `format=`");
        let data = |data: &str| told(&format!("VERSION=3\nformat=bytevalue\nHEADER=END\n{data}"));
        assert_eq!(data(" 6b\n"), "line 4: the text ends before `DATA=END`");
        assert_eq!(data(" 6b\nDATA=END"), "line 5: a key without a value");
        assert_eq!(data(" 6\n"), "line 4: what is no such data");
        assert_eq!(data(" xx\n"), "line 4: what is no such data");
        assert_eq!(data("6b\n"), "line 4: neither a space and data, nor `DATA=END`");
    }
}
