//! The rows.

use levada::{Blame, ConnectEndpoint, Deadline, Role, SessionName, TlsVersion, UnixName};
use levada_probe::{ClientHello, Version};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};

use crate::Row;
use crate::support::{Authority, Setup, expired};
use crate::world::{self, Then};

use Blame::{Config, Local, Network, Peer};
use Role::{Client, Server};

/// A row whose stream fails in the way of `$make`.
macro_rules! rows {
    ($($what:literal, $told_by:ident, $established:literal, $code:literal, $blame:ident, $words:literal, $hint:literal, $make:expr;)*) => {
        &[$(Row {
            what: $what,
            told_by: $told_by,
            code: $code,
            words: $words,
            established: $established,
            blame: $blame,
            hint: $hint,
            make: || Box::pin(async { $make.await }),
        }),*]
    };
}

pub(crate) const ROWS: &[Row] = rows! {
    "the server's certificate is for another name", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: it is not for \"other.example\" but for \"host.example\", we sent the alert bad_certificate (42)", "connect by a name that the certificate has, or verify another with name=host.example",
        world::meet(world::setup(|setup| Setup { name: SessionName::new("other.example").unwrap(), ..setup }), Client);
    "the server's certificate is for another name", Server, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert bad_certificate (42)", "the peer refused our certificate: check its names, usage and chain",
        world::meet(world::setup(|setup| Setup { name: SessionName::new("other.example").unwrap(), ..setup }), Server);
    "the server's certificate has no names", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: it is not for \"host.example\", we sent the alert bad_certificate (42)", "the certificate names no host: get one that does",
        world::meet(world::server_certificate(|params| params.subject_alt_names.clear()), Client);
    "the server's certificate has expired, or this clock is fast", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: it has expired, we sent the alert certificate_expired (45)", "the peer must renew its certificate, or one of its chain; check this machine's clock too",
        world::meet(world::server_certificate(expired), Client);
    "the server's certificate has expired, or the client's clock is fast", Server, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert certificate_expired (45)", "the peer takes our certificate for expired: renew it, and check the clocks",
        world::meet(world::server_certificate(expired), Server);
    "the server's certificate is not valid yet, or this clock is slow", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: it is not valid yet, we sent the alert certificate_expired (45)", "set the clocks of both machines right; if they are, wait until it is valid",
        world::meet(world::server_certificate(|params| params.not_before = date_time_ymd(3000, 1, 1)), Client);
    "the server's issuer is not trusted, or it does not send its intermediate certificate", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: no trusted authority has issued it, we sent the alert unknown_ca (48)", "trust the peer's CA (ca=FILE; of a client: client-ca=FILE), or let the peer send its intermediate certificates",
        world::meet(world::stranger("somebody else's authority"), Client);
    "the server's issuer is not trusted, or it does not send its intermediate certificate", Server, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert unknown_ca (48)", "the peer does not trust our certificate's issuer: give it our CA, or send the whole chain",
        world::meet(world::stranger("somebody else's authority"), Server);
    "the trusted authority has the issuer's name, and another key", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: a signature does not verify, we sent the alert decrypt_error (51)", "trust the CA that has really signed it: there may be two of the same name; else the peer is faulty",
        world::meet(world::stranger("test authority"), Client);
    "the server shows a CA's certificate as its own", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: it is a certificate authority's, not one for a host or client, we sent the alert certificate_unknown (46)", "give the peer a certificate of its own, issued by that CA; or pin this one",
        world::meet(world::server_certificate(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), Client);
    "the server shows a CA's certificate as its own", Server, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert certificate_unknown (46)", "the peer refused our certificate: check its names, usage and chain",
        world::meet(world::server_certificate(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), Server);
    "the server's certificate is for clients", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: it is not meant for this use: it needs serverAuth and has clientAuth, we sent the alert unsupported_certificate (43)", "let the peer get a certificate with the extended key usage for this role",
        world::meet(world::server_certificate(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]), Client);
    "the server's certificate is for clients", Server, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert unsupported_certificate (43)", "the peer refused our certificate: check its names, usage and chain",
        world::meet(world::server_certificate(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]), Server);

    "the server sends its own certificate alone, without its issuer's", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: no trusted authority has issued it, we sent the alert unknown_ca (48)", "trust the peer's CA (ca=FILE; of a client: client-ca=FILE), or let the peer send its intermediate certificates",
        world::meet(world::below(None), Client);
    "the issuer's certificate, which the server sends too, has expired", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: it has expired, we sent the alert certificate_expired (45)", "the peer must renew its certificate, or one of its chain; check this machine's clock too",
        world::meet(world::below(Some(expired)), Client);
    "this machine's clock is years behind", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: it is not valid yet, we sent the alert certificate_expired (45)", "set the clocks of both machines right; if they are, wait until it is valid",
        world::meet(world::slow_clock(), Client);
    "the server's certificate is revoked", Client, false, "ERR_TLS_FATAL_ERROR", Peer, "the peer's certificate was refused: its issuer has revoked it, we sent the alert certificate_revoked (44)", "the peer must get a new certificate",
        world::meet(world::listed(|authority| authority.crl(&[8], 2100)), Client);
    "the server's certificate is revoked", Server, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert certificate_revoked (44)", "our certificate is revoked: get a new one",
        world::meet(world::listed(|authority| authority.crl(&[8], 2100)), Server);
    "the revocation list has expired", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: whether it is revoked cannot be told: the revocation list of its issuer has expired, we sent the alert unknown_ca (48)", "give a current revocation list of each issuer with crl=FILE (of a client: client-crl=FILE)",
        world::meet(world::listed(|authority| authority.crl(&[], 2021)), Client);
    "no revocation list is the issuer's", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: whether it is revoked cannot be told: there is no revocation list of its issuer, we sent the alert unknown_ca (48)", "give a current revocation list of each issuer with crl=FILE (of a client: client-crl=FILE)",
        world::meet(world::listed(|_| Authority::new("another authority").crl(&[], 2100)), Client);
    "the server's key is not the one that is pinned", Client, false, "refused_pin", Config, "we refused the peer: its key is not pinned", "pin the peer's key, which `levada inspect` shows, with pin=PIN (of a client: client-pin=PIN), if it is to be let in",
        world::meet(world::pinned(), Client);
    "the server's key is not the one that is pinned", Server, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert access_denied (49)", "the peer does not let us in: have our certificate, its key or its names allowed there",
        world::meet(world::pinned(), Server);
    "no name of the client's certificate is allowed", Server, false, "refused_san", Config, "we refused the peer: its names are not on the list of allowed names", "allow a name of the peer with san=NAME (of a client: client-san=NAME), if it is to be let in",
        world::meet(world::not_allowed(), Server);
    "no name of the client's certificate is allowed (TLS 1.3)", Client, true, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert access_denied (49)", "the peer does not let us in: have our certificate, its key or its names allowed there",
        world::meet(world::not_allowed(), Client);

    "the server's signer fails", Server, false, "ERR_TLS_FATAL_ERROR", Local, "the private key could not sign: no token in the slot, we sent the alert internal_error (80)", "check the private key, or what holds it",
        world::signed(Server, Server, world::failing("no token in the slot"), false);
    "the server's signer fails", Client, false, "ERR_TLS_FATAL_ALERT", Peer, "the peer sent the fatal alert internal_error (80)", "something failed inside the peer, perhaps its private key: look into its log",
        world::signed(Server, Client, world::failing("no token in the slot"), false);
    "the client's signer fails", Client, false, "ERR_TLS_FATAL_ERROR", Local, "the private key could not sign: no token in the slot, we sent the alert internal_error (80)", "check the private key, or what holds it",
        world::signed(Client, Client, world::failing("no token in the slot"), false);
    "the client's signer fails", Server, false, "ERR_TLS_FATAL_ALERT", Peer, "the peer sent the fatal alert internal_error (80)", "something failed inside the peer, perhaps its private key: look into its log",
        world::signed(Client, Server, world::failing("no token in the slot"), false);
    "the signer panics", Server, false, "ERR_TLS_FATAL_ERROR", Local, "the private key could not sign: the signer panicked, we sent the alert internal_error (80)", "check the private key, or what holds it",
        world::signed(Server, Server, |_, _| async { panic!("on purpose") }, false);
    "the signer has another key than the certificate", Server, false, "ERR_TLS_FATAL_ERROR", Local, "the private key could not sign: the signature by ecdsa_secp256r1_sha256 is not one of the certificate's key: is it the right one?, we sent the alert internal_error (80)", "check the private key, or what holds it",
        world::signed(Server, Server, |_, _| async { Ok(vec![1; 70]) }, false);
    "the signer gives no signature in time", Server, false, "ERR_TLS_FATAL_ERROR", Local, "the private key could not sign: it gave no signature in time, we sent the alert internal_error (80)", "check the private key, or what holds it",
        world::signed(Server, Server, |_, _| std::future::pending(), true);
    "a hook of the server refuses the client", Server, false, "ERR_TLS_FATAL_ERROR", Config, "a rule refuses this client, which asks for \"host.example\", we sent the alert access_denied (49)", "let the rule that looks at ClientHellos allow such clients",
        world::refused_by_hook(Server);
    "a hook of the server refuses the client", Client, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert access_denied (49)", "the peer does not let us in: have our certificate, its key or its names allowed there",
        world::refused_by_hook(Client);

    "the client shows no certificate (TLS 1.2)", Client, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert certificate_required (116)", "the peer wants a client certificate: give cert and key",
        world::meet(world::no_client_certificate(TlsVersion::V1_2), Client);
    "the client shows no certificate (TLS 1.3)", Client, true, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert certificate_required (116)", "the peer wants a client certificate: give cert and key",
        world::meet(world::no_client_certificate(TlsVersion::V1_3), Client);
    "the client shows no certificate", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the peer showed no certificate, we sent the alert certificate_required (116)", "give the peer a client certificate, or do not require one (client-auth=requested)",
        world::meet(world::no_client_certificate(TlsVersion::V1_3), Server);
    "the client's certificate has expired", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: it has expired, we sent the alert certificate_expired (45)", "the peer must renew its certificate, or one of its chain; check this machine's clock too",
        world::meet(world::client_certificate(expired), Server);
    "the client's certificate has expired (TLS 1.3)", Client, true, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert certificate_expired (45)", "the peer takes our certificate for expired: renew it, and check the clocks",
        world::meet(world::client_certificate(expired), Client);
    "the client's certificate is for servers", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: it is not meant for this use: it needs clientAuth and has serverAuth, we sent the alert unsupported_certificate (43)", "let the peer get a certificate with the extended key usage for this role",
        world::meet(world::client_certificate(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]), Server);
    "the client's certificate is not valid yet", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: it is not valid yet, we sent the alert certificate_expired (45)", "set the clocks of both machines right; if they are, wait until it is valid",
        world::meet(world::client_certificate(|params| params.not_before = date_time_ymd(3000, 1, 1)), Server);
    "the client's issuer is not trusted", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the peer's certificate was refused: no trusted authority has issued it, we sent the alert unknown_ca (48)", "trust the peer's CA (ca=FILE; of a client: client-ca=FILE), or let the peer send its intermediate certificates",
        world::meet(world::untrusted_client(), Server);
    "the client's issuer is not trusted (TLS 1.3)", Client, true, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert unknown_ca (48)", "the peer does not trust our certificate's issuer: give it our CA, or send the whole chain",
        world::meet(world::untrusted_client(), Client);

    "the client speaks TLS 1.1 at most", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the peer speaks only SSL 3, TLS 1.0 or TLS 1.1, we sent the alert protocol_version (70)", "let the peer speak TLS 1.2 or 1.3; older versions are not safe",
        world::offered(ClientHello { version: Version::Tls11, suites: &[0xc014], groups: &[0x1d], server_name: None, random: [7; 32] });
    "the server speaks TLS 1.1 at most, and says so", Client, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert protocol_version (70)", "the two ends share no TLS version: we speak 1.2 and 1.3, let the peer allow one of them",
        world::alert(levada::AlertDescription::PROTOCOL_VERSION);
    "the server answers in TLS 1.1", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer speaks only SSL 3, TLS 1.0 or TLS 1.1, we sent the alert protocol_version (70)", "let the peer speak TLS 1.2 or 1.3; older versions are not safe",
        world::hears(Client, world::server_hello([3, 2], [0xc0, 0x14]), Then::Wait);
    "the client may speak TLS 1.2 alone, the server 1.3 alone", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the two ends have no version (we allow only TLS 1.3) in common, we sent the alert protocol_version (70)", "let one end allow a version of TLS that the other one speaks",
        world::meet(world::versions(TlsVersion::V1_2, TlsVersion::V1_3), Server);
    "the client may speak TLS 1.2 alone, the server 1.3 alone", Client, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert protocol_version (70)", "the two ends share no TLS version: we speak 1.2 and 1.3, let the peer allow one of them",
        world::meet(world::versions(TlsVersion::V1_2, TlsVersion::V1_3), Client);
    "the client offers weak suites alone", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the two ends have no cipher suite in common, we sent the alert handshake_failure (40)", "bring the peer's TLS settings up to date: what is too weak is not taken",
        world::offered(ClientHello { version: Version::Tls12, suites: &[0x000a, 0x002f], groups: &[0x1d], server_name: None, random: [7; 32] });
    "the client offers groups that are not ours", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the two ends have no key exchange group in common, we sent the alert handshake_failure (40)", "bring the peer's TLS settings up to date: what is too weak is not taken",
        world::offered(ClientHello { version: Version::Tls13, suites: &[0x1301], groups: &[0x1e], server_name: None, random: [7; 32] });
    "the server finds nothing that both know", Client, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert handshake_failure (40)", "the two ends share no cipher suite, group or certificate type, or the peer wants a client certificate",
        world::alert(levada::AlertDescription::HANDSHAKE_FAILURE);
    "the two have no application protocol in common", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the two ends have no application protocol in common, we sent the alert no_application_protocol (120)", "let both ends name a protocol in common, with alpn=NAME",
        world::meet(world::setup(|setup| Setup { client: setup.client.alpn(["h2"]), server: setup.server.alpn(["mqtt"]), ..setup }), Server);
    "the two have no application protocol in common", Client, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert no_application_protocol (120)", "the peer speaks none of our application protocols: name one that it speaks, alpn=NAME",
        world::meet(world::setup(|setup| Setup { client: setup.client.alpn(["h2"]), server: setup.server.alpn(["mqtt"]), ..setup }), Client);
    "the server has no identity for the name asked for", Server, false, "ERR_TLS_FATAL_ERROR", Config, "no identity for the name \"other.example\", we sent the alert unrecognized_name (112)", "add an identity for that name with cert=FILE, or a default one",
        world::meet(world::strict(SessionName::new("other.example").unwrap()), Server);
    "the server has no identity for the name asked for", Client, false, "ERR_TLS_FATAL_ALERT", Config, "the peer sent the fatal alert unrecognized_name (112)", "the peer has no identity for the name that we asked for: ask for one that it has, sni=NAME",
        world::meet(world::strict(SessionName::new("other.example").unwrap()), Client);
    "the client asks for no name, and there is no default identity", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the client asked for no name, we sent the alert unrecognized_name (112)", "add an identity for that name with cert=FILE, or a default one",
        world::meet(world::strict(SessionName::new("host.example").unwrap().without_sni()), Server);

    "a server of plain HTTP", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer does not speak TLS: it begins \"HTTP/1.1\"", "the peer speaks plain HTTP: use the port and the scheme (https) of TLS",
        world::hears(Client, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Then::Fin);
    "a client of plain HTTP", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the peer does not speak TLS: it begins \"GET\"", "the peer speaks plain HTTP: use the port and the scheme (https) of TLS",
        world::hears(Server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Then::Wait);
    "an SSH server", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer does not speak TLS: it begins \"SSH-2.0-\"", "the peer speaks SSH: use another port",
        world::hears(Client, b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), Then::Wait);
    "a mail server that greets before STARTTLS", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer does not speak TLS: it begins \"220\"", "the peer greets in plaintext: it may want STARTTLS, or have a TLS port",
        world::hears(Client, b"220 mail.example ESMTP\r\n".to_vec(), Then::Wait);
    "an IMAP server that greets before STARTTLS", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer does not speak TLS: it begins \"*\"", "the peer greets in plaintext: it may want STARTTLS, or have a TLS port",
        world::hears(Client, b"* OK IMAP4rev1 ready\r\n".to_vec(), Then::Wait);
    "a proxy in front sends the PROXY header", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the peer does not speak TLS: it begins \"PROXY\"", "a proxy in front sends a PROXY header, which is not taken here: switch it off there",
        world::hears(Server, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n".to_vec(), Then::Wait);
    "a proxy in front sends the binary PROXY header", Server, false, "ERR_TLS_FATAL_ERROR", Config, "the peer does not speak TLS: it begins \"\\x00\"", "a proxy in front sends a PROXY header, which is not taken here: switch it off there",
        world::hears(Server, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec(), Then::Wait);
    "another protocol", Client, false, "ERR_TLS_FATAL_ERROR", Config, "the peer does not speak TLS: it begins \"\\x00\\x00\\x00\"", "the peer speaks plaintext, or another protocol: is this the right port?",
        world::hears(Client, b"\0\0\0\x0cmysql".to_vec(), Then::Wait);
    "a server that sends back what it gets", Client, false, "ERR_TLS_FATAL_ERROR", Peer, "the peer broke the protocol: it sent the handshake message ClientHello where only ServerHello or HelloRetryRequest may come, we sent the alert unexpected_message (10)", "the peer's TLS is faulty, or something on the way alters the data",
        world::echoed();
    "a plain server that waits for its own protocol", Client, false, "timeout_handshake", Peer, "deadline-handshake passed", "the peer connected and then said too little: does it expect another protocol? else raise deadline-handshake",
        world::silence(Deadline::Handshake);

    "the server hangs up on our ClientHello", Client, false, "ERR_TLS_SOCKET_CLOSE", Peer, "the transport ended without a goodbye", "the peer hung up before the stream was established: does it speak TLS there? its log tells more",
        world::hears(Client, Vec::new(), Then::Fin);
    "the server resets on our ClientHello", Client, false, "ECONNRESET", Peer, "the transport failed: Connection reset by peer (ECONNRESET)", "the peer dropped the connection: look into its log",
        world::hears(Client, Vec::new(), Then::Reset);
    "the server says goodbye to our ClientHello", Client, false, "ERR_TLS_CLOSE_NOTIFY", Peer, "the peer closed", "the peer hung up before the stream was established: does it speak TLS there? its log tells more",
        world::hears(Client, vec![21, 3, 3, 0, 2, 1, 0], Then::Fin);
    "the client hangs up before it says anything", Server, false, "ERR_TLS_SOCKET_CLOSE", Peer, "the transport ended without a goodbye", "the peer hung up before the stream was established: does it speak TLS there? its log tells more",
        world::hears(Server, Vec::new(), Then::Fin);
    "the client hangs up within its ClientHello", Server, false, "ERR_TLS_SOCKET_CLOSE", Peer, "the transport ended without a goodbye", "the peer hung up before the stream was established: does it speak TLS there? its log tells more",
        world::hears(Server, vec![22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3], Then::Fin);
    "the client hangs up within the handshake", Server, false, "ERR_TLS_SOCKET_CLOSE", Peer, "the transport ended without a goodbye", "the peer hung up before the stream was established: does it speak TLS there? its log tells more",
        world::cut_in_the_handshake(Then::Fin);
    "the client resets within the handshake", Server, false, "ECONNRESET", Peer, "the transport failed: Connection reset by peer (ECONNRESET)", "the peer dropped the connection: look into its log",
        world::cut_in_the_handshake(Then::Reset);
    "the stream ends without close_notify", Client, true, "ERR_TLS_SOCKET_CLOSE", Peer, "the transport ended without a goodbye: data may be missing", "the peer, or something on the way, cut the stream short: treat what came as incomplete and look into the peer's log",
        world::after_data(|wire| wire, Then::Fin);
    "the stream ends within a record", Client, true, "ERR_TLS_SOCKET_CLOSE", Peer, "the transport ended without a goodbye: data may be missing", "the peer, or something on the way, cut the stream short: treat what came as incomplete and look into the peer's log",
        world::after_data(|mut wire| { wire.pop(); wire }, Then::Fin);
    "the peer resets the stream", Client, true, "ECONNRESET", Peer, "the transport failed: Connection reset by peer (ECONNRESET)", "the peer dropped the connection: look into its log",
        world::after_data(|_| Vec::new(), Then::Reset);
    "a record is altered on the way", Client, true, "ERR_TLS_FATAL_ERROR", Network, "a record from the peer did not authenticate, we sent the alert bad_record_mac (20)", "something on the way alters the data, or the peer's TLS is faulty",
        world::after_data(|mut wire| { *wire.last_mut().unwrap() ^= 1; wire }, Then::Wait);
    "a record has an illegal header", Client, true, "ERR_TLS_FATAL_ERROR", Peer, "the peer broke the protocol: invalid content type, we sent the alert decode_error (50)", "the peer's TLS is faulty, or something on the way alters the data",
        world::after_data(|mut wire| { wire.extend([99, 3, 3, 0, 1, 0]); wire }, Then::Wait);
    "plaintext comes between the records", Client, true, "ERR_TLS_FATAL_ERROR", Peer, "the peer broke the protocol: invalid content type, we sent the alert decode_error (50)", "the peer's TLS is faulty, or something on the way alters the data",
        world::after_data(|mut wire| { wire.extend(b"HTTP/1.1 200 OK\r\n\r\n"); wire }, Then::Wait);
    "a message comes out of turn", Client, false, "ERR_TLS_FATAL_ERROR", Peer, "the peer broke the protocol: it sent the handshake message ServerHelloDone where only ServerHello or HelloRetryRequest may come, we sent the alert unexpected_message (10)", "the peer's TLS is faulty, or something on the way alters the data",
        world::hears(Client, vec![22, 3, 3, 0, 4, 14, 0, 0, 0], Then::Wait);
    "a ClientHello that is cut within", Server, false, "ERR_TLS_FATAL_ERROR", Peer, "the peer broke the protocol: data is missing in its Random, we sent the alert decode_error (50)", "the peer's TLS is faulty, or something on the way alters the data",
        world::hears(Server, vec![22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3], Then::Wait);
    "warning alerts, and nothing else", Client, false, "ERR_TLS_FATAL_ERROR", Peer, "the peer broke the protocol: too many warning alerts received, we sent the alert unexpected_message (10)", "the peer's TLS is faulty, or something on the way alters the data",
        world::hears(Client, [21, 3, 1, 0, 2, 1, 112].repeat(20), Then::Wait);
    "a record without an end", Server, false, "ERR_TLS_FATAL_ERROR", Peer, "the peer broke the protocol: message too large, we sent the alert decode_error (50)", "the peer's TLS is faulty, or something on the way alters the data",
        world::hears(Server, vec![22, 3, 1, 0xff, 0xff], Then::Wait);

    "the name does not exist", Client, false, "lookup_failed", Config, "the name \"host.example\" was not found: Name or service not known", "check the spelling of the name, or use an address",
        world::looked_up(Some("Name or service not known"));
    "the name service does not answer", Client, false, "timeout_lookup", Network, "deadline-lookup passed", "look into the name service, or raise deadline-lookup",
        world::looked_up(None);
    "nobody listens there", Client, false, "ECONNREFUSED", Config, "the transport failed: Connection refused (ECONNREFUSED)", "nothing listens there: check address and port",
        async { world::dialled(world::tcp(world::nobody().await, None)).await };
    "there is no such Unix socket", Client, false, "ENOENT", Config, "the transport failed: No such file or directory (ENOENT)", "there is no such socket: check the path",
        world::dialled(ConnectEndpoint::Unix(UnixName::Path("/nowhere/a.sock".into())));
    "the local address is not one of this machine", Client, false, "EADDRNOTAVAIL", Config, "the transport failed: Cannot assign requested address (EADDRNOTAVAIL)", "that is no address of this machine: give one that is, or none",
        world::dialled(world::tcp("127.0.0.1:9".parse().unwrap(), Some("192.0.2.1:0".parse().unwrap())));
    "packets are dropped on the way", Client, false, "timeout_connect", Network, "deadline-connect passed", "a firewall may drop the packets; check address and port, or raise deadline-connect",
        world::deaf();
    "there is no way to the peer any more", Client, true, "EHOSTUNREACH", Network, "the transport failed: No route to host (EHOSTUNREACH)", "there is no way to that address: check the network",
        world::lost(rustix::io::Errno::HOSTUNREACH);
    "the connection is lost on the way", Client, true, "ETIMEDOUT", Network, "the transport failed: Connection timed out (ETIMEDOUT)", "the connection was lost on the way: check the network",
        world::lost(rustix::io::Errno::TIMEDOUT);
    "nothing is said for longer than deadline-idle", Client, true, "timeout_idle", Peer, "deadline-idle passed", "nothing was said for too long; raise deadline-idle",
        world::silence(Deadline::Idle);
    "the peer does not close", Client, true, "timeout_close", Peer, "deadline-close passed", "the peer does not close; raise deadline-close if it is slow",
        world::silence(Deadline::Close);
};

/// What was wrong, and two ends where it is not.
type Mended = (&'static str, fn() -> Setup);

/// What was wrong, and the same two ends once that is done which the hint says.
pub(crate) const MENDED: &[Mended] = &[
    ("the server's certificate is for another name", || {
        // name=host.example
        world::setup(|setup| Setup {
            name: SessionName::new("host.example").unwrap().with_sni("other.example").unwrap(),
            ..setup
        })
    }),
    ("the client shows no certificate", || {
        // cert=FILE
        let mut setup = world::no_client_certificate(TlsVersion::V1_3);
        setup.client = setup.client.identity(setup.authority.identity(&["client.example"]));
        setup
    }),
    ("the client shows no certificate", || {
        // client-auth=requested
        let mut setup = world::no_client_certificate(TlsVersion::V1_3);
        let anchors = setup.authority.anchors();
        setup.server = setup.server.client_auth(levada::ClientAuth::Requested(anchors));
        setup
    }),
    ("the client shows no certificate (TLS 1.2)", || {
        let mut setup = world::no_client_certificate(TlsVersion::V1_2);
        setup.client = setup.client.identity(setup.authority.identity(&["client.example"]));
        setup
    }),
    (
        "the server's issuer is not trusted, or it does not send its intermediate certificate",
        || {
            // ca=FILE
            let mut setup = world::stranger("somebody else's authority");
            setup.client = setup.client.anchors(setup.authority.anchors());
            setup
        },
    ),
    ("the trusted authority has the issuer's name, and another key", || {
        let mut setup = world::stranger("test authority");
        setup.client = setup.client.anchors(setup.authority.anchors());
        setup
    }),
    ("the client's issuer is not trusted", || {
        // client-ca=FILE
        let mut setup = world::untrusted_client();
        let anchors = setup.authority.anchors();
        setup.server = setup.server.client_auth(levada::ClientAuth::Required(anchors));
        setup
    }),
    ("the server's certificate is for clients", || {
        world::server_certificate(|params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })
    }),
    ("the client may speak TLS 1.2 alone, the server 1.3 alone", || {
        let mut setup = world::versions(TlsVersion::V1_2, TlsVersion::V1_3);
        setup.server = setup.server.min_version(TlsVersion::V1_2);
        setup
    }),
    ("the two have no application protocol in common", || {
        world::setup(|setup| Setup {
            client: setup.client.alpn(["h2", "mqtt"]),
            server: setup.server.alpn(["mqtt"]),
            ..setup
        })
    }),
    ("the server has no identity for the name asked for", || {
        // sni=host.example
        let name = SessionName::new("host.example").unwrap();
        world::strict(name.with_sni("host.example").unwrap())
    }),
];
