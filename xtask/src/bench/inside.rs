//! The measurement itself, as the first process of its namespaces: every load, in rounds in which each
//! terminator has its turn, so that what drifts on the machine drifts for all of them.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use serde_json::Value;

use crate::bench::figures::{Against, LOADS, Load, Scale};
use crate::bench::instance::{Instance, LOAD_CORE, TERMINATOR_CORE, configure, pinned};
use crate::bench::place::Place;
use crate::bench::results::Sample;
use crate::bench::terminators::{self, Terminator};
use crate::bench::{Plan, runs_file, work_folder};
use crate::steps::run as run_command;

/// Ports of the two backends, and the first one that is free.
const BACKEND: u16 = 4000;
const PATIENT_BACKEND: u16 = 4001;
const FREE: u16 = 4002;

/// How long a patient load sleeps before it waits: long enough for hundreds of KiB to come, far too
/// short for the buffers of the sockets to fill.
const PAUSE: [&str; 2] = ["--pause", "200"];

/// Runs everything that is planned; answers with a word for the summary.
///
/// # Errors
///
/// When nothing can be measured. A run that fails is written down with the others.
pub(crate) fn run(target: &Path, plan: &Plan) -> Result<String, String> {
    if available_parallelism().map_or(1, usize::from) < 2 {
        return Err("two cores are needed, one of them for the terminator alone".to_owned());
    }
    for terminator in terminators::ALL {
        if let Err(missing) = terminator.program(target) {
            println!("{} is left out: {} is not there", terminator.name, missing.display());
        }
    }
    set_up_network()?;
    let mut bench = Bench::new(target)?;
    let runs = runs_file(target);
    let mut runs = File::create(&runs).map_err(|error| format!("{}: {error}", runs.display()))?;
    for load in LOADS.iter().filter(|load| plan.has(load.name)) {
        set("tcp_wmem", if load.has_small_sockets { SMALL_SOCKETS } else { SOCKETS })?;
        let subjects = bench.subjects(load)?;
        for subject in subjects.iter().filter(|subject| subject.running.is_some()) {
            // A failure shows again in the first round.
            let _ = bench.once(load, subject, Scale::WARM_UP);
        }
        for round in 1..=plan.rounds {
            for subject in &subjects {
                let result = bench.once(load, subject, plan.scale());
                let of = subject.terminator.map_or("", |terminator| terminator.name);
                let sample =
                    Sample { load: load.name.to_owned(), round, of: of.to_owned(), result };
                println!("{}", sample.line());
                writeln!(runs, "{}", sample.line()).map_err(|error| error.to_string())?;
            }
        }
    }
    Ok(format!("{} rounds", plan.rounds))
}

fn set_up_network() -> Result<(), String> {
    run_command(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    // BBR, the default of some systems, paces even on loopback and hides every difference.
    set("tcp_congestion_control", "reno")?;
    set("tcp_rmem", RECEIVING_SOCKETS)?;
    // Thousands of short connections, each of which keeps its port for a while.
    set("ip_local_port_range", "10000 65000")?;
    set("tcp_tw_reuse", "1")
}

/// A setting of our own network; it concerns nobody else.
fn set(name: &str, value: &str) -> Result<(), String> {
    let file = format!("/proc/sys/net/ipv4/{name}");
    fs::write(&file, value).map_err(|error| format!("{file}: {error}"))
}

/// Least, first and greatest size in bytes of what a socket holds to be sent.
///
/// The greatest is not the system's: where a terminator is faster than the load, dozens of MiB would
/// wait between them, and what is measured then is memory that no cache holds and that a virtual
/// machine first has to get.
const SOCKETS: &str = "4096 16384 1048576";
const SMALL_SOCKETS: &str = "4096 16384 131072";

/// The same of what has come.
const RECEIVING_SOCKETS: &str = "4096 131072 1048576";

struct Bench {
    work: PathBuf,
    target: PathBuf,
    generator: String,
    free_port: u16,
    /// Held so that they run.
    _backends: [Instance; 2],
}

/// What a load works on.
struct Subject {
    /// `None` for a limit of the machine.
    terminator: Option<&'static Terminator>,
    /// The instance that serves every run of the load, if it is one for all.
    running: Option<(Instance, Place)>,
}

impl Bench {
    fn new(target: &Path) -> Result<Self, String> {
        let work = work_folder(target);
        let generator = target.join("release/levada-load").display().to_string();
        let backend = |name: &str, port: u16, more: &[&str]| {
            let listen = format!("127.0.0.1:{port}");
            let words = [&[&*generator, "backend", "--listen", &listen], more].concat();
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            Instance::spawn(LOAD_CORE, &words, &work.join(name), port)
        };
        let backends = [
            backend("backend.log", BACKEND, &[])?,
            backend("patient-backend.log", PATIENT_BACKEND, &PAUSE)?,
        ];
        let target = target.to_owned();
        Ok(Self { work, target, generator, free_port: FREE, _backends: backends })
    }

    /// Everything that `load` is run on, in the order of the turns.
    fn subjects(&mut self, load: &Load) -> Result<Vec<Subject>, String> {
        if load.against == Against::Nothing {
            return Ok(vec![Subject { terminator: None, running: None }]);
        }
        let mut subjects = Vec::new();
        for terminator in terminators::ALL {
            if !(load.has)(terminator) || terminator.program(&self.target).is_err() {
                continue;
            }
            let running = match load.against {
                Against::Running => {
                    let place = self.place(terminator, load)?;
                    Some((Instance::start(terminator, &place)?, place))
                }
                _ => None,
            };
            subjects.push(Subject { terminator: Some(terminator), running });
        }
        Ok(subjects)
    }

    fn once(&mut self, load: &Load, subject: &Subject, scale: Scale) -> Result<Value, String> {
        let mut words: Vec<String> = vec![self.generator.clone()];
        words.extend((load.words)(scale).split(' ').map(str::to_owned));
        if load.is_patient {
            words.extend(PAUSE.map(str::to_owned));
        }
        let Some(terminator) = subject.terminator else { return result_of(&words) };

        if let Some((instance, place)) = &subject.running {
            words.extend(aimed_at(terminator, place, Some(instance.pid())));
            return result_of(&words);
        }
        let place = self.place(terminator, load)?;
        if load.against == Against::Command {
            configure(terminator, &place)?;
            words.extend(aimed_at(terminator, &place, None));
            words.extend(["--", "taskset", "--cpu-list", TERMINATOR_CORE].map(str::to_owned));
            words.extend((terminator.command)(&place));
            return result_of(&words);
        }
        let instance = Instance::start(terminator, &place)?;
        words.extend(aimed_at(terminator, &place, Some(instance.pid())));
        result_of(&words)
    }

    /// A place on a port that nobody has had.
    fn place(&mut self, terminator: &Terminator, load: &Load) -> Result<Place, String> {
        let program = terminator
            .program(&self.target)
            .map_err(|missing| format!("{} is not there", missing.display()))?;
        let backend = if load.is_patient { PATIENT_BACKEND } else { BACKEND };
        let ports = (self.free_port, backend);
        self.free_port += 1;
        Place::make(&self.work, &program, terminator.name, load.key, ports)
    }
}

/// The words that aim a load at a terminator.
fn aimed_at(terminator: &Terminator, place: &Place, pid: Option<u32>) -> Vec<String> {
    let mut words = vec!["--to".to_owned(), format!("127.0.0.1:{}", place.port)];
    if terminator.is_tls() {
        words.extend(["--ca".to_owned(), place.certificate.display().to_string()]);
    }
    if let Some(pid) = pid {
        words.extend(["--pid".to_owned(), pid.to_string()]);
    }
    words
}

/// Runs the load generator; its output is the result.
fn result_of(words: &[String]) -> Result<Value, String> {
    let output = pinned(LOAD_CORE, words).output();
    let output = output.map_err(|error| format!("cannot run taskset: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("no result: {error}"))
}
