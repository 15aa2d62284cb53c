//! What the words mean together: every address is parsed, completed by the flags and checked for its
//! side, before anything is opened.

use std::path::{Path, PathBuf};

use levada_address::{Address, AddressError, Endpoint, Fault, Host, Scheme, TimeLimit};
use levada_config::{Config, LogFormat};

use crate::args::{ConnectArgs, DRAIN, InspectArgs, MAX_HANDSHAKES, Request, ServeArgs};
use crate::config_file::ConfigFile;
use crate::exit::{Stop, fail};
use crate::flags::Flags;
use crate::generate::Printed;
use crate::log::Format;
use crate::pool::PoolRequest;

/// What is going to be done.
#[derive(Debug)]
pub(crate) enum Plan {
    Serve(ServePlan),
    Connect(ConnectPlan),
    Inspect(InspectPlan),
    DevCa(DevCaPlan),
    Check(CheckPlan),
    Pool(PoolRequest),
    Print(Printed),
}

/// What `levada check` looks at.
#[derive(Debug)]
pub(crate) struct CheckPlan {
    pub(crate) serve: ServePlan,
    pub(crate) json: bool,
}

#[derive(Debug)]
pub(crate) struct ServePlan {
    pub(crate) service: Service,
    pub(crate) drain: TimeLimit,
    /// For each listener.
    pub(crate) max_handshakes: usize,
    /// `None` for what the limit of open files allows.
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_connections_per_address: Option<usize>,
    /// Listeners of WebSockets show a page.
    pub(crate) demo: bool,
    pub(crate) format: Format,
}

/// Who is served.
#[derive(Debug)]
pub(crate) enum Service {
    /// These.
    Bridges(Vec<Bridge>),
    /// Those of a file.
    Config(ConfigFile),
}

/// Whoever comes to `listen` is joined to `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bridge {
    pub(crate) listen: Address,
    pub(crate) to: Address,
    /// Nobody has said where it leads: it is there to be tried.
    pub(crate) is_trial: bool,
}

#[derive(Debug)]
pub(crate) struct ConnectPlan {
    pub(crate) address: Address,
    pub(crate) verbose: bool,
    pub(crate) format: Format,
}

#[derive(Debug)]
pub(crate) struct InspectPlan {
    pub(crate) address: Address,
    /// Connect alone, and ask nothing more.
    pub(crate) brief: bool,
    /// Certificates that have fewer days left are warned about.
    pub(crate) warn_days: u16,
    pub(crate) json: bool,
}

/// What `levada dev-ca` makes.
#[derive(Clone, Debug)]
pub(crate) struct DevCaPlan {
    /// The names of one identity; none of them: the CA alone, and what is due is renewed.
    pub(crate) names: Vec<String>,
    /// The identity is a client's.
    pub(crate) client: bool,
    /// Where; `None` for the state directory.
    pub(crate) folder: Option<PathBuf>,
    /// How long an identity is valid.
    pub(crate) days: u16,
    /// What is there is made anew, though it is good.
    pub(crate) renew: bool,
    /// The CA is not limited to names that belong to nobody.
    pub(crate) danger_any_name: bool,
}

/// Where `levada serve` listens when it is told nothing.
pub(crate) const DEVELOPMENT: &str = "tls://127.0.0.1:8443";

/// Plans what was asked for.
///
/// # Errors
///
/// When an address is wrong, for itself or for its side, and when the words contradict each other.
pub(crate) fn plan(request: &Request) -> Result<Plan, Stop> {
    match request {
        Request::Serve(args) => serve(args).map(Plan::Serve),
        Request::Connect(args) => connect(args).map(Plan::Connect),
        Request::Inspect(args) => {
            let &InspectArgs { brief, warn_days, json, .. } = args;
            let address = dialled(&args.address, &args.flags)?;
            Ok(Plan::Inspect(InspectPlan { address, brief, warn_days, json }))
        }
        Request::DevCa(plan) => Ok(Plan::DevCa(plan.clone())),
        Request::Check { file, json } => {
            let serve = configured(file)?;
            Ok(Plan::Check(CheckPlan { serve, json: *json }))
        }
        Request::Pool(request) => Ok(Plan::Pool(request.clone())),
        Request::Print(printed) => Ok(Plan::Print(printed.clone())),
    }
}

fn serve(args: &ServeArgs) -> Result<ServePlan, Stop> {
    if let Some(file) = &args.config {
        if args.demo {
            return Err(fail(
                "--demo beside --config: the page is for trying; give --listen and --to with it",
            ));
        }
        if let Some(other) = &args.beside_config {
            return Err(fail(format!(
                "--{other} beside --config: the file says all, so that `levada check` shows what \
                 will run\n    write `{other}` into {}, or leave --config away",
                file.display()
            )));
        }
        return configured(file);
    }
    Ok(ServePlan {
        service: Service::Bridges(bridges(args)?),
        drain: args.drain,
        max_handshakes: args.max_handshakes,
        max_connections: args.max_connections,
        max_connections_per_address: args.max_connections_per_address,
        demo: args.demo,
        format: args.format,
    })
}

/// What the file says, and where it says nothing what the flags have as their defaults.
fn configured(path: &Path) -> Result<ServePlan, Stop> {
    let file = ConfigFile::read(path)?;
    let &Config {
        drain, max_handshakes, max_connections, max_connections_per_address, log, ..
    } = &file.config;
    let format = match log {
        Some(LogFormat::Json) => Format::Json,
        Some(LogFormat::Text) | None => Format::Text,
    };
    Ok(ServePlan {
        service: Service::Config(file),
        drain: drain.unwrap_or(DRAIN),
        max_handshakes: max_handshakes.unwrap_or(MAX_HANDSHAKES),
        max_connections,
        max_connections_per_address,
        demo: false,
        format,
    })
}

fn bridges(args: &ServeArgs) -> Result<Vec<Bridge>, Stop> {
    let is_trial = args.to.is_empty();
    if args.listen.is_empty() && !is_trial {
        return Err(fail(
            "--to has no --listen: say where streams come from, as in\n    \
             --listen tcp://127.0.0.1:8080",
        ));
    }
    let mut listen = parse_all("--listen", &args.listen)?;
    if listen.is_empty() {
        listen.push(parse("--listen", DEVELOPMENT)?);
    }
    let mut to = parse_all("--to", &args.to)?;
    if is_trial {
        to.push(parse("--to", "echo:")?);
    }
    if to.len() != 1 && to.len() != listen.len() {
        let (listens, targets) = (listen.len(), to.len());
        return Err(fail(format!(
            "{targets} --to for {listens} --listen: give one --to for all of them, or one for each"
        )));
    }
    args.flags.set(&mut listen, &mut to).map_err(|error| fail(error.to_string()))?;
    for address in listen.iter().filter(|address| !lacks_identity(address)) {
        address.for_listening().map_err(|error| cannot_listen(&error))?;
    }
    for address in &to {
        address.for_connecting().map_err(|error| in_flag("--to", &error))?;
        if *address.endpoint() == Endpoint::Stdio {
            return Err(fail(
                "--to stdio: can serve one stream only, and `serve` has many: \
                 use `levada connect` the other way round",
            ));
        }
    }
    if args.demo && !listen.iter().any(is_web_socket) {
        return Err(fail(
            "--demo is for listeners of WebSockets: add one, as in\n    \
             --listen ws://127.0.0.1:8080 --to echo:",
        ));
    }
    let stdio = listen.iter().filter(|address| *address.endpoint() == Endpoint::Stdio);
    if stdio.count() > 1 {
        return Err(fail("--listen stdio: is there twice, but there is only one standard input"));
    }
    let targets = to.iter().cycle();
    let pairs = listen.into_iter().zip(targets);
    Ok(pairs.map(|(listen, to)| Bridge { listen, to: to.clone(), is_trial }).collect())
}

fn is_web_socket(address: &Address) -> bool {
    matches!(address.scheme(), Scheme::Ws | Scheme::Wss | Scheme::WsUnix)
}

/// Whether TLS at `address` has no identity, while none but this machine's own clients come there: it gets
/// one for localhost.
pub(crate) fn lacks_identity(address: &Address) -> bool {
    let is_at_home = match address.endpoint() {
        Endpoint::Tcp { host: Some(Host::Ip(ip)), .. } => ip.is_loopback(),
        Endpoint::Tcp { host: Some(Host::Name(name)), .. } => {
            name.trim_end_matches('.').eq_ignore_ascii_case("localhost")
        }
        _ => false,
    };
    let is_named = |word: &&str| address.options().get(word).is_some();
    let is_missing = |error: AddressError| matches!(error.fault(), Fault::OptionNeeded("cert", _));
    is_at_home
        && !["key", "ocsp", "passphrase-env", "passphrase-file", "signer"].iter().any(is_named)
        && address.for_listening().is_err_and(is_missing)
}

fn cannot_listen(error: &AddressError) -> Stop {
    let way_out = match error.fault() {
        Fault::OptionNeeded("cert", _) => {
            "\n    to try it, listen at 127.0.0.1 or localhost, for which an identity is made; \
             `levada dev-ca NAME` makes others"
        }
        _ => "",
    };
    fail(format!("--listen: {error}{way_out}"))
}

fn connect(args: &ConnectArgs) -> Result<ConnectPlan, Stop> {
    let address = dialled(&args.address, &args.flags)?;
    if *address.endpoint() == Endpoint::Stdio {
        return Err(fail(
            "stdio: is already this end of `levada connect`: give the address of another end",
        ));
    }
    Ok(ConnectPlan { address, verbose: args.verbose, format: args.format })
}

/// An address to connect to, with the flags that it fits.
fn dialled(address: &str, flags: &Flags) -> Result<Address, Stop> {
    let mut address = [parse("ADDR", address)?];
    flags.set(&mut [], &mut address).map_err(|error| fail(error.to_string()))?;
    let [address] = address;
    address.for_connecting().map_err(|error| fail(error.to_string()))?;
    Ok(address)
}

fn parse_all(flag: &str, texts: &[String]) -> Result<Vec<Address>, Stop> {
    texts.iter().map(|text| parse(flag, text)).collect()
}

fn parse(flag: &str, text: &str) -> Result<Address, Stop> {
    text.parse().map_err(|error| in_flag(flag, &error))
}

fn in_flag(flag: &str, error: &AddressError) -> Stop {
    fail(format!("{flag}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    fn planned(line: &str) -> Result<Plan, String> {
        let request = args::parse(line.split(' ').map(Into::into)).unwrap();
        plan(&request).map_err(|stop| match stop {
            Stop::Trouble(why) => why,
            other => panic!("{other:?}"),
        })
    }

    fn bridged(line: &str) -> Vec<String> {
        match planned(line).unwrap() {
            Plan::Serve(ServePlan { service: Service::Bridges(all), .. }) => {
                all.iter().map(|bridge| format!("{} {}", bridge.listen, bridge.to)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_nth_listener_has_the_nth_target() {
        assert_eq!(
            bridged("levada serve --listen unix:a --listen unix:b --to echo: --to unix:c"),
            ["unix:a echo:", "unix:b unix:c"]
        );
        assert_eq!(
            bridged("levada serve --listen unix:a --listen unix:b --to echo:"),
            ["unix:a echo:", "unix:b echo:"]
        );
    }

    #[test]
    fn nothing_said_is_the_development_service() {
        assert_eq!(
            bridged("levada serve --deadline-idle 5s"),
            ["tls://127.0.0.1:8443?deadline-idle=5s echo:?deadline-idle=5s"]
        );
    }

    #[test]
    fn without_a_target_what_comes_is_sent_back() {
        assert_eq!(
            bridged("levada serve --listen wss://localhost:0/a --listen unix:b"),
            ["wss://localhost:0/a echo:", "unix:b echo:"]
        );
    }

    #[test]
    fn only_who_is_at_home_gets_an_identity() {
        let lacks = |address: &str| lacks_identity(&address.parse().unwrap());
        for address in
            ["tls://127.0.0.2:1", "wss://[::1]:1/a", "tls://LocalHost:1", "wss://localhost.:1"]
        {
            assert!(lacks(address), "{address}");
        }
        for address in [
            "tls://:1",
            "tls://10.0.0.1:1",
            "wss://host.example:1",
            "tcp://127.0.0.1:1",
            "ws://127.0.0.1:1",
            "pool+tls://127.0.0.1:1",
            "tls://127.0.0.1:1?cert=a",
            "tls://127.0.0.1:1?key=a",
        ] {
            assert!(!lacks(address), "{address}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (line, words) in [
            ("levada serve --to echo:", "--to has no --listen"),
            (
                "levada serve --listen unix:a --listen unix:b --listen unix:c --to echo: --to echo:",
                "2 --to for 3 --listen",
            ),
            ("levada serve --listen tls://:1 --to echo:", "`cert` is needed for listening"),
            ("levada serve --listen wss://:1 --to echo:", "listen at 127.0.0.1 or localhost"),
            ("levada serve --listen tls://127.0.0.1:1 --key a", "`cert` is needed for listening"),
            ("levada serve --listen unix:a --to stdio:", "one stream only"),
            ("levada serve --listen stdio: --listen stdio: --to echo:", "only one standard input"),
            ("levada serve --demo", "for listeners of WebSockets"),
            ("levada serve --demo --listen unix:a --to echo:", "for listeners of WebSockets"),
            ("levada serve --demo --config a.toml", "--demo beside --config"),
            ("levada connect stdio:", "already this end"),
            ("levada connect tcp://a", "ADDR: the port is missing"),
            ("levada connect tcp://a:1 --ca b", "--ca means nothing here"),
        ] {
            let why = planned(line).unwrap_err();
            assert!(why.contains(words), "{line}: {why}");
        }
    }
}
