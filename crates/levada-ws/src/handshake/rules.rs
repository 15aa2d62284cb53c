//! A server's standing rules.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Answer, Field, Origins, OwnOrigin, Page, Refusal, Request};

/// Which paths are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Paths {
    /// Every one.
    #[default]
    Any,
    /// These, compared byte by byte and without the query.
    Listed(Vec<String>),
}

/// Who is welcome, and what the answer says. The default welcomes everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// The paths that are served; others get 404.
    pub paths: Paths,
    /// The Origins that are welcome; others get 403.
    pub origins: Origins,
    /// Whether a page of this very server is welcome too, whatever `origins` says.
    pub own_origin: OwnOrigin,
    /// The subprotocols that are spoken, most wanted first. Ours is the order that counts.
    pub subprotocols: Vec<String>,
    /// Whether a client that offers none of them is refused with 400, rather than accepted without
    /// one.
    pub require_subprotocol: bool,
    /// Header fields of every acceptance.
    pub fields: Vec<Field>,
    /// What is shown to those who ask for no WebSocket, by path. Elsewhere they get 426.
    pub pages: Vec<Page>,
}

impl Rules {
    /// Judges a request.
    ///
    /// # Errors
    ///
    /// The first rule that it fails: path, Origin, subprotocol.
    pub fn judge(&self, request: &Request) -> Result<Answer, Refusal> {
        if let Paths::Listed(paths) = &self.paths
            && !paths.iter().any(|path| path == request.path())
        {
            return Err(Refusal::Path);
        }
        let is_own = || self.own_origin.allows(request.origin(), request.host());
        if !self.origins.allow(request.origin()) && !is_own() {
            return Err(Refusal::OriginForbidden);
        }
        let chosen = self.subprotocols.iter().find(|ours| request.subprotocols().contains(ours));
        if chosen.is_none() && self.require_subprotocol {
            return Err(Refusal::NoCommonSubprotocol);
        }
        Ok(Answer { subprotocol: chosen.cloned(), fields: self.fields.clone() })
    }
}
