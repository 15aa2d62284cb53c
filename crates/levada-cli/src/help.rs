//! What the command says about itself: examples first.

/// The help of a command: `examples` come before the flags, for they answer most questions.
pub(crate) fn template(examples: &str, rest: &str) -> String {
    format!("{{about-with-newline}}\nUsage:\n  {{usage}}\n\n{examples}\n\n{rest}\n")
}

pub(crate) const ABOUT: &str =
    "One secure duplex byte stream whose whole life can be watched: TCP, Unix, TLS, WebSocket.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  Try it: a TLS server that sends back what it gets, with a certificate of its
  own making, and the commands to talk to it.
      levada serve

  Put TLS in front of a plain server.
      levada serve --listen 'tls://:443?cert=site.pem' --to tcp://127.0.0.1:80

  Let programs that speak WebSocket reach a TCP server.
      levada serve --listen 'wss://:443?cert=site.pem' --to tcp://127.0.0.1:80

  Talk to a TLS server.
      levada connect tls://example.org:443

  Look at a TLS server: who it is, what it accepts, and what needs mending.
      levada inspect tls://example.org:443

  See what a configuration would do, and run it.
      levada check levada.toml
      levada serve --config levada.toml

Addresses:
  tcp://HOST:PORT  tls://HOST:PORT  pool+tls://HOST:PORT  unix:PATH  unix:@NAME
  ws://HOST:PORT/PATH  wss://HOST:PORT/PATH  ws+unix:PATH  stdio:  echo:
  Options follow a `?`, with `&` between them: tls://a.org:443?ca=ca.pem&alpn=h2
  Each is a flag, too: --ca ca.pem. What an address says itself wins.
  The shell knows `?` and `&` as well: put such an address in quotes.";

pub(crate) const SERVE_ABOUT: &str =
    "Listen, and bridge every stream that comes to another address";

pub(crate) const SERVE_EXAMPLES: &str = "\
Examples:
  Try it: makes a development CA and an identity for localhost, listens on
  tls://127.0.0.1:8443, and prints the commands to talk to it. Without --to,
  what comes is sent back; at 127.0.0.1, TLS without --cert has this identity.
      levada serve
      levada serve --listen wss://127.0.0.1:8443/try

  Put TLS in front of a plain server. The file holds certificate and key.
      levada serve --listen 'tls://:443?cert=site.pem' --to tcp://127.0.0.1:80

  Ask clients for a certificate; log as JSON.
      levada serve --listen tls://:443 --cert site.pem --key site.key \\
          --client-ca clients.pem --to unix:/run/app.sock --log json

  Give a program without TLS a way to a TLS server.
      levada serve --listen tcp://127.0.0.1:5000 --to tls://example.org:443

  Let web pages of one site reach a plain server, by WebSocket.
      levada serve --listen wss://:443/vnc --cert site.pem \\
          --origin https://example.org --to tcp://127.0.0.1:5900

  See a stream live in a browser: http://127.0.0.1:8080/ talks to the server.
      levada serve --listen ws://127.0.0.1:8080/try --demo

  Two bridges in one process: the first --to serves the first --listen, …
      levada serve --listen tcp://:5000 --to unix:/run/a.sock \\
          --listen tcp://:5001 --to unix:/run/b.sock

  Many bridges, from a file; `levada check` says before what it would do.
      levada serve --config /etc/levada/levada.toml

SIGTERM or Ctrl-C stops listening and lets the streams end by themselves, for as
long as --drain says; a second one ends them at once. The files that the
addresses name are read again on SIGHUP, and when one of them has changed, for
the next handshake. Each stream that ends is one line on standard error.

Exit codes:
  0  stopped, and nothing was cut
  1  could not start: wrong words, a missing file, a port that is taken
  3  streams were cut, or a listener broke";

pub(crate) const CONNECT_ABOUT: &str = "Join standard input and output to a stream";

pub(crate) const CONNECT_EXAMPLES: &str = "\
Examples:
  Talk to a TLS server; the system's authorities vouch for it.
      levada connect tls://example.org:443

  Ask and get the answer to its end: the end of the input is passed on, and the
  answer still comes.
      printf 'GET / HTTP/1.0\\r\\n\\r\\n' | levada connect tls://example.org:443

  Trust a CA of your own; verify another name than the host's.
      levada connect tls://10.0.0.7:8443 --ca ca.pem --name app.internal

  Show who we are; watch the life of the stream.
      levada connect tls://app.internal:8443 --cert me.pem --key me.key -v

  A Unix socket, with an end to silence.
      levada connect unix:/run/app.sock --deadline-idle 30s

  A WebSocket, as a byte stream.
      levada connect wss://example.org:443/vnc

At a terminal the session ends when the peer says goodbye. A pipe or file goes
on to its own end.

Exit codes:
  0  both ends said goodbye, and nothing was lost
  1  wrong words, or a missing file
  2  never established: not found, refused, not trusted, …
  3  established, and ended badly: data may be missing";

pub(crate) const INSPECT_ABOUT: &str =
    "Look at a server: addresses, certificates, what it accepts, and what needs mending";

pub(crate) const INSPECT_EXAMPLES: &str = "\
Examples:
  All on one page. Each address of the name is visited, and one of them is
  asked what it accepts: that takes some tens of short connections.
      levada inspect tls://example.org:443

  A server of your own, behind another name.
      levada inspect tls://10.0.0.7:8443 --ca ca.pem --name app.internal

  For a timer: an exit code other than 0 three weeks before a certificate ends.
      levada inspect tls://example.org:443 --brief --warn-days 21

  For a program.
      levada inspect tls://example.org:443 --json

  Does the server let this client in?
      levada inspect tls://app.internal:8443 --ca ca.pem --cert me.pem --brief

  Does it open a WebSocket for web pages of this site?
      levada inspect wss://example.org:443/vnc --origin https://example.org

Exit codes:
  0  good
  1  wrong words, or a missing file
  2  unreachable: not found, refused, no answer
  4  TLS failed, for another reason than the server's certificate
  5  the server's certificate is not trusted
  6  it works, but something needs to be mended: see the warnings
  7  the server opens no WebSocket, though all below it is up";

pub(crate) const DEV_CA_ABOUT: &str =
    "Make certificates for development, and say how to trust them";

pub(crate) const DEV_CA_EXAMPLES: &str = "\
Examples:
  A CA, once, and an identity for a server; then how to serve with it, and how
  to trust it with curl, openssl, browsers and others.
      levada dev-ca app.test '*.app.test' 10.0.0.7

  An identity for a client, and how to let in such clients alone.
      levada dev-ca --client alice

  Renew what has less than 30 days left; nothing else is touched.
      levada dev-ca

  A CA of its own for a project.
      levada dev-ca --dir certs app.test

The CA vouches only for names that belong to nobody (localhost, and all that
ends in .test, .example, .invalid, .internal, .local or .home.arpa) and for
private addresses, and says so in its certificate: whoever trusts it can be
fooled about no other server. `levada serve` alone uses the same CA.

What is there and good is left as it is; --renew makes it anew.

Exit codes:
  0  all is there
  1  wrong words, or something else has the place of a file";

pub(crate) const CHECK_ABOUT: &str = "Look through a configuration, and say what it would do";

pub(crate) const CHECK_EXAMPLES: &str = "\
Examples:
  Read the file and all that it names, and print the plan. Nothing is opened,
  no name is looked up, and nothing is changed.
      levada check /etc/levada/levada.toml

  The same for a program.
      levada check levada.toml --json

Exit codes:
  0  `levada serve --config` would begin to listen
  1  something is wrong: each thing is told with its line";

pub(crate) const POOL_ABOUT: &str =
    "Own the private keys, and protect the connections of other programs";

pub(crate) const POOL_EXAMPLES: &str = "\
Examples:
  Try it: makes a development CA and an identity for localhost, and prints where
  the socket is and how to use it.
      levada pool

  With identities of your own; SIGHUP, or a change, has them read again.
      levada pool --config /etc/levada/pool.toml

  As a service that root begins: for its user alone, keys in memory only.
      levada pool --config /etc/levada/pool.toml --user levada \\
          --socket /run/levada/pool.sock

  A server and a client whose keys are in the pool.
      levada serve --listen pool+tls://:443 --to tcp://127.0.0.1:80
      levada connect pool+tls://example.org:443

  Who answers, and what goes through it.
      levada pool ping
      levada pool sessions

  Keys that only a person can open: the PINs are asked for at this terminal.
      levada pool pinentry

  What another pool has, or a folder of PEM files, as a policy.
      levada pool import --localid localid.dump --disclose disclose.dump \\
          --trust trust.dump /etc/levada/pool
      levada pool import --pem /etc/ssl/mine /etc/levada/pool

  A program of the TLS Pool, with a pool for as long as it runs.
      levada pool run -- my-program --its-flags

The socket is in $XDG_RUNTIME_DIR/levada, else /run/levada, else in the state
directory, with mode 0600; systemd may pass one instead. It is printed.

Exit codes:
  0  stopped, or answered
  1  could not start, or nobody answered
  …  `run` ends as its command does";

pub(crate) const MAN_ABOUT: &str = "Print or write the manual pages";

pub(crate) const MAN_EXAMPLES: &str = "\
Examples:
  Read the page of the command.
      levada man | man -l -

  Write the pages of all commands to where man(1) finds them.
      levada man /usr/local/share/man/man1";

pub(crate) const COMPLETIONS_ABOUT: &str = "Print completions for a shell";

pub(crate) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
      levada completions bash > /etc/bash_completion.d/levada
      levada completions zsh > /usr/local/share/zsh/site-functions/_levada
      levada completions fish > ~/.config/fish/completions/levada.fish";

/// The examples of the verb.
pub(crate) fn examples(verb: &str) -> &'static str {
    match verb {
        "serve" => SERVE_EXAMPLES,
        "connect" => CONNECT_EXAMPLES,
        "inspect" => INSPECT_EXAMPLES,
        "dev-ca" => DEV_CA_EXAMPLES,
        "check" => CHECK_EXAMPLES,
        "pool" => POOL_EXAMPLES,
        "man" => MAN_EXAMPLES,
        "completions" => COMPLETIONS_EXAMPLES,
        _ => EXAMPLES,
    }
}
