//! An identity: a key and a certificate for it, of a server or of a client, in one file.

use std::net::IpAddr;

use levada::{CertificateFacts, SessionName, SubjectName};
use pem::Pem;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::authority::{self, AUTHORITY, Authority, CA, DOMAINS};
use super::{BACKDATED, DevelopmentError, Done};
use crate::state_dir::StateDir;

/// What browsers take at most is 398 days (CA/Browser Forum, Baseline Requirements 6.3.2).
pub(crate) const LONGEST_LIFE: Duration = Duration::days(397);
/// An identity that has less than this left is made anew.
const RENEW_BEFORE: Duration = Duration::days(30);

/// How the files of clients begin.
const CLIENT: &str = "client-";

/// Whose identity it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Server,
    Client,
}

/// When an identity is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// When it has little time left.
    IfDue,
    /// As soon as anything speaks against it.
    Needed,
    /// In any case: the user says so.
    Asked,
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A host's, or `*.` and a domain.
    Dns(String),
    Ip(IpAddr),
    Email(String),
    Uri(String),
    /// Any other: it stands in the subject alone.
    Word(String),
}

/// An identity that is there, and what was done for that.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) file: String,
    pub(crate) holder: Holder,
    pub(crate) names: Vec<Name>,
    pub(crate) not_after: OffsetDateTime,
    pub(crate) done: Done,
}

/// Makes sure that `file` is an identity for all of `names`.
///
/// # Errors
///
/// When something else has the file, or it is for other names, unless `renewal` says to write over it;
/// and when `authority` does not vouch for one of the names.
pub(crate) fn ensure(
    folder: &StateDir,
    authority: &Authority,
    file: &str,
    names: &[Name],
    renewal: Renewal,
    life: Duration,
    now: OffsetDateTime,
) -> Result<Made, DevelopmentError> {
    if let Some(name) = names.iter().find(|name| !authority.vouches_for(name)) {
        return Err(DevelopmentError::Refused(format!(
            "\"{}\" may belong to somebody, and this CA vouches only for private addresses and for \
             names that end in {}\n    choose such a name; or make a CA that could vouch for \
             everybody, and guard its key: --dir DIR --danger-any-name",
            name.text(),
            DOMAINS.join(", ")
        )));
    }
    let holder = Holder::of(file);
    let path = folder.file(file);
    let mut done = Done::Made;
    if let Some(text) = folder.read(file)? {
        done = Done::Renewed;
        let kept = Kept::parse(&text).filter(|kept| kept.issuer_name() == Some(&authority.name));
        match kept {
            None if renewal == Renewal::IfDue => {
                return Err(DevelopmentError::Refused(format!(
                    "{} is no identity of this CA\n    move it away, or write over it: --renew",
                    path.display()
                )));
            }
            None => {}
            Some(kept) => {
                let has = kept.names();
                let lacks = names.iter().find(|name| !has.contains(name));
                if let Some(name) = lacks.filter(|_| renewal == Renewal::IfDue) {
                    let has: Vec<_> = has.iter().map(Name::text).collect();
                    return Err(DevelopmentError::Refused(format!(
                        "{} is for {}, not for {}\n    make it anew for the names of this command: \
                         --renew",
                        path.display(),
                        has.join(", "),
                        name.text()
                    )));
                }
                let is_good = lacks.is_none() && kept.not_after >= now + RENEW_BEFORE;
                if is_good && renewal != Renewal::Asked {
                    let not_after = kept.not_after;
                    let file = file.to_owned();
                    return Ok(Made { file, holder, names: has, not_after, done: Done::Kept });
                }
            }
        }
    }
    let key = KeyPair::generate()?;
    let params = params(names, holder, life, now)?;
    let certificate = authority.sign(&params, &key)?;
    folder.write(file, &with_key(&key, &certificate))?;
    let (file, names) = (file.to_owned(), names.to_vec());
    Ok(Made { file, holder, names, not_after: params.not_after, done })
}

/// Makes sure that an identity which is there stays good, under its names.
///
/// # Errors
///
/// As those of [`ensure`].
pub(crate) fn again(
    folder: &StateDir,
    authority: &Authority,
    file: &str,
    renewal: Renewal,
    life: Duration,
    now: OffsetDateTime,
) -> Result<Made, DevelopmentError> {
    let names = folder.read(file)?.and_then(|text| Kept::parse(&text)).map(|kept| kept.names());
    let names = names.unwrap_or_default();
    // Those of an authority that is gone are of no use any more: their names are known.
    let renewal = if renewal == Renewal::IfDue { Renewal::Needed } else { renewal };
    ensure(folder, authority, file, &names, renewal, life, now)
}

fn params(
    names: &[Name],
    holder: Holder,
    life: Duration,
    now: OffsetDateTime,
) -> Result<CertificateParams, DevelopmentError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    let word = names.iter().find(|name| matches!(name, Name::Word(_)));
    if let Some(name) = word.or(names.first()) {
        params.distinguished_name.push(DnType::CommonName, name.text());
    }
    params.not_before = now - BACKDATED;
    params.not_after = now - BACKDATED + life;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match holder {
        Holder::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Holder::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    params.use_authority_key_identifier_extension = true;
    for name in names {
        params.subject_alt_names.push(match name {
            Name::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
            Name::Ip(address) => SanType::IpAddress(*address),
            Name::Email(mailbox) => SanType::Rfc822Name(mailbox.as_str().try_into()?),
            Name::Uri(uri) => SanType::URI(uri.as_str().try_into()?),
            Name::Word(_) => continue,
        });
    }
    Ok(params)
}

impl Name {
    /// Reads the names of one identity.
    ///
    /// # Errors
    ///
    /// When one of them cannot be a name of its holder.
    pub(crate) fn parse_all(
        texts: &[String],
        holder: Holder,
    ) -> Result<Vec<Self>, DevelopmentError> {
        let names: Vec<_> =
            texts.iter().map(|text| Self::parse(text, holder)).collect::<Result<_, _>>()?;
        if names.iter().filter(|name| matches!(name, Self::Word(_))).count() > 1 {
            let why = "a client has one plain name: make an identity for each of them";
            return Err(DevelopmentError::Refused(why.to_owned()));
        }
        Ok(names)
    }

    fn parse(text: &str, holder: Holder) -> Result<Self, DevelopmentError> {
        let wrong = |why: &str| {
            Err(DevelopmentError::Refused(format!("\"{}\" {why}", text.escape_debug())))
        };
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Ip(address));
        }
        let is_one_word = !text.is_empty()
            && !text.chars().any(|letter| letter.is_control() || letter.is_whitespace());
        if holder == Holder::Client && is_one_word && text.is_ascii() {
            if text.contains("://") {
                return Ok(Self::Uri(text.to_owned()));
            }
            if text.contains('@') {
                return Ok(Self::Email(text.to_owned()));
            }
            if is_word(text) {
                return Ok(Self::Word(text.to_owned()));
            }
        }
        match SessionName::new(text.strip_prefix("*.").unwrap_or(text)) {
            Ok(_) => Ok(Self::Dns(text.trim_end_matches('.').to_ascii_lowercase())),
            Err(_) if holder == Holder::Client => wrong(
                "cannot name a client: give a word, a host, an address, a mailbox, or a URI such as \
                 spiffe://app.test/me",
            ),
            Err(_) => wrong(
                "cannot name a server: give a host such as app.test or *.app.test, or an address \
                 such as 10.0.0.7, without a port",
            ),
        }
    }

    /// As it was given.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) | Self::Word(text) => {
                text.clone()
            }
            Self::Ip(address) => address.to_string(),
        }
    }
}

/// Whether this is a name that stands in the subject alone, as it is: no name of another kind can be one.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The file of the identity whose first name this is.
///
/// # Errors
///
/// When the authority has that file.
pub(crate) fn file_of(name: &Name, holder: Holder) -> Result<String, DevelopmentError> {
    let plain = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() || ".-_@".contains(letter) => letter,
        _ => '_',
    };
    let stem: String = name.text().chars().map(plain).collect();
    let file = match holder {
        Holder::Server => format!("{stem}.pem"),
        Holder::Client => format!("{CLIENT}{stem}.pem"),
    };
    if [CA, AUTHORITY].contains(&&*file) {
        let why = format!("the file {file} is the CA's own: put another name first");
        return Err(DevelopmentError::Refused(why));
    }
    Ok(file)
}

impl Holder {
    fn of(file: &str) -> Self {
        if file.starts_with(CLIENT) { Self::Client } else { Self::Server }
    }
}

/// A key with its certificate, from one file.
pub(crate) struct Kept {
    pub(crate) key: KeyPair,
    /// PEM.
    pub(crate) certificate: String,
    pub(crate) not_after: OffsetDateTime,
    facts: CertificateFacts,
}

impl Kept {
    /// The files in `folder` that hold an identity from here, in the order of their names.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub(crate) fn files(folder: &StateDir) -> Result<Vec<String>, DevelopmentError> {
        let mut files = Vec::new();
        for name in folder.names()? {
            if [CA, AUTHORITY].contains(&&*name) || name.strip_suffix(".pem").is_none() {
                continue;
            }
            // What others have made is theirs.
            let kept = folder.read(&name)?.and_then(|text| Self::parse(&text));
            if kept.is_some_and(|kept| kept.issuer_name().is_some_and(authority::is_ours)) {
                files.push(name);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Reads what [`with_key`] wrote; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let blocks = pem::parse_many(text).ok()?;
        let labelled = |label| blocks.iter().find(|block: &&Pem| block.tag() == label);
        let key = KeyPair::from_pem(&pem::encode(labelled("PRIVATE KEY")?)).ok()?;
        let certificate = labelled("CERTIFICATE")?;
        let facts = levada::read_certificate(certificate.contents()).read()?.clone();
        let not_after = OffsetDateTime::from_unix_timestamp(facts.not_after).ok()?;
        let certificate = pem::encode_config(certificate, pem_config());
        Some(Self { key, certificate, not_after, facts })
    }

    /// The common name of its subject, which is all that we write there.
    pub(crate) fn subject_name(&self) -> Option<&str> {
        self.facts.subject.strip_prefix("CN=")
    }

    fn issuer_name(&self) -> Option<&str> {
        self.facts.issuer.strip_prefix("CN=")
    }

    /// The names that it is for.
    pub(crate) fn names(&self) -> Vec<Name> {
        let names = self.facts.names.iter().filter_map(|name| match name {
            SubjectName::Dns(name) => Some(Name::Dns(name.clone())),
            SubjectName::Ip(address) => Some(Name::Ip(*address)),
            SubjectName::Email(mailbox) => Some(Name::Email(mailbox.clone())),
            SubjectName::Uri(uri) => Some(Name::Uri(uri.clone())),
            SubjectName::Other { .. } => None,
        });
        let mut names: Vec<_> = names.collect();
        let word = self.subject_name().filter(|word| is_word(word));
        if let Some(word) = word.filter(|word| names.iter().all(|name| name.text() != *word)) {
            names.insert(0, Name::Word(word.to_owned()));
        }
        names
    }
}

fn pem_config() -> pem::EncodeConfig {
    pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF)
}

/// The certificate alone, as PEM.
pub(crate) fn alone(certificate: &rcgen::Certificate) -> String {
    pem::encode_config(&Pem::new("CERTIFICATE", certificate.der().to_vec()), pem_config())
}

/// The key and the certificate, as PEM.
pub(crate) fn with_key(key: &KeyPair, certificate: &rcgen::Certificate) -> String {
    let certificate = Pem::new("CERTIFICATE", certificate.der().to_vec());
    let key = Pem::new("PRIVATE KEY", key.serialize_der());
    pem::encode_many_config(&[key, certificate], pem_config())
}
