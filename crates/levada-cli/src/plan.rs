//! What the words mean together: every address is parsed, completed by the flags and checked for its
//! side, before anything is opened.

use std::path::{Path, PathBuf};

use levada_address::{Address, AddressError, Endpoint, Fault, Scheme, TimeLimit};
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
    /// Nobody was named: a demonstration, with an identity that is made for it.
    Development(Bridge),
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
    let service = match (args.listen.is_empty(), args.to.is_empty()) {
        (true, true) if args.demo => {
            return Err(fail(
                "--demo has no --listen: say where the page is to be, as in\n    \
                 --listen ws://127.0.0.1:8080 --to echo:",
            ));
        }
        (true, true) => Service::Development(development(&args.flags)?),
        (true, false) => {
            return Err(fail(
                "--to has no --listen: say where streams come from, as in\n    \
                             --listen tcp://127.0.0.1:8080",
            ));
        }
        (false, true) => {
            return Err(fail(
                "--listen has no --to: say where streams go, as in\n    \
                             --to tcp://127.0.0.1:80, or --to echo: to send all back",
            ));
        }
        (false, false) => Service::Bridges(bridges(args)?),
    };
    Ok(ServePlan {
        service,
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

fn development(flags: &Flags) -> Result<Bridge, Stop> {
    if let Some(word) =
        flags.first_of(&["cert", "key", "ocsp", "passphrase-env", "passphrase-file"])
    {
        return Err(fail(format!(
            "--{word} is for a listener of your own: add --listen {DEVELOPMENT} --to echo:"
        )));
    }
    let mut listen = [parse("--listen", DEVELOPMENT)?];
    let mut to = [parse("--to", "echo:")?];
    flags.set(&mut listen, &mut to).map_err(|error| fail(error.to_string()))?;
    let ([listen], [to]) = (listen, to);
    Ok(Bridge { listen, to })
}

fn bridges(args: &ServeArgs) -> Result<Vec<Bridge>, Stop> {
    let mut listen = parse_all("--listen", &args.listen)?;
    let mut to = parse_all("--to", &args.to)?;
    if to.len() != 1 && to.len() != listen.len() {
        let (listens, targets) = (listen.len(), to.len());
        return Err(fail(format!(
            "{targets} --to for {listens} --listen: give one --to for all of them, or one for each"
        )));
    }
    args.flags.set(&mut listen, &mut to).map_err(|error| fail(error.to_string()))?;
    for address in &listen {
        address.for_listening().map_err(|error| cannot_listen(address, &error))?;
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
    Ok(pairs.map(|(listen, to)| Bridge { listen, to: to.clone() }).collect())
}

fn is_web_socket(address: &Address) -> bool {
    matches!(address.scheme(), Scheme::Ws | Scheme::Wss | Scheme::WsUnix)
}

fn cannot_listen(address: &Address, error: &AddressError) -> Stop {
    let alone = match error.fault() {
        Fault::OptionNeeded("cert", _) if address.scheme() == Scheme::Tls => {
            "\n    to try without one: `levada serve` alone makes an identity for localhost"
        }
        _ => "",
    };
    fail(format!("--listen: {error}{alone}"))
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
        let Plan::Serve(plan) = planned("levada serve --deadline-idle 5s").unwrap() else {
            panic!()
        };
        let Service::Development(bridge) = plan.service else { panic!() };
        assert_eq!(bridge.listen.to_string(), "tls://127.0.0.1:8443?deadline-idle=5s");
        assert_eq!(bridge.to.to_string(), "echo:?deadline-idle=5s");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (line, words) in [
            ("levada serve --to echo:", "--to has no --listen"),
            ("levada serve --listen unix:a", "--listen has no --to"),
            (
                "levada serve --listen unix:a --listen unix:b --listen unix:c --to echo: --to echo:",
                "2 --to for 3 --listen",
            ),
            ("levada serve --listen tls://:1 --to echo:", "`cert` is needed for listening"),
            ("levada serve --listen tls://:1 --to echo:", "`levada serve` alone makes an identity"),
            ("levada serve --listen unix:a --to stdio:", "one stream only"),
            ("levada serve --listen stdio: --listen stdio: --to echo:", "only one standard input"),
            ("levada serve --cert a.pem", "--cert is for a listener of your own"),
            ("levada serve --demo", "--demo has no --listen"),
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
