//! A folder of PEM files as somebody has it.

use std::path::Path;

use levada::{ShownCertificate, SubjectName};
use levada_tls::{Anchors, Crls, Identity, IdentityError};
use zeroize::Zeroizing;

use super::render::{Entry, Whole};
use super::{Import, ImportError};

/// Files beyond this size are no certificates and no keys.
const LARGEST: u64 = 1024 * 1024;

/// One file.
struct File {
    name: String,
    stem: String,
    bytes: Zeroizing<Vec<u8>>,
    certificates: usize,
    keys: usize,
}

/// What names in a folder of PEM files say of them.
const WHOLE: [(&str, &str); 4] = [
    ("anchors.pem", "anchors"),
    ("crl.pem", "crl"),
    ("client-anchors.pem", "client-anchors"),
    ("client-crl.pem", "client-crl"),
];

pub(super) fn import(folder: &Path) -> Result<Import, ImportError> {
    let mut import = Import::default();
    let mut files = Vec::new();
    let mut whole = Whole::default();
    for (name, bytes) in read(folder, &mut import)? {
        if let Some((_, key)) = WHOLE.iter().find(|(file, _)| *file == name) {
            let wrong = if key.ends_with("crl") {
                Crls::from_bytes(&bytes).err().map(|error| error.to_string())
            } else {
                Anchors::from_pem(&bytes).err().map(|error| error.to_string())
            };
            match wrong {
                Some(why) => import.leave_out(name, why),
                None => {
                    whole.files.push((key, import.add(key, bytes)));
                    import.take(name);
                }
            }
            continue;
        }
        match pem::parse_many(&bytes) {
            Ok(blocks) => {
                let count =
                    |tag: &str| blocks.iter().filter(|block| block.tag().ends_with(tag)).count();
                let (certificates, keys) = (count("CERTIFICATE"), count("PRIVATE KEY"));
                let stem = name.rsplit_once('.').map_or(&*name, |(stem, _)| stem).to_owned();
                // Its copies of the blocks are not wiped: keys among them are.
                for block in blocks {
                    drop(Zeroizing::new(block.into_contents()));
                }
                files.push(File { name, stem, bytes, certificates, keys });
            }
            Err(error) => import.leave_out(name, error),
        }
    }
    let (with, without): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.certificates > 0);
    let mut used = Vec::new();
    let mut entries = Vec::new();
    for file in with {
        identity(&mut import, &mut entries, file, &without, &mut used);
    }
    for file in without {
        if !used.contains(&file.name) {
            let why = if file.keys > 0 {
                "no certificate is for this key"
            } else {
                "it has no certificate"
            };
            import.leave_out(file.name.clone(), why);
        }
    }
    Ok(import.finish(&whole, &entries))
}

/// Files by their names, in order.
fn read(
    folder: &Path,
    import: &mut Import,
) -> Result<Vec<(String, Zeroizing<Vec<u8>>)>, ImportError> {
    let wrong = |path: &Path, error| ImportError::io(path, error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| wrong(folder, error))? {
        paths.push(entry.map_err(|error| wrong(folder, error))?.path());
    }
    paths.sort_unstable();
    let mut files = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let facts = std::fs::metadata(&path).map_err(|error| wrong(&path, error))?;
        let is_text = path.extension().is_some_and(|extension| {
            ["pem", "crt", "cer", "key"].iter().any(|known| extension == *known)
        });
        if !facts.is_file() || !is_text {
            import.leave_out(name, "it is no file whose name ends in .pem, .crt, .cer or .key");
        } else if facts.len() > LARGEST {
            import.leave_out(name, "it is longer than a mebibyte");
        } else {
            let bytes = std::fs::read(&path).map_err(|error| wrong(&path, error))?;
            files.push((name, Zeroizing::new(bytes)));
        }
    }
    Ok(files)
}

/// Takes a file with a certificate, and the key to it.
fn identity(
    import: &mut Import,
    entries: &mut Vec<Entry>,
    file: &File,
    others: &[&File],
    used: &mut Vec<String>,
) {
    let open = |key: Option<&File>| {
        Identity::with_passphrase(&file.bytes, key.map(|key| key.bytes.as_slice()), || None)
    };
    let fits = |key: &&&File| match open(Some(key)) {
        Ok(_) => true,
        // What is encrypted does not tell whose it is: its name has to.
        Err(IdentityError::PassphraseMissing) => key.stem == file.stem,
        Err(_) => false,
    };
    let key = if file.keys > 0 {
        None
    } else {
        match others.iter().filter(|other| other.keys > 0).find(fits) {
            Some(key) => Some(*key),
            None => return import.leave_out(file.name.clone(), why_not(file)),
        }
    };
    let asks = match open(key) {
        Ok(_) => false,
        Err(IdentityError::PassphraseMissing) => true,
        Err(error) => return import.leave_out(file.name.clone(), error),
    };
    let looked_at = Identity::with_signer(&file.bytes, |_, _| async { Err("not to sign".into()) });
    let names = looked_at.map(|identity| names(&identity)).unwrap_or_default();
    let mut what = file.name.clone();
    if let Some(key) = key {
        what += &format!(" with {}", key.name);
        used.push(key.name.clone());
    }
    let mut placed: Option<(String, Option<String>)> = None;
    let mut lacks = Vec::new();
    let mut taken = Vec::new();
    for (name, role) in names {
        let entry = Entry { name, role, asks, ..Entry::default() };
        if entries.iter().any(|other: &Entry| other.name == entry.name) {
            lacks.push(format!("another certificate is for {}", entry.name));
        } else if let Some(fault) = entry.fault() {
            lacks.push(fault);
        } else {
            // Written once there is a name for it.
            let (cert, key) = placed.get_or_insert_with(|| {
                let cert = import.add(&file.stem, file.bytes.clone());
                let key =
                    key.map(|key| import.add(&format!("{}-key", key.stem), key.bytes.clone()));
                (cert, key)
            });
            taken.push(entry.name.clone());
            entries.push(Entry { cert: cert.clone(), key: key.clone(), ..entry });
        }
    }
    if taken.is_empty() && lacks.is_empty() {
        lacks.push("its certificate is for no host and no mailbox".to_owned());
    }
    if !taken.is_empty() {
        import.take(format!("{what}, as {}", taken.join(", ")));
    }
    for why in lacks {
        import.leave_out(what.clone(), why);
    }
}

fn why_not(file: &File) -> &'static str {
    let looked_at = Identity::with_signer(&file.bytes, |_, _| async { Err("not to sign".into()) });
    let is_ca = looked_at.ok().and_then(|identity| match identity.certificate() {
        ShownCertificate::Read(facts) => Some(facts.is_ca),
        _ => None,
    });
    if is_ca == Some(true) {
        "an authority: name it anchors.pem, or client-anchors.pem, if it is to be trusted"
    } else {
        "there is no key for its certificate"
    }
}

/// The names in a certificate, and the role that each is for.
fn names(identity: &Identity) -> Vec<(String, Option<&'static str>)> {
    let ShownCertificate::Read(facts) = identity.certificate() else { return Vec::new() };
    let names = facts.names.iter().filter_map(|name| match name {
        SubjectName::Dns(name) => Some((name.to_ascii_lowercase(), None)),
        SubjectName::Email(name) => Some((name.to_ascii_lowercase(), Some("client"))),
        _ => None,
    });
    names.collect()
}
