//! The application's side of the control connection.

pub mod blocking;
pub mod polled;

mod connection;
mod control;
mod error;
mod pages;
mod path;
mod request;
mod services;
mod serving;
mod sharing;

pub use control::{Control, Event};
pub use error::PoolError;
pub use path::{VARIABLE, standard_path};
pub use request::{LocalIdQuestion, PoolIdentity, Protected, TlsRequest};
pub use services::{Choice, Chooser, IdentityQuestion, PinQuestion};
pub use sharing::{Client, Session, SessionHandle};
