//! Requests about sessions that are protected: PRNG, INFO and the private ones.

use levada::Bytes;
use levada_pool_wire::body::{Info, InfoKind, Prng};
use levada_pool_wire::{Document, ErrorCode, Message, Page, Role};
use levada_sys::PeerCredentials;
use serde::Serialize;

use crate::ownership::ClientId;
use crate::pages::Pages;
use crate::pool::Shared;
use crate::registry::{Listed, Stage};
use crate::session::Inquiry;

/// The reply to a request about sessions.
pub(crate) async fn reply(
    pool: &Shared,
    client: ClientId,
    credentials: &PeerCredentials,
    pages: &Pages,
    message: &Message,
) -> Result<Message, ErrorCode> {
    match message {
        Message::Prng(prng) => derive(pool, client, prng),
        Message::Info(info) => tell(pool, client, info),
        other => {
            let page = Page::of(other).ok_or(ErrorCode::UnknownCommand)?;
            let page = page.map_err(|_| ErrorCode::NotImplemented)?;
            turn(pool, client, credentials, pages, &page).await.map(Message::from)
        }
    }
}

/// PRNG: key material of a session.
fn derive(pool: &Shared, client: ClientId, prng: &Prng) -> Result<Message, ErrorCode> {
    let request = prng.request().map_err(|fault| fault.code())?;
    let _session = pool.registry.session(client, &request.control_key)?;
    Err(ErrorCode::PrngUnavailable)
}

/// INFO: a fact about a session.
fn tell(pool: &Shared, client: ClientId, info: &Info) -> Result<Message, ErrorCode> {
    if let InfoKind::Unknown(_) = info.kind {
        return Err(ErrorCode::InfoKindUnknown);
    }
    let _session = pool.registry.session(client, &info.control_key)?;
    Err(ErrorCode::InfoNotFound)
}

/// PAGE: a text, page by page.
async fn turn(
    pool: &Shared,
    client: ClientId,
    credentials: &PeerCredentials,
    pages: &Pages,
    page: &Page,
) -> Result<Page, ErrorCode> {
    if page.offset > 0 {
        return pages.next(page).ok_or(ErrorCode::InfoNotFound);
    }
    let text = match page.document {
        Document::Sessions => sessions(pool, credentials).await,
        Document::Report => report(pool, client, page).await?,
        Document::Unknown(_) => return Err(ErrorCode::InfoKindUnknown),
    };
    Ok(pages.begin(page, text))
}

async fn report(pool: &Shared, client: ClientId, page: &Page) -> Result<Vec<u8>, ErrorCode> {
    // A session tells of itself as long as it lives, and what it leaves is there before it is gone.
    if let Ok(session) = pool.registry.session(client, &page.control_key)
        && let Some(report) = session.ask(Inquiry::Report).await
    {
        return Ok(report.encode());
    }
    let kept = pool.registry.report(client, &page.control_key);
    kept.map(|report| report.encode()).ok_or(ErrorCode::ControlKeyNotFound)
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
    /// Plain bytes from the peer, and to it.
    read: u64,
    written: u64,
}

async fn sessions(pool: &Shared, credentials: &PeerCredentials) -> Vec<u8> {
    let everything = [0, pool.uid].contains(&credentials.uid);
    let uid = (!everything).then_some(credentials.uid);
    let mut text = Vec::new();
    for listed in pool.registry.list(uid) {
        let bytes = match &listed.handle {
            Some(session) => session.ask(Inquiry::Bytes).await.unwrap_or_default(),
            None => Bytes::default(),
        };
        // Writing numbers and texts into memory cannot fail.
        let _ = serde_json::to_writer(&mut text, &line(&listed, bytes));
        text.push(b'\n');
    }
    text
}

fn line(listed: &Listed, bytes: Bytes) -> Line {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Line {
        session: listed.number,
        stage: match listed.stage {
            Stage::Handshake => "handshake",
            Stage::Protected => "protected",
            Stage::Detached => "detached",
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
        read: bytes.read,
        written: bytes.written,
    }
}
