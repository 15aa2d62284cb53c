//! Requests about sessions that are protected: PRNG, INFO and the private ones.

use levada::{Bytes, ChannelBinding, ExporterError, KeyingMaterial};
use levada_pool_wire::body::{Fact, Info, InfoKind, Prng};
use levada_pool_wire::{ErrorCode, ExchangeKey, Message, Page, Role};
use levada_sys::PeerCredentials;
use levada_tls::{EncodedNames, encoded_names};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::control::Event;
use crate::ownership::ClientId;
use crate::pool::Shared;
use crate::registry::{Listed, Stage};
use crate::session::{Session, SessionHandle};

/// Labels that are registered without the prefix `EXPORTER` (IANA, TLS Exporter Labels). The others
/// there are of TLS itself, and of no use to anybody else.
const OLD_LABELS: [&str; 4] =
    ["client EAP encryption", "ttls keying material", "ttls challenge", "EXTRACTOR-dtls_srtp"];

/// The reply to a request about a session.
pub(crate) async fn reply(
    pool: &Shared,
    client: ClientId,
    message: Message,
) -> Result<Message, ErrorCode> {
    match message {
        Message::Prng(prng) => derive(pool, client, &prng).await,
        Message::Info(info) => tell(pool, client, info).await,
        _ => Err(ErrorCode::UnknownCommand),
    }
}

/// PRNG: key material of a session, under a registered label or a private one.
///
/// Source: TLS Pool protocol V2, PRNG; RFC 5705 section 4.
async fn derive(pool: &Shared, client: ClientId, prng: &Prng) -> Result<Message, ErrorCode> {
    let request = prng.request().map_err(|fault| fault.code())?;
    let session = pool.registry.session(client, &request.control_key)?;
    let unavailable = ErrorCode::PrngUnavailable;
    let label = std::str::from_utf8(request.label).map_err(|_| unavailable)?.to_owned();
    if !is_allowed(&label) {
        return Err(unavailable);
    }
    if label == ChannelBinding::TLS_EXPORTER {
        // Where two sessions could have the same there is none (RFC 9266 section 4).
        binding(&session, ChannelBinding::TlsExporter).await?.map_err(|_| unavailable)?;
    }
    let (context, length) = (request.context.map(<[u8]>::to_vec), request.output_len);
    let derived = session
        .look(move |session| session.export_keying_material(&label, context.as_deref(), length));
    let derived = derived.await.ok_or(ErrorCode::ControlKeyNotFound)?;
    let derived = derived.await.map_err(|_| unavailable)?;
    prng.reply(derived.bytes()).map(Message::Prng).map_err(|fault| fault.code())
}

fn is_allowed(label: &str) -> bool {
    let longer_than = |prefix: &str| label.len() > prefix.len() && label.starts_with(prefix);
    longer_than("EXPERIMENTAL") || longer_than("EXPORTER") || OLD_LABELS.contains(&label)
}

/// INFO: a fact about a session, asked for or compared with.
///
/// Source: TLS Pool protocol V2, INFO.
async fn tell(pool: &Shared, client: ClientId, info: Info) -> Result<Message, ErrorCode> {
    if let InfoKind::Unknown(_) = info.kind {
        return Err(ErrorCode::InfoKindUnknown);
    }
    let session = pool.registry.session(client, &info.control_key)?;
    let (kind, asked) = (info.kind, info.fact.clone());
    let found = if kind == InfoKind::TlsServerEndPoint {
        let end_point = binding(&session, ChannelBinding::TlsServerEndPoint).await?;
        end_point.ok().map(|end_point| end_point.bytes().to_vec())
    } else {
        let found =
            session.look(move |session| fact(session, kind, asked.as_ref().map(Fact::as_bytes)));
        found.await.ok_or(ErrorCode::ControlKeyNotFound)?
    };
    let fact = found.and_then(|found| Fact::new(&found).ok());
    let fact = fact.filter(|fact| info.fact.as_ref().is_none_or(|asked| asked == fact));
    let fact = fact.ok_or(ErrorCode::InfoNotFound)?;
    Ok(Message::Info(Info { fact: Some(fact), ..info }))
}

/// What binds a login to the session.
async fn binding(
    session: &SessionHandle,
    binding: ChannelBinding,
) -> Result<Result<KeyingMaterial, ExporterError>, ErrorCode> {
    let asked = session.look(move |session| session.channel_binding(binding));
    Ok(asked.await.ok_or(ErrorCode::ControlKeyNotFound)?.await)
}

/// What the two certificates say. Of several names `asked` is the one, if it is there.
fn fact(session: &Session, kind: InfoKind, asked: Option<&[u8]>) -> Option<Vec<u8>> {
    let own = || encoded_names(session.own()?.certificate_der());
    let peer = || encoded_names(session.peer_chain().next()?);
    let one_of = |names: EncodedNames<'_>| asked.filter(|name| names.alternative.contains(name));
    let found = match kind {
        InfoKind::PeerSubject => peer()?.subject,
        InfoKind::PeerIssuer => peer()?.issuer,
        InfoKind::OwnSubject => own()?.subject,
        InfoKind::OwnIssuer => own()?.issuer,
        InfoKind::PeerSubjectAltName => one_of(peer()?)?,
        InfoKind::OwnSubjectAltName => one_of(own()?)?,
        // TLS 1.3 has no `tls-unique`, and of TLS 1.2 the library does not tell the Finished messages.
        InfoKind::TlsUnique | InfoKind::TlsServerEndPoint | InfoKind::Unknown(_) => return None,
    };
    Some(found.to_vec())
}

/// Who waits for a text that a session has to tell. Dropped, it tells that the session is no more.
pub(crate) struct TextAsked {
    exchange: ExchangeKey,
    page: Option<Box<Page>>,
    events: mpsc::Sender<Event>,
}

impl TextAsked {
    pub(crate) fn new(exchange: ExchangeKey, page: Page, events: mpsc::Sender<Event>) -> Self {
        Self { exchange, page: Some(Box::new(page)), events }
    }

    pub(crate) fn answer(mut self, text: Vec<u8>) {
        self.send(Some(text));
    }

    fn send(&mut self, text: Option<Vec<u8>>) {
        let Some(page) = self.page.take() else { return };
        let event = Event::Told { exchange: self.exchange, page, text };
        // There is room for one event of each exchange. Who asked may have gone.
        let _ = self.events.try_send(event);
    }
}

impl Drop for TextAsked {
    fn drop(&mut self) {
        self.send(None);
    }
}

/// One line of the list of sessions.
#[derive(Serialize)]
struct Line {
    session: u64,
    stage: &'static str,
    role: &'static str,
    local: String,
    remote: String,
    service: String,
    uid: u32,
    pid: Option<u32>,
    age_ms: u64,
    /// Plain bytes from the peer, and to it; unknown of what goes past the pool.
    read: Option<u64>,
    written: Option<u64>,
}

/// The list of the sessions that somebody may see.
pub(crate) async fn sessions(pool: &Shared, credentials: &PeerCredentials) -> Vec<u8> {
    let everything = [0, pool.uid].contains(&credentials.uid);
    let uid = (!everything).then_some(credentials.uid);
    let mut text = Vec::new();
    for listed in pool.registry.list(uid) {
        let bytes = match &listed.handle {
            Some(session) => session.look(|session| session.bytes()).await.flatten(),
            None => Some(Bytes::default()),
        };
        // Writing numbers and texts into memory cannot fail.
        let _ = serde_json::to_writer(&mut text, &line(&listed, bytes));
        text.push(b'\n');
    }
    text
}

fn line(listed: &Listed, bytes: Option<Bytes>) -> Line {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Line {
        session: listed.number,
        stage: match listed.stage {
            Stage::Handshake => "handshake",
            Stage::Protected => "protected",
            Stage::Detached => "detached",
            Stage::HandedBack => "handed-back",
        },
        role: match listed.role {
            Role::Client => "client",
            Role::Server => "server",
        },
        local: text(listed.local_id.as_bytes()),
        remote: text(listed.remote_id.as_bytes()),
        service: text(listed.service.as_bytes()),
        uid: listed.uid,
        pid: listed.pid,
        age_ms: u64::try_from(listed.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        read: bytes.map(|bytes| bytes.read),
        written: bytes.map(|bytes| bytes.written),
    }
}
