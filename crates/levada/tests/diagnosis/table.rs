//! The rows.

use levada::{Blame, ConnectEndpoint, Deadline, Role, SessionName, TlsVersion, UnixName};
use levada_probe::{ClientHello, Version};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};

use crate::Row;
use crate::support::{Setup, expired};
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
    "the server's certificate is for another name", Client, false, "", Config, "", "",
        world::meet(world::setup(|setup| Setup { name: SessionName::new("other.example").unwrap(), ..setup }), Client);
    "the server's certificate is for another name", Server, false, "", Config, "", "",
        world::meet(world::setup(|setup| Setup { name: SessionName::new("other.example").unwrap(), ..setup }), Server);
    "the server's certificate has no names", Client, false, "", Config, "", "",
        world::meet(world::server_certificate(|params| params.subject_alt_names.clear()), Client);
    "the server's certificate has expired, or this clock is fast", Client, false, "", Config, "", "",
        world::meet(world::server_certificate(expired), Client);
    "the server's certificate has expired, or the client's clock is fast", Server, false, "", Config, "", "",
        world::meet(world::server_certificate(expired), Server);
    "the server's certificate is not valid yet, or this clock is slow", Client, false, "", Config, "", "",
        world::meet(world::server_certificate(|params| params.not_before = date_time_ymd(3000, 1, 1)), Client);
    "the server's issuer is not trusted, or it does not send its intermediate certificate", Client, false, "", Config, "", "",
        world::meet(world::stranger("somebody else's authority"), Client);
    "the server's issuer is not trusted, or it does not send its intermediate certificate", Server, false, "", Config, "", "",
        world::meet(world::stranger("somebody else's authority"), Server);
    "the trusted authority has the issuer's name, and another key", Client, false, "", Config, "", "",
        world::meet(world::stranger("test authority"), Client);
    "the server shows a CA's certificate as its own", Client, false, "", Config, "", "",
        world::meet(world::server_certificate(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), Client);
    "the server shows a CA's certificate as its own", Server, false, "", Config, "", "",
        world::meet(world::server_certificate(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), Server);
    "the server's certificate is for clients", Client, false, "", Config, "", "",
        world::meet(world::server_certificate(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]), Client);
    "the server's certificate is for clients", Server, false, "", Config, "", "",
        world::meet(world::server_certificate(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]), Server);

    "the client shows no certificate (TLS 1.2)", Client, false, "", Config, "", "",
        world::meet(world::no_client_certificate(TlsVersion::V1_2), Client);
    "the client shows no certificate (TLS 1.3)", Client, true, "", Config, "", "",
        world::meet(world::no_client_certificate(TlsVersion::V1_3), Client);
    "the client shows no certificate", Server, false, "", Config, "", "",
        world::meet(world::no_client_certificate(TlsVersion::V1_3), Server);
    "the client's certificate has expired", Server, false, "", Config, "", "",
        world::meet(world::client_certificate(expired), Server);
    "the client's certificate has expired (TLS 1.3)", Client, true, "", Config, "", "",
        world::meet(world::client_certificate(expired), Client);
    "the client's certificate is for servers", Server, false, "", Config, "", "",
        world::meet(world::client_certificate(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]), Server);
    "the client's certificate is not valid yet", Server, false, "", Config, "", "",
        world::meet(world::client_certificate(|params| params.not_before = date_time_ymd(3000, 1, 1)), Server);
    "the client's issuer is not trusted", Server, false, "", Config, "", "",
        world::meet(world::untrusted_client(), Server);
    "the client's issuer is not trusted (TLS 1.3)", Client, true, "", Config, "", "",
        world::meet(world::untrusted_client(), Client);

    "the client speaks TLS 1.1 at most", Server, false, "", Config, "", "",
        world::offered(ClientHello { version: Version::Tls11, suites: &[0xc014], groups: &[0x1d], server_name: None, random: [7; 32] });
    "the server speaks TLS 1.1 at most, and says so", Client, false, "", Config, "", "",
        world::alert(levada::AlertDescription::PROTOCOL_VERSION);
    "the server answers in TLS 1.1", Client, false, "", Config, "", "",
        world::hears(Client, world::server_hello([3, 2], [0xc0, 0x14]), Then::Wait);
    "the client may speak TLS 1.2 alone, the server 1.3 alone", Server, false, "", Config, "", "",
        world::meet(world::versions(TlsVersion::V1_2, TlsVersion::V1_3), Server);
    "the client may speak TLS 1.2 alone, the server 1.3 alone", Client, false, "", Config, "", "",
        world::meet(world::versions(TlsVersion::V1_2, TlsVersion::V1_3), Client);
    "the client offers weak suites alone", Server, false, "", Config, "", "",
        world::offered(ClientHello { version: Version::Tls12, suites: &[0x000a, 0x002f], groups: &[0x1d], server_name: None, random: [7; 32] });
    "the client offers groups that are not ours", Server, false, "", Config, "", "",
        world::offered(ClientHello { version: Version::Tls13, suites: &[0x1301], groups: &[0x1e], server_name: None, random: [7; 32] });
    "the server finds nothing that both know", Client, false, "", Config, "", "",
        world::alert(levada::AlertDescription::HANDSHAKE_FAILURE);
    "the two have no application protocol in common", Server, false, "", Config, "", "",
        world::meet(world::setup(|setup| Setup { client: setup.client.alpn(["h2"]), server: setup.server.alpn(["mqtt"]), ..setup }), Server);
    "the two have no application protocol in common", Client, false, "", Config, "", "",
        world::meet(world::setup(|setup| Setup { client: setup.client.alpn(["h2"]), server: setup.server.alpn(["mqtt"]), ..setup }), Client);
    "the server has no identity for the name asked for", Server, false, "", Config, "", "",
        world::meet(world::strict(SessionName::new("other.example").unwrap()), Server);
    "the server has no identity for the name asked for", Client, false, "", Config, "", "",
        world::meet(world::strict(SessionName::new("other.example").unwrap()), Client);
    "the client asks for no name, and there is no default identity", Server, false, "", Config, "", "",
        world::meet(world::strict(SessionName::new("host.example").unwrap().without_sni()), Server);

    "a server of plain HTTP", Client, false, "", Config, "", "",
        world::hears(Client, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Then::Fin);
    "a client of plain HTTP", Server, false, "", Config, "", "",
        world::hears(Server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Then::Wait);
    "an SSH server", Client, false, "", Config, "", "",
        world::hears(Client, b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), Then::Wait);
    "a mail server that greets before STARTTLS", Client, false, "", Config, "", "",
        world::hears(Client, b"220 mail.example ESMTP\r\n".to_vec(), Then::Wait);
    "an IMAP server that greets before STARTTLS", Client, false, "", Config, "", "",
        world::hears(Client, b"* OK IMAP4rev1 ready\r\n".to_vec(), Then::Wait);
    "a proxy in front sends the PROXY header", Server, false, "", Config, "", "",
        world::hears(Server, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n".to_vec(), Then::Wait);
    "a proxy in front sends the binary PROXY header", Server, false, "", Config, "", "",
        world::hears(Server, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec(), Then::Wait);
    "another protocol", Client, false, "", Config, "", "",
        world::hears(Client, b"\0\0\0\x0cmysql".to_vec(), Then::Wait);
    "a server that sends back what it gets", Client, false, "", Peer, "", "",
        world::echoed();
    "a plain server that waits for its own protocol", Client, false, "", Peer, "", "",
        world::silence(Deadline::Handshake);

    "the server hangs up on our ClientHello", Client, false, "", Peer, "", "",
        world::hears(Client, Vec::new(), Then::Fin);
    "the server resets on our ClientHello", Client, false, "", Peer, "", "",
        world::hears(Client, Vec::new(), Then::Reset);
    "the server says goodbye to our ClientHello", Client, false, "", Peer, "", "",
        world::hears(Client, vec![21, 3, 3, 0, 2, 1, 0], Then::Fin);
    "the client hangs up before it says anything", Server, false, "", Peer, "", "",
        world::hears(Server, Vec::new(), Then::Fin);
    "the client hangs up within its ClientHello", Server, false, "", Peer, "", "",
        world::hears(Server, vec![22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3], Then::Fin);
    "the client hangs up within the handshake", Server, false, "", Peer, "", "",
        world::cut_in_the_handshake(Then::Fin);
    "the client resets within the handshake", Server, false, "", Peer, "", "",
        world::cut_in_the_handshake(Then::Reset);
    "the stream ends without close_notify", Client, true, "", Peer, "", "",
        world::after_data(|wire| wire, Then::Fin);
    "the stream ends within a record", Client, true, "", Peer, "", "",
        world::after_data(|mut wire| { wire.pop(); wire }, Then::Fin);
    "the peer resets the stream", Client, true, "", Peer, "", "",
        world::after_data(|_| Vec::new(), Then::Reset);
    "a record is altered on the way", Client, true, "", Network, "", "",
        world::after_data(|mut wire| { *wire.last_mut().unwrap() ^= 1; wire }, Then::Wait);
    "a record has an illegal header", Client, true, "", Peer, "", "",
        world::after_data(|mut wire| { wire.extend([99, 3, 3, 0, 1, 0]); wire }, Then::Wait);
    "plaintext comes between the records", Client, true, "", Peer, "", "",
        world::after_data(|mut wire| { wire.extend(b"HTTP/1.1 200 OK\r\n\r\n"); wire }, Then::Wait);
    "a message comes out of turn", Client, false, "", Peer, "", "",
        world::hears(Client, vec![22, 3, 3, 0, 4, 14, 0, 0, 0], Then::Wait);
    "a ClientHello that is cut within", Server, false, "", Peer, "", "",
        world::hears(Server, vec![22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3], Then::Wait);
    "warning alerts, and nothing else", Client, false, "", Peer, "", "",
        world::hears(Client, [21, 3, 1, 0, 2, 1, 112].repeat(20), Then::Wait);
    "a record without an end", Server, false, "", Peer, "", "",
        world::hears(Server, vec![22, 3, 1, 0xff, 0xff], Then::Wait);

    "the name does not exist", Client, false, "", Config, "", "",
        world::looked_up(Some("Name or service not known"));
    "the name service does not answer", Client, false, "", Network, "", "",
        world::looked_up(None);
    "nobody listens there", Client, false, "", Config, "", "",
        async { world::dialled(world::tcp(world::nobody().await, None)).await };
    "there is no such Unix socket", Client, false, "", Config, "", "",
        world::dialled(ConnectEndpoint::Unix(UnixName::Path("/nowhere/a.sock".into())));
    "the local address is not one of this machine", Client, false, "", Config, "", "",
        world::dialled(world::tcp("127.0.0.1:9".parse().unwrap(), Some("192.0.2.1:0".parse().unwrap())));
    "packets are dropped on the way", Client, false, "", Network, "", "",
        world::deaf();
    "there is no way to the peer any more", Client, true, "", Network, "", "",
        world::lost(rustix::io::Errno::HOSTUNREACH);
    "the connection is lost on the way", Client, true, "", Network, "", "",
        world::lost(rustix::io::Errno::TIMEDOUT);
    "nothing is said for longer than deadline-idle", Client, true, "", Peer, "", "",
        world::silence(Deadline::Idle);
    "the peer does not close", Client, true, "", Peer, "", "",
        world::silence(Deadline::Close);
};
