//! The original's databases: who we can be, to whom, and whom we trust.
//!
//! Source: TLS Pool protocol V2, databases.

use std::collections::HashSet;

use levada_tls::{Anchors, Identity};

use super::dump::{Record, records};
use super::render::{Entry, Whole};
use super::{Dumps, Import, ImportError};
use crate::policy::normalize;

/// The low byte of a record's flags: what its credential is.
const TYPE: u32 = 0xff;
const X509: u32 = 1;
const PGP: u32 = 2;
/// Roles.
const CLIENT: u32 = 0x100;
const SERVER: u32 = 0x200;
/// Of a local identity: there is no URI, the chain follows, the chain is elsewhere.
const NO_URI: u32 = 0x1000;
const CHAINED: u32 = 0x2000;
const CHAIN_ELSEWHERE: u32 = 0x4000;
/// Of trust: no root, a revocation, a pin.
const NOT_ROOT: u32 = 0x1000;
const REVOCATION: u32 = 0x400;
const PIN: u32 = 0x800;

pub(super) fn import(dumps: Dumps<'_>) -> Result<Import, ImportError> {
    let read =
        |database, text| records(text).map_err(|error| ImportError::Dump { database, error });
    let localid = read("localid", dumps.localid)?;
    let disclose = read("disclose", dumps.disclose)?;
    let trust = read("trust", dumps.trust)?;
    let mut import = Import::default();
    let mut entries = Vec::new();
    for record in localid {
        local_identity(&mut import, &mut entries, &record);
    }
    disclosures(&mut import, &mut entries, &disclose);
    let whole = anchors(&mut import, &trust);
    Ok(import.finish(&whole, &entries))
}

/// A key or a text, which a NUL may end.
fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes.strip_suffix(b"\0").unwrap_or(bytes)).ok()
}

/// As it is shown, whatever it is.
fn shown(bytes: &[u8]) -> String {
    bytes.strip_suffix(b"\0").unwrap_or(bytes).escape_ascii().to_string()
}

/// The flags, the text behind them that a NUL ends, and the rest.
fn parts(value: &[u8], has_text: impl Fn(u32) -> bool) -> Option<(u32, &[u8], &[u8])> {
    let (flags, rest) = value.split_first_chunk::<4>()?;
    let flags = u32::from_be_bytes(*flags);
    if !has_text(flags) {
        return Some((flags, b"", rest));
    }
    let end = rest.iter().position(|&byte| byte == 0)?;
    Some((flags, &rest[..end], &rest[end + 1..]))
}

fn local_identity(import: &mut Import, entries: &mut Vec<Entry>, record: &Record) {
    let what = format!("local identity {}", shown(&record.key));
    match read_local_identity(record) {
        Ok((mut entry, chain, lacks)) => {
            if entries.iter().any(|other| other.name == entry.name) {
                return import.leave_out(what, "another certificate for it was taken already");
            }
            if let Some(fault) = entry.fault() {
                return import.leave_out(what, fault);
            }
            entry.cert = import.add(&entry.name, chain.into_bytes());
            import.take(what.clone());
            if let Some(lacks) = lacks {
                import.leave_out(what, lacks);
            }
            entries.push(entry);
        }
        Err(why) => import.leave_out(what, why),
    }
}

type Read = (Entry, String, Option<&'static str>);

fn read_local_identity(record: &Record) -> Result<Read, String> {
    let name = text(&record.key).ok_or("its name is no UTF-8")?.to_ascii_lowercase();
    let parts = parts(&record.value, |flags| flags & NO_URI == 0);
    let (flags, uri, der) = parts.ok_or("its record is damaged")?;
    match flags & TYPE {
        X509 => {}
        PGP => return Err("OpenPGP is no part of TLS any more".to_owned()),
        3 => return Err("the pool does no SRP".to_owned()),
        4 => return Err("the pool does no Kerberos".to_owned()),
        5 => return Err("the pool verifies every peer, and reads no expressions".to_owned()),
        other => return Err(format!("it is of the unknown type {other}")),
    }
    let role = match (flags & CLIENT != 0, flags & SERVER != 0) {
        (true, true) => None,
        (true, false) => Some("client"),
        (false, true) => Some("server"),
        (false, false) => return Err("it is for no role".to_owned()),
    };
    let uri = str::from_utf8(uri).ok().filter(|uri| !uri.is_empty());
    let uri = uri.ok_or("it says of no key where that is")?;
    if !uri.starts_with("pkcs11:") {
        return Err("its key is not on a token of PKCS#11".to_owned());
    }
    let chain = certificates(der)?;
    if chain.len() > 1 && flags & CHAINED == 0 {
        return Err("its record has more than its certificate".to_owned());
    }
    let pem: String =
        chain.iter().map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", *der))).collect();
    Identity::with_signer(pem.as_bytes(), |_, _| async { Err("it is only looked at".into()) })
        .map_err(|error| error.to_string())?;
    let elsewhere = flags & CHAIN_ELSEWHERE != 0;
    let lacks =
        elsewhere.then_some("its chain is elsewhere: add the issuers behind the certificate");
    let entry = Entry { name, key: Some(uri.to_owned()), role, ..Entry::default() };
    Ok((entry, pem, lacks))
}

/// DER certificates, one behind the other.
fn certificates(mut der: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let mut all = Vec::new();
    while !der.is_empty() {
        // A SEQUENCE whose length takes two bytes (X.690 section 8.1.3): no certificate is shorter than
        // 256 bytes, or as long as 65536.
        let [0x30, 0x82, high, low, ..] = *der else { return Err("its certificate is damaged") };
        let length = 4 + usize::from(u16::from_be_bytes([high, low]));
        let (one, rest) = der.split_at_checked(length).ok_or("its certificate is cut")?;
        all.push(one);
        der = rest;
    }
    if all.is_empty() { Err("it has no certificate") } else { Ok(all) }
}

/// Which identities are shown to whom. The first for a selector is the first in the file.
fn disclosures(import: &mut Import, entries: &mut Vec<Entry>, records: &[Record]) {
    let mut lists: Vec<(String, Vec<String>)> = Vec::new();
    for record in records {
        let what = format!("{} for {:?}", shown(&record.value), shown(&record.key));
        let selector = text(&record.key).ok_or("no UTF-8".to_owned());
        let selector = selector.and_then(|text| normalize(text).map_err(|error| error.to_string()));
        let selector = match selector {
            Ok(selector) => selector,
            Err(why) => {
                import.leave_out(what, why);
                continue;
            }
        };
        let name = text(&record.value).map(str::to_ascii_lowercase);
        let taken = entries.iter().find(|entry| Some(&entry.name) == name.as_ref());
        let why = match taken {
            None => "no such local identity was taken",
            Some(entry) if entry.role == Some("server") => "that local identity is for servers",
            Some(entry) => {
                let name = entry.name.clone();
                match lists.iter_mut().find(|(other, _)| *other == selector) {
                    Some((_, names)) if names.contains(&name) => {}
                    Some((_, names)) => names.push(name),
                    None => lists.push((selector, vec![name])),
                }
                import.take(what);
                continue;
            }
        };
        import.leave_out(what, why);
    }
    let first = |entry: &Entry| {
        let all = lists.iter().flat_map(|(_, names)| names);
        all.into_iter().position(|name| *name == entry.name).unwrap_or(usize::MAX)
    };
    entries.sort_by_key(first);
    for (selector, names) in &lists {
        let at = |name: &String| entries.iter().position(|entry| entry.name == *name);
        if !names.is_sorted_by_key(at) {
            let what = format!("the order of {} for {selector:?}", names.join(", "));
            import.leave_out(what, "the order of the policy is the same for all selectors");
        }
        for entry in entries.iter_mut().filter(|entry| names.contains(&entry.name)) {
            entry.show_to.push(selector.clone());
        }
    }
}

/// Whom we trust: the authorities that vouch without more ado.
fn anchors(import: &mut Import, records: &[Record]) -> Whole {
    let mut whole = Whole::default();
    let (mut servers, mut clients) = (String::new(), String::new());
    let mut seen = HashSet::new();
    for record in records {
        let key: String = record.key.iter().map(|byte| format!("{byte:02x}")).collect();
        let what = format!("trust in {key}");
        match read_anchor(record) {
            Ok((flags, pem)) => {
                if !seen.insert((flags & (CLIENT | SERVER), pem.clone())) {
                    import.leave_out(what, "it is there twice");
                    continue;
                }
                if flags & SERVER != 0 {
                    servers += &pem;
                }
                if flags & CLIENT != 0 {
                    clients += &pem;
                }
                import.take(what);
            }
            Err(why) => import.leave_out(what, why),
        }
    }
    for (key, pem) in [("anchors", servers), ("client-anchors", clients)] {
        if !pem.is_empty() {
            whole.files.push((key, import.add(key, pem.into_bytes())));
        }
    }
    whole
}

fn read_anchor(record: &Record) -> Result<(u32, String), String> {
    let (flags, expression, der) = parts(&record.value, |_| true).ok_or("its record is damaged")?;
    if flags & PIN != 0 {
        return Err("the pool does not trust whom it has met before".to_owned());
    }
    if flags & REVOCATION != 0 {
        return Err("nobody has signed it: give a revocation list in `crl`".to_owned());
    }
    if flags & TYPE != X509 {
        return Err("it is no authority of X.509".to_owned());
    }
    if flags & NOT_ROOT != 0 {
        return Err("it is no root: whoever it vouches for sends it along".to_owned());
    }
    if flags & (CLIENT | SERVER) == 0 {
        return Err("it is for no role".to_owned());
    }
    // What the pool does of itself: there is a certificate, its chain leads to the authority, and the
    // keys of sessions are not kept.
    if !expression.iter().all(|operator| b"1IiTtFf&".contains(operator)) {
        let expression = shown(expression);
        return Err(format!(
            "it is trusted under the condition {expression:?}, which the pool cannot check"
        ));
    }
    let [der] = *certificates(der)? else {
        return Err("its record has more than its certificate".to_owned());
    };
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE", der));
    Anchors::from_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
    Ok((flags, pem))
}
