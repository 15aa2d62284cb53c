//! From an address to a stream: reads the files that it names and makes what dials or listens.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use levada_address::{
    Address, AddressError, ClientCheck, ConnectAddress, ConnectEndpoint, ConnectTls, Host,
    IdentityFiles, ListenAddress, ListenEndpoint, ListenTls, SessionOptions,
};
use levada_tls::{
    Anchors, AnchorsError, ClientAuth, Identities, IdentitiesBuilder, IdentitiesError, Identity,
    IdentityError, NameError, Passphrase, SessionName, TlsClient, TlsConfigError, TlsServer,
};

use crate::key_log::KeyLogFile;
use crate::listener::Listener;
use crate::socket::{Options, Socket};

/// Connects to `address` and waits until the stream is established.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let mut stream = levada::connect(&"echo:".parse()?).await?;
/// stream.write_all(b"hello").await?;
/// stream.shutdown().await?;
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer).await?;
/// assert_eq!(answer, "hello");
/// assert!(stream.closed().await.is_clean());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// A [`SetupError`], or the [`Ended`](crate::Ended) of a stream that was never established, inside.
pub async fn connect(address: &Address) -> io::Result<Socket> {
    let mut socket = Dialer::new(address)
        .and_then(|dialer| dialer.dial())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    socket.established().await?;
    Ok(socket)
}

/// Listens at `address`.
///
/// # Errors
///
/// A [`SetupError`].
///
/// # Panics
///
/// Outside a tokio runtime that has io enabled.
pub async fn listen(address: &Address) -> Result<Listener, SetupError> {
    Binder::new(address)?.bind().await
}

/// Listens at one address when the time has come; the files that it names are read before, so that
/// what is wrong with them is known while nothing is open yet.
#[derive(Clone, Debug)]
pub struct Binder {
    address: Address,
    endpoint: ListenEndpoint,
    tls: Option<TlsServer>,
    identities: Vec<Identity>,
    /// The table that `tls` takes its identities from.
    live: Option<Identities>,
    key_log: Option<KeyLogFile>,
    options: Options,
}

/// Identities that were read once more, and can be put in place of those there are.
#[derive(Debug)]
#[must_use = "nothing changes before they are put in place"]
pub struct Renewed(Option<(Identities, IdentitiesBuilder)>);

impl Renewed {
    /// Has the next handshake use them. Streams that run go on as they are.
    pub fn put_in_place(self) {
        if let Some((live, table)) = self.0 {
            // It has an entry, as it had before: an address names one identity at least.
            let _ = live.change(|_| Ok(table));
        }
    }
}

impl Binder {
    /// Reads what `address` names.
    ///
    /// # Errors
    ///
    /// A [`SetupError`] when the address does not fit for listening, and when a file cannot be read
    /// or used.
    pub fn new(address: &Address) -> Result<Self, SetupError> {
        let ListenAddress { endpoint, tls, deadlines } = address.for_listening()?;
        let identities = match &tls {
            Some(tls) => tls.identities.iter().map(identity).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let key_log = tls.as_ref().and_then(|tls| KeyLogFile::of(&tls.session));
        let live = match &tls {
            Some(tls) => Some(build(tls, table(tls, &identities)?)?),
            None => None,
        };
        let tls = match (&tls, &live) {
            (Some(tls), Some(live)) => Some(server(tls, live.clone(), key_log.as_ref())?),
            _ => None,
        };
        let options = Options { deadlines, ..Options::default() };
        Ok(Self { address: address.clone(), endpoint, tls, identities, live, key_log, options })
    }

    /// The identities, in the order of the address.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The TLS that the address asks for, if it does.
    pub fn tls(&self) -> Option<&TlsServer> {
        self.tls.as_ref()
    }

    /// Reads the identities that the address names once more. Nothing changes by that alone.
    ///
    /// # Errors
    ///
    /// A [`SetupError`] when a file cannot be read or used.
    pub fn read_again(&self) -> Result<Renewed, SetupError> {
        let (Some(live), ListenAddress { tls: Some(tls), .. }) =
            (&self.live, self.address.for_listening()?)
        else {
            return Ok(Renewed(None));
        };
        let identities =
            tls.identities.iter().map(identity).collect::<Result<Vec<_>, SetupError>>()?;
        Ok(Renewed(Some((live.clone(), table(&tls, &identities)?))))
    }

    /// Opens the file for the secrets of sessions, if the address has one (`danger-key-log`).
    /// [`bind`](Self::bind) does it, too.
    ///
    /// # Errors
    ///
    /// [`SetupError::KeyLog`] when it cannot be opened.
    pub fn open_key_log(&self) -> Result<(), SetupError> {
        self.key_log.as_ref().map_or(Ok(()), KeyLogFile::open)
    }

    /// Listens.
    ///
    /// # Errors
    ///
    /// [`SetupError::Listen`] when the system does not let us, [`SetupError::KeyLog`] when the file
    /// for the secrets cannot be opened.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has io enabled.
    pub async fn bind(&self) -> Result<Listener, SetupError> {
        self.bind_as(self.tls.clone()).await
    }

    /// Listens where the address says, and wraps what it accepts in `tls`, whatever the address says of
    /// that.
    ///
    /// # Errors
    ///
    /// As those of [`bind`](Self::bind).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has io enabled.
    pub async fn bind_as(&self, tls: Option<TlsServer>) -> Result<Listener, SetupError> {
        self.open_key_log()?;
        Listener::bind(&self.endpoint, tls, self.options)
            .await
            .map_err(|error| SetupError::Listen { address: self.address.clone(), error })
    }
}

/// Dials one address as often as wanted; the files that it names are read once.
#[derive(Clone, Debug)]
pub struct Dialer {
    endpoint: ConnectEndpoint,
    tls: Option<(TlsClient, SessionName)>,
    identity: Option<Identity>,
    key_log: Option<KeyLogFile>,
    options: Options,
}

impl Dialer {
    /// Reads what `address` names.
    ///
    /// # Errors
    ///
    /// A [`SetupError`] when the address does not fit for connecting, and when a file cannot be read
    /// or used.
    pub fn new(address: &Address) -> Result<Self, SetupError> {
        let ConnectAddress { endpoint, tls, deadlines } = address.for_connecting()?;
        let files = tls.as_ref().and_then(|tls| tls.identity.as_ref());
        let identity = files.map(identity).transpose()?;
        let key_log = tls.as_ref().and_then(|tls| KeyLogFile::of(&tls.session));
        let tls = match &tls {
            Some(tls) => {
                Some((client(tls, identity.as_ref(), key_log.as_ref())?, session_name(tls)?))
            }
            None => None,
        };
        let options = Options { deadlines, ..Options::default() };
        Ok(Self { endpoint, tls, identity, key_log, options })
    }

    /// The identity that is shown to a peer who asks for one.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Opens the file for the secrets of sessions, if the address has one (`danger-key-log`).
    /// [`dial`](Self::dial) does it, too: this is for who wants to know before.
    ///
    /// # Errors
    ///
    /// [`SetupError::KeyLog`] when it cannot be opened.
    pub fn open_key_log(&self) -> Result<(), SetupError> {
        self.key_log.as_ref().map_or(Ok(()), KeyLogFile::open)
    }

    /// Begins a stream. Nothing happens before its first poll.
    ///
    /// # Errors
    ///
    /// [`SetupError::Tls`] when the system gives no random bytes, [`SetupError::KeyLog`] when the
    /// file for the secrets cannot be opened.
    pub fn dial(&self) -> Result<Socket, SetupError> {
        self.open_key_log()?;
        let session = match &self.tls {
            Some((client, name)) => Some(client.session(name)?),
            None => None,
        };
        Ok(Socket::dial(self.endpoint.clone(), session, self.options))
    }

    /// Begins a stream to `ip` instead of any address that the host's name has; TLS still asks for the
    /// name, and verifies it. Where there is no host, as on a Unix socket, it is as [`Dialer::dial`].
    ///
    /// # Errors
    ///
    /// As those of [`Dialer::dial`].
    pub fn dial_at(&self, ip: IpAddr) -> Result<Socket, SetupError> {
        let mut there = self.clone();
        if let ConnectEndpoint::Tcp { host, .. } = &mut there.endpoint {
            *host = Host::Ip(ip);
        }
        there.dial()
    }
}

fn client(
    tls: &ConnectTls,
    identity: Option<&Identity>,
    key_log: Option<&KeyLogFile>,
) -> Result<TlsClient, SetupError> {
    let SessionOptions { resume, max_record, .. } = tls.session;
    let builder = TlsClient::builder().alpn(tls.alpn.iter().cloned()).max_record(max_record);
    let mut builder = if resume { builder } else { builder.resume_servers(0) };
    if let Some(key_log) = key_log {
        builder = builder.danger_key_log(key_log.danger_key_log());
    }
    if let Some(path) = &tls.ca {
        builder = builder.anchors(anchors(path)?);
    }
    if let Some(identity) = identity {
        builder = builder.identity(identity.clone());
    }
    Ok(builder.build()?)
}

fn session_name(tls: &ConnectTls) -> Result<SessionName, SetupError> {
    let name = SessionName::new(&tls.name.to_string())?;
    Ok(match &tls.sni {
        Some(sni) => name.with_sni(sni)?,
        None => name.without_sni(),
    })
}

/// The table of identities that an address asks for.
fn table(tls: &ListenTls, ours: &[Identity]) -> Result<IdentitiesBuilder, SetupError> {
    let mut identities = Identities::builder();
    for (index, (files, identity)) in tls.identities.iter().zip(ours).enumerate() {
        identities = identities
            .with(identity)
            .map_err(|error| SetupError::Identities { path: files.cert.clone(), error })?;
        // Whoever asks for no name, or an unknown one, gets the first.
        if index == 0 {
            identities = identities.with_default(identity);
        }
    }
    Ok(identities)
}

fn build(tls: &ListenTls, table: IdentitiesBuilder) -> Result<Identities, SetupError> {
    let first = || tls.identities.first().map(|files| files.cert.clone()).unwrap_or_default();
    table.build().map_err(|error| SetupError::Identities { path: first(), error })
}

fn server(
    tls: &ListenTls,
    identities: Identities,
    key_log: Option<&KeyLogFile>,
) -> Result<TlsServer, SetupError> {
    let SessionOptions { resume, max_record, .. } = tls.session;
    let builder =
        TlsServer::builder(identities).alpn(tls.alpn.iter().cloned()).max_record(max_record);
    let mut builder = if resume { builder } else { builder.without_tickets() };
    if let Some(key_log) = key_log {
        builder = builder.danger_key_log(key_log.danger_key_log());
    }
    if let Some(ClientCheck { ca, required }) = &tls.client {
        let anchors = anchors(ca)?;
        builder = builder.client_auth(match required {
            true => ClientAuth::Required(anchors),
            false => ClientAuth::Requested(anchors),
        });
    }
    Ok(builder.build()?)
}

fn anchors(path: &Path) -> Result<Anchors, SetupError> {
    Anchors::from_pem(&read(path)?)
        .map_err(|error| SetupError::Anchors { path: path.to_path_buf(), error })
}

fn identity(files: &IdentityFiles) -> Result<Identity, SetupError> {
    let passphrase = files.passphrase_file.as_deref().map(passphrase).transpose()?;
    let chain = read(&files.cert)?;
    let key = if files.key == files.cert { None } else { Some(read(&files.key)?) };
    let identity = Identity::from_pem(&chain, key.as_deref(), passphrase.as_ref())
        .map_err(|error| SetupError::Identity { files: Box::new(files.clone()), error })?;
    match &files.ocsp {
        None => Ok(identity),
        Some(path) => identity
            .with_staple(&read(path)?)
            .map_err(|error| SetupError::Staple { path: path.clone(), error }),
    }
}

/// A passphrase file's first line, without the line's end.
fn passphrase(path: &Path) -> Result<Passphrase, SetupError> {
    let mut bytes = read(path)?;
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    bytes.truncate(end);
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(Passphrase::new(bytes))
}

fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|error| SetupError::Read { path: path.to_path_buf(), error })
}

/// Why an address cannot be dialled or listened at: something is to be mended on this machine.
#[derive(Debug)]
#[non_exhaustive]
pub enum SetupError {
    /// The address itself, for this use.
    Address(AddressError),
    /// A file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A file of trusted certificates cannot be used.
    Anchors {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: AnchorsError,
    },
    /// A certificate and key cannot be used.
    Identity {
        /// The files.
        files: Box<IdentityFiles>,
        /// The reason.
        error: IdentityError,
    },
    /// An OCSP response cannot be stapled to its certificate.
    Staple {
        /// The response.
        path: PathBuf,
        /// The reason.
        error: IdentityError,
    },
    /// The file for the secrets of sessions cannot be opened.
    KeyLog {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Several identities do not go together.
    Identities {
        /// The certificate at which this was found.
        path: PathBuf,
        /// The reason.
        error: IdentitiesError,
    },
    /// A name cannot be verified or asked for.
    Name(NameError),
    /// The TLS settings contradict each other.
    Tls(TlsConfigError),
    /// The system does not let us listen there.
    Listen {
        /// Where.
        address: Address,
        /// The system's reason.
        error: io::Error,
    },
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => write!(f, "{error}"),
            Self::Read { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Anchors { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Identity { files, error } if files.key == files.cert => {
                write!(f, "{}: {error}", files.cert.display())
            }
            Self::Identity { files, error } => {
                write!(f, "{} with {}: {error}", files.cert.display(), files.key.display())
            }
            Self::Staple { path, error } => write!(f, "{}: {error}", path.display()),
            Self::KeyLog { path, error } => {
                write!(f, "cannot write the key log {}: {error}", path.display())
            }
            Self::Identities { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Name(error) => write!(f, "{error}"),
            Self::Tls(error) => write!(f, "{error}"),
            Self::Listen { address, error } => write!(f, "cannot listen at {address}: {error}"),
        }
    }
}

impl std::error::Error for SetupError {}

impl From<AddressError> for SetupError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

impl From<NameError> for SetupError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl From<TlsConfigError> for SetupError {
    fn from(error: TlsConfigError) -> Self {
        Self::Tls(error)
    }
}
