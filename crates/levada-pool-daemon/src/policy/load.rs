//! From what is written to what is used: files are read, certificates checked, names looked up.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use levada_address::KeyPlace;
use levada_config::{Fault, Faults};
use levada_tls::{Anchors, CrlScope, Crls, Identity, IdentityError, Passphrase, PeerRules};
use zeroize::Zeroizing;

use super::file::{Account, IdentityEntry, LocalCaEntry, Placed, PolicyFile, RightsEntry, Roles};
use super::held::LockedKey;
use super::local_ca::LocalCa;
use super::on_token::{NoTokenKey, Trials};
use super::users::Accounts;
use super::{Held, Local, Policy, Rights, Trust};
use crate::pin::{PinDesk, PinPrompt};

/// Where a policy comes from: a TOML file, or a folder of PEM files.
///
/// In a folder each `NAME.pem` holds the certificate and the key of the identity `NAME`, which every
/// service of everybody who reaches the socket may use, and `NAME.ocsp` the response that is stapled to
/// it, if there is one; `anchors.pem` and `client-anchors.pem` are
/// whom to trust as server and who vouches for clients, `crl.pem` and `client-crl.pem` who of them is
/// revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySource(PathBuf);

impl PolicySource {
    /// The policy at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the policy and all files that it names.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], with everything that is wrong.
    pub fn load(&self) -> Result<Policy, PolicyError> {
        self.try_out(self.read()?)
    }

    /// The same, before any token is asked for anything: whether its content has changed is known then.
    pub(crate) fn read(&self) -> Result<Policy, PolicyError> {
        let mut files = Files::default();
        if self.0.is_dir() {
            let file = folder(&self.0).map_err(|error| PolicyError::read(&self.0, error))?;
            return open(&file, &mut files)
                .map_err(|faults| PolicyError::Folder { path: self.0.clone(), faults });
        }
        let text = files.read(&self.0).map_err(|error| PolicyError::read(&self.0, error))?;
        let wrong = |faults| self.wrong(faults);
        let text = String::from_utf8(text).map_err(|error| {
            let text = String::from_utf8_lossy(error.as_bytes());
            let at = error.utf8_error().valid_up_to();
            let hint = Some("write it in UTF-8".to_owned());
            wrong(Faults::new(&text, vec![Fault::new(at..at, "it is no UTF-8", hint)]))
        })?;
        let folder = self.0.parent().unwrap_or(Path::new(""));
        let file = PolicyFile::parse(&text, folder).map_err(wrong)?;
        open(&file, &mut files).map_err(wrong)
    }

    /// Has the tokens of a policy that was read sign, each with every key.
    pub(crate) fn try_out(&self, policy: Policy) -> Result<Policy, PolicyError> {
        policy.trials.run().map_err(|faults| self.wrong(faults))?;
        Ok(policy)
    }

    fn wrong(&self, faults: Faults) -> PolicyError {
        PolicyError::Policy { path: self.0.clone(), faults }
    }
}

impl Policy {
    /// The policy that `file` says, with all files that it names.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at its place in the text that `file` was read from.
    pub fn open(file: &PolicyFile) -> Result<Self, Faults> {
        let policy = open(file, &mut Files::default())?;
        policy.trials.run()?;
        Ok(policy)
    }
}

/// The files of a policy, with what tells whether their content has changed.
#[derive(Default)]
struct Files {
    hasher: DefaultHasher,
}

impl Files {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = std::fs::read(path)?;
        (path, &bytes).hash(&mut self.hasher);
        Ok(bytes)
    }
}

fn open(file: &PolicyFile, files: &mut Files) -> Result<Policy, Faults> {
    let (pins, trials) = (PinDesk::default(), Trials::of(&file.text));
    let mut opener = Opener { files, accounts: None, pins, trials, faults: Vec::new() };
    let anchors = file.anchors.as_ref().and_then(|path| opener.anchors(path)).unwrap_or_default();
    let servers = Trust { anchors, rules: opener.rules(&file.crls, file.crl_scope) };
    let client_anchors = file.client_anchors.as_ref().and_then(|path| opener.anchors(path));
    let client_rules = opener.rules(&file.client_crls, file.client_crl_scope);
    if let (None, [list, ..]) = (&file.client_anchors, &*file.client_crls) {
        let hint = "name in `client-anchors` who vouches for the clients that it revokes";
        opener.fault(list, "a revocation list of clients that nobody trusts", Some(hint.into()));
    }
    let clients = client_anchors.map(|anchors| Trust { anchors, rules: client_rules });
    let locals: Vec<_> =
        file.identities.iter().filter_map(|entry| Some((entry, opener.local(entry)?))).collect();
    let local_ca = file.local_ca.as_ref().and_then(|entry| opener.local_ca(entry));
    let pin_entry_users = opener.numbers(file.pin_entry_users.as_deref(), "user", Accounts::uid);
    let lidentry_users = opener.numbers(file.lidentry_users.as_deref(), "user", Accounts::uid);
    if !opener.faults.is_empty() {
        return Err(Faults::new(&file.text, opener.faults));
    }
    let digest = opener.files.hasher.finish();
    let mut policy = Policy::new(servers, clients, locals, digest);
    policy.trials = opener.trials;
    policy.closed = file.closed;
    policy.keeps_data = file.keeps_data;
    policy.clients_per_user = file.clients_per_user;
    policy.sessions_per_user = file.sessions_per_user;
    (policy.pin_entry_users, policy.lidentry_users) = (pin_entry_users, lidentry_users);
    policy.choices = file.lidentry_choices.as_ref().map(|path| path.value.clone());
    policy.local_ca = local_ca.map(Arc::new);
    policy.pins = opener.pins;
    Ok(policy)
}

struct Opener<'f> {
    files: &'f mut Files,
    accounts: Option<Accounts>,
    /// Where the PINs of this policy are asked for.
    pins: PinDesk,
    /// The keys on tokens.
    trials: Trials,
    faults: Vec<Fault>,
}

impl Opener<'_> {
    fn local(&mut self, entry: &IdentityEntry) -> Option<Local> {
        let chain = Zeroizing::new(self.read(&entry.cert)?);
        let held = match &entry.key {
            Some(Placed { value: KeyPlace::Pkcs11(uri), place }) => {
                self.on_token(entry, &chain, uri, place.clone())
            }
            Some(Placed { value: KeyPlace::File(path), place }) => {
                let key = self.read(&Placed { value: path.clone(), place: place.clone() })?;
                self.in_files(entry, chain, Some(Zeroizing::new(key)))
            }
            None => self.in_files(entry, chain, None),
        }?;
        self.certificate_is_for(entry, held.shown());
        let staple = match &entry.ocsp {
            Some(path) => Some(self.staple(path, held.shown())?),
            None => None,
        };
        let rights = self.rights(&entry.rights);
        Some(Local { staple, ..Local::new(entry.name.value.clone(), held, rights) })
    }

    /// The OCSP response in this file, which has to be about this certificate.
    fn staple(&mut self, path: &Placed<PathBuf>, identity: &Identity) -> Option<Vec<u8>> {
        let response = self.read(path)?;
        if let Err(error) = identity.with_staple(&response) {
            self.fault(path, format!("{}: {error}", path.value.display()), None);
            return None;
        }
        Some(response)
    }

    fn local_ca(&mut self, entry: &LocalCaEntry) -> Option<LocalCa> {
        let chain = Zeroizing::new(self.read(&entry.cert)?);
        let key = match &entry.key {
            Some(path) => Some(Zeroizing::new(self.read(path)?)),
            None => None,
        };
        let rights = self.rights(&entry.rights);
        let names = entry.names.iter().cloned().collect();
        match LocalCa::new(&chain, key.as_deref().map(Vec::as_slice), names, rights) {
            Ok(ca) => Some(ca),
            Err(why) => {
                self.fault(&entry.cert, format!("{}: {why}", entry.cert.value.display()), None);
                None
            }
        }
    }

    fn rights(&mut self, entry: &RightsEntry) -> Rights {
        Rights {
            roles: entry.roles,
            services: entry.services.clone(),
            users: self.numbers(entry.users.as_deref(), "user", Accounts::uid),
            groups: self.numbers(entry.groups.as_deref(), "group", Accounts::gid),
        }
    }

    fn in_files(
        &mut self,
        entry: &IdentityEntry,
        chain: Zeroizing<Vec<u8>>,
        key: Option<Zeroizing<Vec<u8>>>,
    ) -> Option<Held> {
        let passphrase = match &entry.passphrase_file {
            Some(path) => Some(self.passphrase(path)?),
            None => None,
        };
        let held = if entry.asks {
            let prompt = PinPrompt::new(&format!("Passphrase for the key of {}", entry.name.value));
            LockedKey::in_files(chain, key, prompt, self.pins.clone())
        } else {
            let key = key.as_deref().map(Vec::as_slice);
            Identity::from_pem(&chain, key, passphrase.as_ref()).map(Held::Open)
        };
        held.map_err(|error| self.wrong_identity(entry, &error)).ok()
    }

    /// The identity whose private key is where `uri` says. Its token is tried out later.
    fn on_token(
        &mut self,
        entry: &IdentityEntry,
        chain: &[u8],
        uri: &str,
        place: Range<usize>,
    ) -> Option<Held> {
        let pin_file = entry.passphrase_file.as_ref().map(|file| &*file.value);
        let asked = entry.asks.then(|| {
            (PinPrompt::new(&format!("PIN for the key of {}", entry.name.value)), self.pins.clone())
        });
        match self.trials.held(chain, uri, place, pin_file, asked) {
            Ok(held) => Some(held),
            Err(NoTokenKey::Fault(fault)) => {
                self.faults.push(fault);
                None
            }
            Err(NoTokenKey::Identity(error)) => {
                self.wrong_identity(entry, &error);
                None
            }
        }
    }

    fn wrong_identity(&mut self, entry: &IdentityEntry, error: &IdentityError) {
        let path = entry.cert.value.display();
        let hint = matches!(error, IdentityError::PassphraseMissing)
            .then(|| "write `key-pass = \"ask\"` to have a person asked for it".to_owned());
        self.fault(&entry.cert, format!("{path}: {error}"), hint);
    }

    /// A server whose certificate is for somebody else fails with every client.
    fn certificate_is_for(&mut self, entry: &IdentityEntry, identity: &Identity) {
        let name = &entry.name.value;
        if !entry.rights.roles.server || name.contains('@') {
            return;
        }
        let parent = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let fits = |shown: &String| shown == name || Some(shown) == parent.as_ref();
        if identity.names().iter().any(fits) {
            return;
        }
        let names = identity.names().join(", ");
        let hint = match names.as_str() {
            "" => "it is for no host: write `roles = [\"client\"]` if none is meant".to_owned(),
            names => {
                format!("it is for {names}; write `roles = [\"client\"]` if no server is meant")
            }
        };
        self.fault(&entry.name, "the certificate is not for this name", Some(hint));
    }

    fn numbers(
        &mut self,
        accounts: Option<&[Placed<Account>]>,
        kind: &str,
        find: fn(&Accounts, &str) -> Option<u32>,
    ) -> Option<Vec<u32>> {
        let mut numbers = Vec::new();
        for account in accounts? {
            match &account.value {
                Account::Number(number) => numbers.push(*number),
                Account::Name(name) => {
                    let table =
                        self.accounts.get_or_insert_with(|| Accounts::read().unwrap_or_default());
                    if let Some(number) = find(table, name) {
                        numbers.push(number);
                    } else {
                        let what = format!("this machine has no {kind} `{name}`");
                        let hint = "give the number, where the name comes from elsewhere";
                        self.fault(account, what, Some(hint.to_owned()));
                    }
                }
            }
        }
        Some(numbers)
    }

    fn anchors(&mut self, path: &Placed<PathBuf>) -> Option<Anchors> {
        let text = self.read(path)?;
        match Anchors::from_pem(&text) {
            Ok(anchors) => Some(anchors),
            Err(error) => {
                self.fault(path, format!("{}: {error}", path.value.display()), None);
                None
            }
        }
    }

    /// The rules that the lists of these files make.
    fn rules(&mut self, paths: &[Placed<PathBuf>], scope: CrlScope) -> PeerRules {
        let mut rules = PeerRules::new().crl_scope(scope);
        for path in paths {
            let Some(bytes) = self.read(path) else { continue };
            match Crls::from_bytes(&bytes) {
                Ok(crls) => rules = rules.crls(crls),
                Err(error) => {
                    self.fault(path, format!("{}: {error}", path.value.display()), None);
                }
            }
        }
        rules
    }

    /// A passphrase file's first line, without the line's end.
    fn passphrase(&mut self, path: &Placed<PathBuf>) -> Option<Passphrase> {
        let mut bytes = self.read(path)?;
        let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
        bytes.truncate(end);
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Some(Passphrase::new(bytes))
    }

    fn read(&mut self, path: &Placed<PathBuf>) -> Option<Vec<u8>> {
        match self.files.read(&path.value) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.fault(path, format!("cannot read {}: {error}", path.value.display()), None);
                None
            }
        }
    }

    fn fault<T>(&mut self, at: &Placed<T>, what: impl Into<String>, hint: Option<String>) {
        self.faults.push(Fault::new(at.place.clone(), what, hint));
    }
}

/// What a folder of PEM files says. The text that faults point into is the list of its files.
fn folder(path: &Path) -> io::Result<PolicyFile> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".pem")) {
            names.push(stem.to_owned());
        }
    }
    names.sort_unstable();
    let mut file = PolicyFile::default();
    for name in names {
        let start = file.text.len();
        file.text.extend([name.as_str(), ".pem\n"]);
        let place = start..start + name.len() + 4;
        let pem = Placed { value: path.join(format!("{name}.pem")), place: place.clone() };
        let ocsp = Placed { value: path.join(format!("{name}.ocsp")), place: place.clone() };
        match name.as_str() {
            "anchors" => file.anchors = Some(pem),
            "crl" => file.crls.push(pem),
            "client-anchors" => file.client_anchors = Some(pem),
            "client-crl" => file.client_crls.push(pem),
            _ => file.identities.push(IdentityEntry {
                name: Placed { value: name.to_ascii_lowercase(), place },
                cert: pem,
                key: None,
                passphrase_file: None,
                ocsp: Some(ocsp).filter(|ocsp| ocsp.value.exists()),
                asks: false,
                // Who names a user can be no host.
                rights: RightsEntry {
                    roles: Roles { client: true, server: !name.contains('@') },
                    ..RightsEntry::default()
                },
                show_to: Vec::new(),
                default: false,
            }),
        }
    }
    Ok(file)
}

/// Why there is no policy.
#[derive(Debug)]
pub enum PolicyError {
    /// It cannot be read.
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A policy file is wrong, or a file that it names.
    Policy {
        /// The policy file.
        path: PathBuf,
        /// What is wrong, and where.
        faults: Faults,
    },
    /// A folder has files that are wrong.
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong: lines are those of the sorted list of its PEM files.
        faults: Faults,
    },
}

impl PolicyError {
    fn read(path: &Path, error: io::Error) -> Self {
        Self::Read { path: path.to_path_buf(), error }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Policy { path, faults } => {
                write!(f, "{}", faults.in_file(&path.display().to_string()))
            }
            Self::Folder { path, faults } => {
                let mut rest = faults.iter();
                let all: Vec<_> = rest.by_ref().map(Fault::what).collect();
                write!(f, "in {}: {}", path.display(), all.join("; "))
            }
        }
    }
}

impl std::error::Error for PolicyError {}
