//! What a server accepts beside what it has agreed on with us: versions, suites, groups, application
//! protocols.
//!
//! Versions, suites and groups are asked by ClientHellos made by hand, for what we ask about is in part
//! what no library offers any more. A server answers each with one choice: the next question leaves that
//! out, until it refuses. So its choices come in its own order, and cost one connection each.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use levada::{ConnectEndpoint, Ended, Host, Layer, Options, SessionName, Socket, TlsClient};
use levada_probe::{Answer, Chosen, ClientHello, Group, Reader, Suite, Until, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::target::Target;
use super::visit::Visit;

/// Connections at once. Some servers serve one after the other, and none should take us for an attack.
const AT_ONCE: usize = 4;

/// How long all questions may take together: a server may be slow to answer each of them.
const LONGEST: Duration = Duration::from_secs(60);

/// Application protocols that are asked for, beside those of the address (IANA, "TLS ALPN Protocol IDs").
const PROTOCOLS: &[&str] = &[
    "h2",
    "http/1.1",
    "http/1.0",
    "imap",
    "pop3",
    "ftp",
    "mqtt",
    "xmpp-client",
    "xmpp-server",
    "dot",
    "irc",
    "sip/2",
    "nntp",
    "ntske/1",
    "postgresql",
];

/// What a server accepts. Lists are in the order in which it chose.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Each version, the newest first.
    pub(crate) versions: Vec<(Version, Accepts)>,
    /// Suites by version: of TLS 1.3, and of the newest version before it.
    pub(crate) suites: Vec<(Version, Vec<u16>)>,
    /// Groups for the key exchange.
    pub(crate) groups: Vec<u16>,
    /// Application protocols; none of them where the server does not speak of any.
    pub(crate) alpn: Vec<String>,
    /// The server has left a question without an answer: there may be more than the lists hold.
    pub(crate) incomplete: bool,
}

impl Survey {
    /// Whether the server takes a key exchange that a quantum computer cannot undo.
    pub(crate) fn has_post_quantum(&self) -> bool {
        self.groups.iter().filter_map(|code| Group::find(*code)).any(|group| group.post_quantum)
    }
}

/// Whether a server accepts something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepts {
    Yes,
    No,
    /// It gave no answer in time.
    Unknown,
}

/// Asks the server of `visit`.
pub(crate) async fn of(target: &Target, visit: &Visit) -> Survey {
    let until = Instant::now() + LONGEST;
    let asker = Asker { target, ip: visit.ip, slots: Semaphore::new(AT_ONCE), until };
    let version = |version| asker.accepts(version);
    let [v13, v12, v11, v10, v3] = Version::ALL;
    let answers = tokio::join!(version(v13), version(v12), version(v11), version(v10), version(v3));
    let answers = [answers.0, answers.1, answers.2, answers.3, answers.4];
    let versions: Vec<_> = Version::ALL.into_iter().zip(answers).collect();
    let newest = |wanted: fn(Version) -> bool| {
        let mut accepted = versions.iter().filter(|(_, accepts)| *accepts == Accepts::Yes);
        accepted.find(|(version, _)| wanted(*version)).map(|(version, _)| *version)
    };
    let (today, before) =
        (newest(|version| version == Version::Tls13), newest(|version| version < Version::Tls13));
    let (first, second, groups, alpn) = tokio::join!(
        asker.suites(today),
        asker.suites(before),
        asker.groups(today.or(before)),
        asker.alpn()
    );
    let incomplete = [&first, &second, &groups].iter().any(|list| !list.whole)
        || versions.iter().any(|(_, accepts)| *accepts == Accepts::Unknown);
    let suites = [(today, first), (before, second)];
    Survey {
        versions,
        suites: suites
            .into_iter()
            .filter_map(|(version, list)| Some((version?, list.chosen)))
            .collect(),
        groups: groups.chosen,
        alpn,
        incomplete,
    }
}

/// Who asks, and whom.
struct Asker<'a> {
    target: &'a Target,
    ip: Option<IpAddr>,
    slots: Semaphore,
    /// No question goes on for longer.
    until: Instant,
}

/// What was chosen, one after the other.
struct Choices {
    chosen: Vec<u16>,
    /// The server has refused the rest.
    whole: bool,
}

/// What comes of one question.
enum Reply {
    Chosen(Chosen),
    Refused,
    Silence,
}

impl Asker<'_> {
    async fn accepts(&self, version: Version) -> Accepts {
        let suites = suites_of(version);
        match self.ask(version, &suites, &all_groups(), Until::ServerHello).await {
            Reply::Chosen(chosen) if chosen.version() == Some(version) => Accepts::Yes,
            Reply::Chosen(_) | Reply::Refused => Accepts::No,
            Reply::Silence => Accepts::Unknown,
        }
    }

    async fn suites(&self, version: Option<Version>) -> Choices {
        let Some(version) = version else { return Choices::none() };
        let groups = all_groups();
        self.each(suites_of(version), async |left| {
            let reply = self.ask(version, left, &groups, Until::ServerHello).await;
            reply.of(version, |chosen| Some(chosen.suite))
        })
        .await
    }

    async fn groups(&self, version: Option<Version>) -> Choices {
        let Some(version) = version.filter(|version| *version > Version::Ssl3) else {
            return Choices::none();
        };
        let mut suites = suites_of(version);
        suites.retain(|code| Suite::find(*code).is_some_and(Suite::has_group));
        self.each(all_groups(), async |left| {
            let reply = self.ask(version, &suites, left, Until::Group).await;
            reply.of(version, |chosen| chosen.group)
        })
        .await
    }

    /// Asks again and again, each time without what was chosen before.
    async fn each(
        &self,
        mut left: Vec<u16>,
        ask: impl AsyncFn(&[u16]) -> Result<Option<u16>, NoAnswer>,
    ) -> Choices {
        let mut chosen = Vec::new();
        while !left.is_empty() {
            match ask(&left).await {
                Ok(Some(choice)) => {
                    let before = left.len();
                    left.retain(|one| *one != choice);
                    if left.len() == before {
                        // It chose what it was not offered: nothing more can be learnt from it.
                        return Choices { chosen, whole: false };
                    }
                    chosen.push(choice);
                }
                Ok(None) => break,
                Err(NoAnswer) => return Choices { chosen, whole: false },
            }
        }
        Choices { chosen, whole: true }
    }

    /// Asks once, on a connection of its own.
    async fn ask(&self, version: Version, suites: &[u16], groups: &[u16], until: Until) -> Reply {
        let asking = self.ask_at_leisure(version, suites, groups, until);
        timeout_at(self.until, asking).await.unwrap_or(Reply::Silence)
    }

    async fn ask_at_leisure(
        &self,
        version: Version,
        suites: &[u16],
        groups: &[u16],
        until: Until,
    ) -> Reply {
        // It fails only on a closed semaphore, which this one never is.
        let _slot = self.slots.acquire().await;
        let hello = ClientHello {
            version,
            suites,
            groups,
            server_name: self.target.tls.as_ref().and_then(|tls| tls.sni.as_deref()),
            random: random(),
        };
        let mut socket = self.dial(Layer::default());
        if socket.established().await.is_err() {
            return Reply::Silence;
        }
        let hello = hello.record();
        let asked = exchange(&mut socket, &hello, until);
        let answer = match self.target.deadlines.handshake {
            Some(time) => timeout(time, asked).await,
            None => Ok(asked.await),
        };
        match answer {
            Ok(Some(Answer::Chosen(chosen))) => {
                // So that the server's log says that we went, and not that we vanished.
                const GOODBYE: [u8; 7] = [21, 3, 1, 0, 2, 1, 0];
                let _ = timeout(super::visit::GOODBYE, socket.write_all(&GOODBYE)).await;
                Reply::Chosen(chosen)
            }
            // A server that hangs up, or that is confused, has refused as well as one that says so.
            Ok(_) => Reply::Refused,
            Err(_) => Reply::Silence,
        }
    }

    /// The protocols that a server chooses from all that we know: each in a whole handshake, for TLS 1.3
    /// tells it under encryption. Who it is has been looked at before.
    async fn alpn(&self) -> Vec<String> {
        let ours = self.target.tls.iter().flat_map(|tls| &tls.alpn);
        let ours = ours.filter_map(|name| String::from_utf8(name.clone()).ok());
        let mut left: Vec<String> = PROTOCOLS.iter().map(ToString::to_string).chain(ours).collect();
        let mut chosen = Vec::new();
        while let Ok(Some(protocol)) = timeout_at(self.until, self.protocol_of(&left)).await {
            let before = left.len();
            left.retain(|one| *one != protocol);
            if left.len() == before {
                break;
            }
            chosen.push(protocol);
        }
        chosen
    }

    async fn protocol_of(&self, offered: &[String]) -> Option<String> {
        // It fails only on a closed semaphore, which this one never is.
        let _slot = self.slots.acquire().await;
        let tls = self.target.tls.as_ref()?;
        let client = TlsClient::builder()
            .danger_no_verification()
            .alpn(offered.iter().map(String::as_bytes))
            .build()
            .ok()?;
        let name = SessionName::new(&tls.name.to_string()).ok()?;
        let name = match &tls.sni {
            Some(sni) => name.with_sni(sni).ok()?,
            None => name.without_sni(),
        };
        let session = client.session(&name).ok()?;
        let mut socket = self.dial(session);
        // A server that wants a certificate ends the handshake, but it has chosen before.
        let facts = match socket.established().await {
            Ok(()) => socket.facts().tls,
            Err(error) => Ended::of(&error).and_then(|ended| ended.facts.tls.clone()),
        };
        let _ = timeout(super::visit::GOODBYE, socket.shutdown()).await;
        facts?.alpn
    }

    fn dial(&self, layer: impl Into<Layer>) -> Socket {
        let Target { endpoint, dialer, deadlines, .. } = self.target;
        let mut endpoint = endpoint.clone();
        if let (ConnectEndpoint::Tcp { host, .. }, Some(ip)) = (&mut endpoint, self.ip) {
            *host = Host::Ip(ip);
        }
        let mut options = Options::default();
        options.deadlines = *deadlines;
        Socket::dial_through(dialer.proxy().cloned(), endpoint, layer, options)
    }
}

/// No answer came.
struct NoAnswer;

impl Reply {
    /// What it chose of `version`; `None` where it refused.
    fn of(
        self,
        version: Version,
        choice: impl FnOnce(&Chosen) -> Option<u16>,
    ) -> Result<Option<u16>, NoAnswer> {
        match self {
            Self::Chosen(chosen) if chosen.version() == Some(version) => Ok(choice(&chosen)),
            Self::Chosen(_) | Self::Refused => Ok(None),
            Self::Silence => Err(NoAnswer),
        }
    }
}

impl Choices {
    const fn none() -> Self {
        Self { chosen: Vec::new(), whole: true }
    }
}

async fn exchange(socket: &mut Socket, hello: &[u8], until: Until) -> Option<Answer> {
    socket.write_all(hello).await.ok()?;
    socket.flush().await.ok()?;
    let mut reader = Reader::new(until);
    let mut room = vec![0; 16 * 1024];
    loop {
        match socket.read(&mut room).await {
            Ok(count @ 1..) => {
                if let Some(answer) = reader.take(&room[..count]) {
                    return Some(answer);
                }
            }
            Ok(0) | Err(_) => return reader.finish(),
        }
    }
}

/// Bytes that differ from question to question, so that no server takes one for a repetition. Nothing
/// depends on them being hard to guess.
fn random() -> [u8; 32] {
    let seed = RandomState::new();
    let mut random = [0; 32];
    for (index, bytes) in random.chunks_exact_mut(8).enumerate() {
        bytes.copy_from_slice(&seed.hash_one(index).to_be_bytes());
    }
    random
}

fn suites_of(version: Version) -> Vec<u16> {
    let fitting = Suite::ALL.iter().filter(|suite| suite.is_tls13() == (version == Version::Tls13));
    fitting.map(|suite| suite.code).collect()
}

fn all_groups() -> Vec<u16> {
    Group::ALL.iter().map(|group| group.code).collect()
}

#[cfg(test)]
mod tests {
    use super::super::target::Found;
    use super::super::visit;
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[tokio::test]
    async fn a_server_that_gives_no_answer_leaves_all_open() {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = silent.local_addr().unwrap();
        let address = format!("tls://{at}?deadline-handshake=50ms");
        let target = Target::of(&address.parse().unwrap()).unwrap();
        let found = Found { places: vec![Some(at.ip())], ..Found::default() };
        let visits = visit::each(&target, &found).await;
        let survey = of(&target, &visits[0]).await;
        assert!(survey.incomplete);
        assert!(survey.versions.iter().all(|(_, accepts)| *accepts == Accepts::Unknown));
        assert!(survey.suites.is_empty() && survey.groups.is_empty() && survey.alpn.is_empty());
    }
}
