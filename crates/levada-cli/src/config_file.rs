//! The configuration file: found, read, and each fault of what it names told with its line.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use levada::SetupError;
use levada_config::{Config, End, Fault, Faults};

use crate::exit::{Stop, fail};
use crate::prepared::Prepared;

/// A configuration that is good in itself; what it names was not read yet.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    /// As the user calls it.
    pub(crate) name: String,
    text: String,
    pub(crate) config: Config,
}

impl ConfigFile {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, and with everything that is wrong in it.
    pub(crate) fn read(path: &Path) -> Result<Self, Stop> {
        let name = path.display().to_string();
        let text = fs::read(path).map_err(|error| fail(format!("cannot read {name}: {error}")))?;
        let text = String::from_utf8(text).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..good].split(|&byte| byte == b'\n').count();
            fail(format!("{name}:{line}: this is no UTF-8: is it the right file?"))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = levada_config::parse(&text, folder).map_err(|faults| told(&name, &faults))?;
        Ok(Self { name, text, config })
    }

    /// Reads all that the routes name. Nothing is opened.
    ///
    /// # Errors
    ///
    /// With everything that is wrong with it.
    pub(crate) fn prepare(&self) -> Result<Vec<Prepared>, Stop> {
        let mut faults = Vec::new();
        let mut prepared = Vec::new();
        let routes = &self.config.routes;
        for (index, route) in routes.iter().enumerate() {
            let (listen, to) = (&route.listen, &route.to);
            let line = levada_config::line_of(&self.text, listen.place.start);
            let place = format!("{}:{line}", self.name);
            match Prepared::read(&listen.address, &to.address, place) {
                Ok(read) => prepared.push(Prepared {
                    when: route.when.clone(),
                    shares: routes[..index].iter().position(|other| other.shares_listener(route)),
                    ..read
                }),
                Err(both) => {
                    let ends = [(listen, both.listen), (to, both.to)];
                    let told = ends.into_iter().filter_map(|(end, error)| Some((end, error?)));
                    faults.extend(told.map(|(end, error)| fault(end, &error)));
                }
            }
        }
        if faults.is_empty() {
            return Ok(prepared);
        }
        Err(told(&self.name, &Faults::new(&self.text, faults)))
    }
}

fn told(name: &str, faults: &Faults) -> Stop {
    fail(faults.in_file(name).to_string())
}

fn fault(end: &End, error: &SetupError) -> Fault {
    Fault::new(place(end, error), error.to_string(), None)
}

/// Where the file or the address is named that `error` is about.
fn place(end: &End, error: &SetupError) -> Range<usize> {
    let file: Option<&PathBuf> = match error {
        SetupError::Read { path, .. }
        | SetupError::Anchors { path, .. }
        | SetupError::Crls { path, .. }
        | SetupError::Identities { path, .. }
        | SetupError::Staple { path, .. } => Some(path),
        SetupError::Identity { files, .. } => Some(&files.cert),
        _ => None,
    };
    file.map_or(end.place.clone(), |file| end.place_of(file))
}
