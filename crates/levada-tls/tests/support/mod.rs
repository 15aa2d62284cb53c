//! What the tests share: certificates made on the spot, and two sessions joined by byte vectors.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of it")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use levada_core::{Ending, Role};
use levada_tls::{
    Anchors, BlockingPool, ClientAuth, Engine, Identities, Identity, Session, SessionName,
    TlsClient, TlsClientBuilder, TlsServer, TlsServerBuilder, TlsVersion, Work,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

/// The name that the server answers for, unless a test says otherwise.
pub const HOST: &str = "host.example";

pub const VERSIONS: [TlsVersion; 2] = [TlsVersion::V1_2, TlsVersion::V1_3];
pub const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// A certificate authority of the test's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// An authority that this one has certified.
    pub fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Another certificate for `sub`, an authority by the name `name`, by this one.
    pub fn cross_sign(
        &self,
        sub: &Self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        params.signed_by(sub.issuer.key(), &self.issuer).unwrap().pem()
    }

    /// A revocation list with these serial numbers, good until the year `until`.
    pub fn crl(&self, revoked: &[u64], until: i32) -> rcgen::CertificateRevocationList {
        self.crl_with(revoked, |params| params.next_update = date_time_ymd(until, 1, 1))
    }

    /// A revocation list with these serial numbers.
    pub fn crl_with(
        &self,
        revoked: &[u64],
        change: impl FnOnce(&mut rcgen::CertificateRevocationListParams),
    ) -> rcgen::CertificateRevocationList {
        let entry = |serial: &u64| rcgen::RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let mut params = rcgen::CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        change(&mut params);
        params.signed_by(&self.issuer).unwrap()
    }

    pub fn anchors(&self) -> Anchors {
        Anchors::from_pem(self.pem.as_bytes()).unwrap()
    }

    /// A certificate and its key as PEM.
    pub fn issue(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "test leaf");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    pub fn identity_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let (cert, key) = self.issue(names, change);
        Identity::from_pem(cert.as_bytes(), Some(key.as_bytes()), None).unwrap()
    }

    pub fn identity(&self, names: &[&str]) -> Identity {
        self.identity_with(names, |_| {})
    }
}

/// A certificate whose validity ended in 2001.
pub fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2001, 1, 1);
}

/// A client and a server that trust one authority, to be altered before they are joined.
pub struct Setup {
    pub authority: Authority,
    pub client: TlsClientBuilder,
    pub server: TlsServerBuilder,
    pub name: SessionName,
}

impl Setup {
    pub fn new(version: TlsVersion) -> Self {
        let authority = Authority::new("test authority");
        let identity = authority.identity(&[HOST]);
        Self {
            client: TlsClient::builder().anchors(authority.anchors()),
            server: server(&identity, version),
            name: SessionName::new(HOST).unwrap(),
            authority,
        }
        .with_client_version(version)
    }

    fn with_client_version(mut self, version: TlsVersion) -> Self {
        self.client = self.client.min_version(version).max_version(version);
        self
    }

    /// Both ends show and verify certificates.
    pub fn mutual(version: TlsVersion) -> Self {
        let mut setup = Self::new(version);
        setup.client = setup.client.identity(setup.authority.identity(&["client.example"]));
        setup.server = setup.server.client_auth(ClientAuth::Required(setup.authority.anchors()));
        setup
    }

    /// The server shows `identity` instead.
    pub fn with_identity(mut self, identity: &Identity, version: TlsVersion) -> Self {
        self.server = server(identity, version);
        self
    }

    pub fn join(self) -> Pair {
        let client = self.client.build().unwrap();
        let server = self.server.build().unwrap();
        Pair::new(client.session(&self.name).unwrap(), server.session())
    }
}

fn server(identity: &Identity, version: TlsVersion) -> TlsServerBuilder {
    TlsServer::builder(Identities::one(identity)).min_version(version).max_version(version)
}

/// One end: a session, what came for it, and what it has given.
pub struct End {
    pub session: Session,
    /// Bytes from the peer that it has not taken yet.
    pub wire: Vec<u8>,
    pub plain: Vec<u8>,
    pub ending: Option<Ending>,
}

impl End {
    pub fn new(session: Session) -> Self {
        Self { session, wire: Vec::new(), plain: Vec::new(), ending: None }
    }

    /// Opens what has come, with room for `room` plain bytes a call.
    pub fn open(&mut self, room: usize) {
        let mut plain = vec![0; room];
        loop {
            wait(&mut self.session);
            match self.session.open(&mut self.wire, &mut plain) {
                Ok(opened) => {
                    self.wire.drain(..opened.taken);
                    self.plain.extend_from_slice(&plain[..opened.plain]);
                    if opened.taken == 0 && opened.plain == 0 {
                        return;
                    }
                }
                Err(ending) => {
                    self.ending = Some(ending);
                    return;
                }
            }
        }
    }

    /// All that it wants to write.
    pub fn write(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.session.wants_write() {
            self.session.write_wire(&mut wire).unwrap();
        }
        wire
    }

    /// Takes what `peer` has written.
    pub fn hear(&mut self, peer: &mut Self) {
        let wire = peer.write();
        self.wire.extend(wire);
        self.open(ROOM);
    }

    /// What the session does with `wire`, given at once.
    pub fn given(session: Session, wire: &[u8]) -> Self {
        let mut end = Self::new(session);
        end.wire.extend_from_slice(wire);
        end.open(ROOM);
        end
    }
}

const ROOM: usize = 64 * 1024;

/// Waits until `session` waits for nobody but its peer.
pub fn wait(session: &mut Session) {
    block_on(std::future::poll_fn(|cx| session.poll_awaited(cx, &Threads)));
}

/// A thread for each work.
pub struct Threads;

impl BlockingPool for Threads {
    fn run(&self, work: Work) {
        thread::spawn(|| work.run());
    }
}

/// Waits for `future` on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

/// A client and a server.
pub struct Pair {
    pub client: End,
    pub server: End,
}

impl Pair {
    pub fn new(client: Session, server: Session) -> Self {
        Self { client: End::new(client), server: End::new(server) }
    }

    /// Lets the two talk until both are silent.
    pub fn talk(&mut self) {
        loop {
            let (to_server, to_client) = (self.client.write(), self.server.write());
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
            self.server.wire.extend(to_server);
            self.client.wire.extend(to_client);
            self.server.open(ROOM);
            self.client.open(ROOM);
        }
    }

    /// Joins them and lets them shake hands.
    pub fn established(setup: Setup) -> Self {
        let mut pair = setup.join();
        pair.talk();
        assert_eq!((&pair.client.ending, &pair.server.ending), (&None, &None));
        assert!(!pair.client.session.is_handshaking() && !pair.server.session.is_handshaking());
        pair
    }

    /// The end of `role` first, the other one second.
    pub fn ends(&mut self, role: Role) -> (&mut End, &mut End) {
        match role {
            Role::Client => (&mut self.client, &mut self.server),
            Role::Server => (&mut self.server, &mut self.client),
        }
    }
}

/// Bytes that tell their place.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index / 251 + index) as u8).collect()
}
