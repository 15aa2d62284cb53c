//! What `levada dev-ca` says: what there is, and how to use it.

use std::fmt::Write as _;

use time::OffsetDateTime;

use super::authority::{Authority, CA, DOMAINS};
use super::identity::{Holder, Made, Name};
use super::{Done, identity};
use crate::quote::quoted;
use crate::state_dir::StateDir;
use crate::validity;
use crate::welcome::this_command;

/// All of it.
pub(crate) fn told(
    folder: &StateDir,
    authority: &Authority,
    done: Done,
    identities: &[Made],
    now: OffsetDateTime,
) -> String {
    let ca = folder.file(CA);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} {}: {}, {}",
        match done {
            Done::Kept => "Using the CA",
            Done::Made => "Made a CA",
            Done::Renewed => "Made a NEW CA, to be trusted anew",
        },
        ca.display(),
        authority.name,
        validity::in_words(validity::days_left(authority.not_after, now)),
    );
    for made in identities {
        let _ = writeln!(
            text,
            "{} {}: {} {}, {}",
            match made.done {
                Done::Kept => "Good:   ",
                Done::Made => "Made:   ",
                Done::Renewed => "Renewed:",
            },
            folder.file(&made.file).display(),
            match made.holder {
                Holder::Server => "server",
                Holder::Client => "client",
            },
            made.names.iter().map(Name::text).collect::<Vec<_>>().join(", "),
            validity::in_words(validity::days_left(made.not_after, now)),
        );
    }
    let levada = this_command();
    let ca = quoted(&ca);
    let server = identities.iter().find(|made| made.holder == Holder::Server);
    let client = identities.iter().find(|made| made.holder == Holder::Client);
    let host = server.map_or_else(|| "localhost".to_owned(), |made| host_of(&made.names));
    text.push('\n');
    if let Some(server) = server {
        let _ = write!(
            text,
            "Serve with it:\n  {levada} serve --listen tls://:8443 --cert {} --to echo:\n\n",
            quoted(&folder.file(&server.file))
        );
    }
    if let Some(client) = client {
        let file = quoted(&folder.file(&client.file));
        let _ = write!(
            text,
            "Be that client:\n  curl --cacert {ca} --cert {file} https://{host}:8443/\n  \
             {levada} connect tls://{host}:8443 --ca {ca} --cert {file}\n\
             Let in those clients alone:\n  \
             {levada} serve --listen tls://:8443 --cert SERVER.pem --client-ca {ca} --to echo:\n\n",
        );
    }
    let _ = write!(
        text,
        "Trust it where you need it:
  curl --cacert {ca} https://{host}:8443/
  openssl s_client -verify_return_error -CAfile {ca} -connect {host}:8443
  {levada} connect tls://{host}:8443 --ca {ca}
  Node.js        NODE_EXTRA_CA_CERTS={ca}
  Python         SSL_CERT_FILE={ca} REQUESTS_CA_BUNDLE={ca}
  this machine   cp {ca} /usr/local/share/ca-certificates/levada-dev.crt
                 update-ca-certificates    (both as root; Debian, Ubuntu)
  Chrome         certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n levada-dev -i {ca}
  Firefox        Settings, Privacy & Security, View Certificates, Import

",
    );
    if authority.is_unlimited() {
        text.push_str(
            "DANGER: this CA can vouch for every name there is. Whoever gets its key can pass for\n\
             any server to all that trust it: trust it in single programs alone.\n",
        );
    } else {
        let _ = writeln!(
            text,
            "It vouches only for private addresses and for names that belong to nobody:\n{}.",
            DOMAINS.join(", ")
        );
    }
    let _ = writeln!(
        text,
        "Renew what is due, from a timer: {levada} dev-ca    (identities live {} days at most)",
        identity::LONGEST_LIFE.whole_days()
    );
    text
}

/// A name to connect to.
fn host_of(names: &[Name]) -> String {
    match names.first() {
        Some(Name::Dns(name)) => name.replacen('*', "www", 1),
        Some(Name::Ip(address)) if address.is_ipv6() => format!("[{address}]"),
        Some(name) => name.text(),
        None => "localhost".to_owned(),
    }
}
