//! `levada pool`: the process that owns the private keys, and what is asked of it.

mod ask;
mod assuan;
mod house;
mod import;
mod pinentry;
mod place;
mod sandbox;
mod terminal;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use levada_address::TimeLimit;

use crate::args::DRAIN;
use crate::exit::{Exit, Stop};
use crate::help;
use crate::log::Format;
use import::ImportArgs;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) enum PoolRequest {
    /// `levada pool`: be one. With a command, for as long as that runs.
    Serve(PoolArgs, Option<Vec<OsString>>),
    /// `levada pool ping`
    Ping(Option<PathBuf>),
    /// `levada pool sessions`
    Sessions(Option<PathBuf>),
    /// `levada pool pinentry`: the pool's socket, the program that asks, and how long it may take.
    PinEntry(Option<PathBuf>, Option<PathBuf>, Option<Duration>),
    /// `levada pool import`
    Import(ImportArgs),
}

/// How a pool is to be.
#[derive(Clone, Debug)]
pub(crate) struct PoolArgs {
    pub(crate) socket: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) token_dirs: Vec<PathBuf>,
    pub(crate) token_net: bool,
    pub(crate) drain: TimeLimit,
    pub(crate) format: Format,
}

/// Does what is asked for.
///
/// # Errors
///
/// When it cannot.
pub(crate) fn run(request: PoolRequest) -> Result<Exit, Stop> {
    match request {
        PoolRequest::Serve(args, command) => house::run(&args, command),
        PoolRequest::Ping(socket) => ask::ping(socket),
        PoolRequest::Sessions(socket) => ask::sessions(socket),
        PoolRequest::PinEntry(socket, program, time) => pinentry::run(socket, program, time),
        PoolRequest::Import(args) => import::run(&args),
    }
}

/// The words of the command.
pub(crate) fn command(log: Arg) -> Command {
    Command::new("pool")
        .about(help::POOL_ABOUT)
        .help_template(help::template(
            help::POOL_EXAMPLES,
            "Commands:\n{subcommands}\n\nOptions:\n{options}",
        ))
        .disable_help_subcommand(true)
        .arg(
            Arg::new("socket")
                .long("socket")
                .value_name("PATH")
                .global(true)
                .value_parser(value_parser!(PathBuf))
                .help("the pool's socket [default: levada/pool.sock in the runtime directory]"),
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE|DIR")
                .global(true)
                .value_parser(value_parser!(PathBuf))
                .help("who we can be, and whom to trust: TOML, or a folder of PEM files"),
        )
        .arg(
            Arg::new("user")
                .long("user")
                .value_name("NAME")
                .help("the user to become once all is open, where it was begun by root"),
        )
        .arg(
            Arg::new("token-dir")
                .long("token-dir")
                .value_name("DIR")
                .action(ArgAction::Append)
                .value_parser(value_parser!(PathBuf))
                .help("a folder that the modules of tokens read and write; repeatable"),
        )
        .arg(
            Arg::new("token-net")
                .long("token-net")
                .action(ArgAction::SetTrue)
                .help("let the modules of tokens connect by TCP, to an HSM elsewhere"),
        )
        .arg(
            Arg::new("drain")
                .long("drain")
                .value_name("TIME|off")
                .default_value("30s")
                .value_parser(value_parser!(TimeLimit))
                .help("how long sessions may go on after the first signal"),
        )
        .arg(log)
        .subcommand(Command::new("ping").about("Ask the pool who it is"))
        .subcommand(
            Command::new("sessions").about("List the sessions that we may see, one JSON a line"),
        )
        .subcommand(
            Command::new("pinentry")
                .about("Enter the PINs that the pool asks for, at this terminal")
                .arg(
                    Arg::new("program")
                        .long("program")
                        .value_name("PROGRAM")
                        .value_parser(value_parser!(PathBuf))
                        .help("asks instead of this terminal, as GnuPG's pinentry does"),
                )
                .arg(
                    Arg::new("time")
                        .long("time")
                        .value_name("TIME|off")
                        .default_value("2m")
                        .value_parser(value_parser!(TimeLimit))
                        .help("how long an answer may take, up to 71 minutes"),
                ),
        )
        .subcommand(import_command())
        .subcommand(
            Command::new("run")
                .about("Run a command with a pool of its own, which ends with it")
                .arg(
                    Arg::new("command")
                        .value_name("COMMAND")
                        .required(true)
                        .num_args(1..)
                        .last(true)
                        .value_parser(value_parser!(OsString))
                        .help("the command and its words, behind `--`"),
                ),
        )
}

fn import_command() -> Command {
    let file = |name, help| {
        Arg::new(name)
            .long(name)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .conflicts_with("pem")
            .help(help)
    };
    Command::new("import")
        .override_usage(
            "levada pool import [--localid|--disclose|--trust FILE]... FOLDER\n       \
             levada pool import --pem DIR FOLDER",
        )
        .about("Make a policy of the databases of the ARPA2 TLS Pool, or of PEM files")
        .arg(file("localid", "db_dump of its local identities"))
        .arg(file("disclose", "db_dump of whom it is to whom"))
        .arg(file("trust", "db_dump of whom it trusts"))
        .arg(
            Arg::new("pem")
                .long("pem")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("a folder of certificates and keys, in PEM"),
        )
        .group(
            ArgGroup::new("from")
                .args(["localid", "disclose", "trust", "pem"])
                .required(true)
                .multiple(true),
        )
        .arg(
            Arg::new("into")
                .value_name("FOLDER")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("where to write it; nothing there is written over"),
        )
}

/// What the words say; `format` reads the log's.
pub(crate) fn request(
    mut matches: ArgMatches,
    format: impl FnOnce(&mut ArgMatches) -> Format,
) -> PoolRequest {
    let verb = matches.remove_subcommand();
    let global = |matches: &mut ArgMatches, name| matches.remove_one::<PathBuf>(name);
    let args = PoolArgs {
        socket: global(&mut matches, "socket"),
        config: global(&mut matches, "config"),
        user: matches.remove_one("user"),
        token_dirs: matches.remove_many("token-dir").into_iter().flatten().collect(),
        token_net: matches.get_flag("token-net"),
        drain: matches.remove_one("drain").unwrap_or(DRAIN),
        format: format(&mut matches),
    };
    match verb {
        None => PoolRequest::Serve(args, None),
        Some((verb, mut inner)) => {
            let socket = global(&mut inner, "socket").or(args.socket);
            match verb.as_str() {
                "ping" => PoolRequest::Ping(socket),
                "sessions" => PoolRequest::Sessions(socket),
                "pinentry" => {
                    let time = inner.remove_one::<TimeLimit>("time");
                    let program = inner.remove_one("program");
                    PoolRequest::PinEntry(socket, program, time.and_then(TimeLimit::duration))
                }
                "import" => PoolRequest::Import(ImportArgs {
                    localid: inner.remove_one("localid"),
                    disclose: inner.remove_one("disclose"),
                    trust: inner.remove_one("trust"),
                    pem: inner.remove_one("pem"),
                    // `clap` was told that it is required.
                    into: inner.remove_one("into").unwrap_or_default(),
                }),
                _ => {
                    let config = global(&mut inner, "config").or(args.config);
                    let words = inner.remove_many("command").into_iter().flatten().collect();
                    PoolRequest::Serve(PoolArgs { socket, config, ..args }, Some(words))
                }
            }
        }
    }
}
