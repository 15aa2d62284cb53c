//! The words of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueEnum as _, value_parser};
use clap_complete::Shell;
use levada_address::{Side, TimeLimit};

use crate::exit::Stop;
use crate::flags::{self, Flags};
use crate::generate::Printed;
use crate::help;
use crate::log::Format;
use crate::plan::DevCaPlan;
use crate::pool::{self, PoolRequest};

/// What was asked for: words that are words, not yet addresses.
#[derive(Debug)]
pub(crate) enum Request {
    /// `levada serve`
    Serve(ServeArgs),
    /// `levada connect`
    Connect(ConnectArgs),
    /// `levada inspect`
    Inspect(InspectArgs),
    /// `levada dev-ca`
    DevCa(DevCaPlan),
    /// `levada check`
    Check { file: PathBuf, json: bool },
    /// `levada pool`
    Pool(PoolRequest),
    /// `levada man`, `levada completions`
    Print(Printed),
}

/// How long streams may go on after the first signal, where nobody says otherwise.
pub(crate) const DRAIN: TimeLimit = TimeLimit::secs(30);

/// TLS handshakes at once for each listener, where nobody says otherwise.
pub(crate) const MAX_HANDSHAKES: usize = 1024;

#[derive(Debug)]
pub(crate) struct ServeArgs {
    pub(crate) config: Option<PathBuf>,
    /// A flag that was given, and that `config` does not go with.
    pub(crate) beside_config: Option<String>,
    pub(crate) listen: Vec<String>,
    pub(crate) to: Vec<String>,
    pub(crate) flags: Flags,
    pub(crate) drain: TimeLimit,
    pub(crate) max_handshakes: usize,
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_connections_per_address: Option<usize>,
    pub(crate) demo: bool,
    pub(crate) format: Format,
}

#[derive(Debug)]
pub(crate) struct ConnectArgs {
    pub(crate) address: String,
    pub(crate) flags: Flags,
    pub(crate) verbose: bool,
    pub(crate) format: Format,
}

#[derive(Debug)]
pub(crate) struct InspectArgs {
    pub(crate) address: String,
    pub(crate) flags: Flags,
    pub(crate) brief: bool,
    pub(crate) warn_days: u16,
    pub(crate) json: bool,
}

/// Reads the command line.
///
/// # Errors
///
/// When it is wrong, and when it only asks for help or the version.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, Stop> {
    let mut matches = command().try_get_matches_from(args)?;
    Ok(match matches.remove_subcommand() {
        Some((verb, matches)) if verb == "serve" => Request::Serve(serve_args(matches)),
        Some((verb, matches)) if verb == "connect" => Request::Connect(connect_args(matches)),
        Some((verb, matches)) if verb == "inspect" => Request::Inspect(inspect_args(matches)),
        Some((verb, matches)) if verb == "dev-ca" => Request::DevCa(dev_ca_args(matches)),
        Some((verb, mut matches)) if verb == "check" => Request::Check {
            // `clap` was told that it is required.
            file: matches.remove_one("file").unwrap_or_default(),
            json: matches.get_flag("json"),
        },
        Some((verb, matches)) if verb == "pool" => Request::Pool(pool::request(matches, format_of)),
        Some((verb, mut matches)) if verb == "man" => {
            Request::Print(Printed::Man(matches.remove_one("folder")))
        }
        Some((_, mut matches)) => {
            // `clap` was told that it is required.
            let shell = matches.remove_one("shell").unwrap_or(Shell::Bash);
            Request::Print(Printed::Completions(shell))
        }
        // `clap` was told that a command is required.
        None => return Err(command().error(clap::error::ErrorKind::MissingSubcommand, "").into()),
    })
}

/// Every word that the command line knows. Help, man pages and completions come from it.
pub(crate) fn command() -> Command {
    Command::new("levada")
        .version(env!("CARGO_PKG_VERSION"))
        .about(help::ABOUT)
        .help_template(help::template(
            help::EXAMPLES,
            "Commands:\n{subcommands}\n\nOptions:\n{options}",
        ))
        .max_term_width(80)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(serve())
        .subcommand(connect())
        .subcommand(inspect())
        .subcommand(dev_ca())
        .subcommand(check())
        .subcommand(pool::command(format("how to tell what happens on standard error")))
        .subcommand(man())
        .subcommand(completions())
}

fn serve() -> Command {
    let command = Command::new("serve")
        .about(help::SERVE_ABOUT)
        .help_template(help::template(help::SERVE_EXAMPLES, "{all-args}"))
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("TOML file that says all that the flags say, for many routes"),
        )
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDR")
                .action(ArgAction::Append)
                .help("where streams come from; repeatable"),
        )
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("ADDR")
                .action(ArgAction::Append)
                .help("where they go: one for all --listen, or one for each, in their order"),
        )
        .arg(
            Arg::new("drain")
                .long("drain")
                .value_name("TIME|off")
                .default_value("30s")
                .value_parser(value_parser!(TimeLimit))
                .help("how long streams may go on after the first signal"),
        )
        .arg(
            Arg::new("max-handshakes")
                .long("max-handshakes")
                .value_name("N")
                .default_value("1024")
                .value_parser(count)
                .help("handshakes at once for each --listen, of TLS and WebSockets; more are refused"),
        )
        .arg(
            Arg::new("max-connections")
                .long("max-connections")
                .value_name("N")
                .value_parser(count)
                .help(
                    "streams at once; more wait in the system's queue [default: what the limit of \
                     open files allows, at most 16384]",
                ),
        )
        .arg(
            Arg::new("max-connections-per-address")
                .long("max-connections-per-address")
                .value_name("N")
                .value_parser(count)
                .help(
                    "streams at once of one client, for each --listen; more are refused [default: \
                     as many as all]",
                ),
        )
        .arg(Arg::new("demo").long("demo").action(ArgAction::SetTrue).help(
            "show a page at / of each ws or wss --listen, in which one can talk to its target and see \
             the stream live",
        ))
        .arg(format("one line for each stream that ends, on standard error"));
    flags::add(command, &[Side::Listen, Side::Connect])
}

fn connect() -> Command {
    let command = Command::new("connect")
        .about(help::CONNECT_ABOUT)
        .help_template(help::template(help::CONNECT_EXAMPLES, "{all-args}"))
        .arg(Arg::new("address").value_name("ADDR").required(true).help("where to connect to"))
        .arg(
            Arg::new("verbose")
                .short('v')
                .long("verbose")
                .action(ArgAction::SetTrue)
                .help("show the life of the stream as it happens, on standard error"),
        )
        .arg(format("how to tell the ending on standard error; `text` tells only bad ones"));
    flags::add(command, &[Side::Connect])
}

fn inspect() -> Command {
    let command = Command::new("inspect")
        .about(help::INSPECT_ABOUT)
        .help_template(help::template(help::INSPECT_EXAMPLES, "{all-args}"))
        .arg(Arg::new("address").value_name("ADDR").required(true).help("the server to look at"))
        .arg(
            Arg::new("brief")
                .long("brief")
                .action(ArgAction::SetTrue)
                .help("connect alone, without asking what else the server accepts"),
        )
        .arg(
            Arg::new("warn-days")
                .long("warn-days")
                .value_name("DAYS")
                .default_value("14")
                .value_parser(value_parser!(u16))
                .help("warn about certificates that have fewer days left"),
        )
        .arg(json("print the report as one JSON object"));
    flags::add(command, &[Side::Connect])
}

fn dev_ca() -> Command {
    let switch = |word: &'static str, help: &'static str| {
        Arg::new(word).long(word).action(ArgAction::SetTrue).help(help)
    };
    Command::new("dev-ca")
        .about(help::DEV_CA_ABOUT)
        .help_template(help::template(help::DEV_CA_EXAMPLES, "{all-args}"))
        .arg(
            Arg::new("names")
                .value_name("NAME")
                .num_args(0..)
                .help("hosts and addresses of one identity, or what a client is called"),
        )
        .arg(switch("client", "the identity is a client's"))
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("where the files are [default: $XDG_STATE_HOME/levada]"),
        )
        .arg(
            Arg::new("days")
                .long("days")
                .value_name("DAYS")
                .default_value("397")
                .value_parser(value_parser!(u16).range(1..=397))
                .help("how long the identity is valid, from 1 to 397 days"),
        )
        .arg(switch("renew", "make anew what is there; without a NAME, all identities"))
        .arg(switch("danger-any-name", "make a CA that can vouch for every name there is"))
}

fn check() -> Command {
    Command::new("check")
        .about(help::CHECK_ABOUT)
        .help_template(help::template(help::CHECK_EXAMPLES, "{all-args}"))
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("the configuration"),
        )
        .arg(json("print the plan as one JSON object"))
}

fn man() -> Command {
    Command::new("man")
        .about(help::MAN_ABOUT)
        .help_template(help::template(help::MAN_EXAMPLES, "{all-args}"))
        .arg(
            Arg::new("folder")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("where to write all pages; without it, levada(1) is printed"),
        )
}

fn completions() -> Command {
    Command::new("completions")
        .about(help::COMPLETIONS_ABOUT)
        .help_template(help::template(help::COMPLETIONS_EXAMPLES, "{all-args}"))
        .arg(
            Arg::new("shell")
                .value_name("bash|zsh|fish")
                .required(true)
                .hide_possible_values(true)
                .value_parser(
                    PossibleValuesParser::new(["bash", "zsh", "fish"])
                        .map(|name| Shell::from_str(&name, false).unwrap_or(Shell::Bash)),
                )
                .help("the shell that is to complete"),
        )
}

fn json(help: &'static str) -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help(help)
}

fn format(help: &'static str) -> Arg {
    Arg::new("log")
        .long("log")
        .value_name("text|json")
        .default_value("text")
        .value_parser(PossibleValuesParser::new(["text", "json"]))
        .hide_possible_values(true)
        .help(help)
}

/// A number of things, of which none would make no sense.
fn count(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err("give a whole number from 1 on"),
        Ok(number) => Ok(number),
    }
}

fn serve_args(mut matches: ArgMatches) -> ServeArgs {
    let given = |id: &&clap::Id| {
        id.as_str() != "config"
            && matches.value_source(id.as_str()) == Some(ValueSource::CommandLine)
    };
    let beside_config = matches.ids().find(given).map(ToString::to_string);
    ServeArgs {
        config: matches.remove_one("config"),
        beside_config,
        listen: matches.remove_many("listen").into_iter().flatten().collect(),
        to: matches.remove_many("to").into_iter().flatten().collect(),
        flags: Flags::of(&mut matches),
        drain: matches.remove_one("drain").unwrap_or(DRAIN),
        max_handshakes: matches.remove_one("max-handshakes").unwrap_or(MAX_HANDSHAKES),
        max_connections: matches.remove_one("max-connections"),
        max_connections_per_address: matches.remove_one("max-connections-per-address"),
        demo: matches.get_flag("demo"),
        format: format_of(&mut matches),
    }
}

fn connect_args(mut matches: ArgMatches) -> ConnectArgs {
    ConnectArgs {
        // `clap` was told that it is required.
        address: matches.remove_one("address").unwrap_or_default(),
        flags: Flags::of(&mut matches),
        verbose: matches.get_flag("verbose"),
        format: format_of(&mut matches),
    }
}

fn inspect_args(mut matches: ArgMatches) -> InspectArgs {
    InspectArgs {
        // `clap` was told that it is required.
        address: matches.remove_one("address").unwrap_or_default(),
        flags: Flags::of(&mut matches),
        brief: matches.get_flag("brief"),
        // It has a default.
        warn_days: matches.remove_one("warn-days").unwrap_or_default(),
        json: matches.get_flag("json"),
    }
}

fn dev_ca_args(mut matches: ArgMatches) -> DevCaPlan {
    DevCaPlan {
        names: matches.remove_many("names").into_iter().flatten().collect(),
        client: matches.get_flag("client"),
        folder: matches.remove_one("dir"),
        // It has a default.
        days: matches.remove_one("days").unwrap_or_default(),
        renew: matches.get_flag("renew"),
        danger_any_name: matches.get_flag("danger-any-name"),
    }
}

fn format_of(matches: &mut ArgMatches) -> Format {
    match matches.remove_one::<String>("log").as_deref() {
        Some("json") => Format::Json,
        _ => Format::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_address::OPTIONS;

    fn read(line: &str) -> Result<Request, Stop> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_table_of_words_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_word_of_an_address_is_a_flag_where_it_has_a_meaning() {
        let root = command();
        for row in OPTIONS {
            let flag = |verb: &str| {
                let verb = root.find_subcommand(verb).unwrap();
                verb.get_arguments().any(|arg| arg.get_long() == Some(row.word))
            };
            assert!(flag("serve"), "{}", row.word);
            for verb in ["connect", "inspect"] {
                assert_eq!(flag(verb), row.side.contains(Side::Connect), "{}", row.word);
            }
        }
    }

    #[test]
    fn help_fits_into_eighty_columns() {
        for verb in [
            "",
            "serve ",
            "connect ",
            "inspect ",
            "dev-ca ",
            "check ",
            "pool ",
            "pool run ",
            "pool pinentry ",
            "pool import ",
            "man ",
            "completions ",
        ] {
            let Err(Stop::Shown(help)) = read(&format!("levada {verb}--help")) else {
                panic!("no help for `{verb}`")
            };
            for line in help.to_string().lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    #[test]
    fn serve_takes_its_words() {
        let line = "levada serve --listen a --to b --listen c --drain 5s --deadline-idle 1s \
                    --cert x --cert y --log json --max-connections 7";
        let Request::Serve(args) = read(&line.replace("  ", "")).unwrap() else { panic!() };
        assert_eq!((args.listen, args.to), (vec!["a".into(), "c".into()], vec!["b".into()]));
        assert_eq!((args.drain, args.format), (TimeLimit::secs(5), Format::Json));
        assert_eq!((args.max_connections, args.max_handshakes), (Some(7), 1024));
        assert_ne!(args.flags, Flags::default());
    }

    #[test]
    fn wrong_words_are_refused() {
        for line in [
            "levada",
            "levada dance",
            "levada connect",
            "levada connect a b",
            "levada connect a --client-ca x",
            "levada connect a --ca x --ca y",
            "levada serve --max-connections 0",
            "levada serve --drain 5",
        ] {
            assert!(matches!(read(line), Err(Stop::Words(_))), "{line}");
        }
    }
}
