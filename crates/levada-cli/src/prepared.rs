//! A route whose files are all read: what is left is to open it.

use levada::{Binder, Dialer, SetupError};
use levada_address::Address;
use levada_config::When;

/// A route that can be opened.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) listen: Address,
    pub(crate) to: Address,
    pub(crate) binder: Binder,
    pub(crate) dialer: Dialer,
    /// Which clients of the listener it is for; `None`: every one.
    pub(crate) when: Option<When>,
    /// The route whose listener this one shares, if any, by its place among them.
    pub(crate) shares: Option<usize>,
    /// What the user calls the listener: a flag, or the line of a file.
    pub(crate) place: String,
}

/// Why a route cannot be opened: what is wrong at either end, and at one at least.
#[derive(Debug)]
pub(crate) struct Unprepared {
    pub(crate) listen: Option<SetupError>,
    pub(crate) to: Option<SetupError>,
}

impl Prepared {
    /// Reads what both addresses name.
    pub(crate) fn read(
        listen: &Address,
        to: &Address,
        place: String,
    ) -> Result<Self, Box<Unprepared>> {
        match (Binder::new(listen), Dialer::new(to)) {
            (Ok(binder), Ok(dialer)) => Ok(Self {
                listen: listen.clone(),
                to: to.clone(),
                binder,
                dialer,
                when: None,
                shares: None,
                place,
            }),
            (binder, dialer) => {
                Err(Box::new(Unprepared { listen: binder.err(), to: dialer.err() }))
            }
        }
    }
}
