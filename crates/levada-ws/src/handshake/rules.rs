//! A server's standing rules.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Answer, Field, Origins, Refusal, Request};

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
    /// The subprotocols that are spoken, most wanted first. Ours is the order that counts.
    pub subprotocols: Vec<String>,
    /// Whether a client that offers none of them is refused with 400, rather than accepted without
    /// one.
    pub require_subprotocol: bool,
    /// Header fields of every acceptance.
    pub fields: Vec<Field>,
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
        if !self.origins.allow(request.origin()) {
            return Err(Refusal::OriginForbidden);
        }
        let chosen = self.subprotocols.iter().find(|ours| request.subprotocols().contains(ours));
        if chosen.is_none() && self.require_subprotocol {
            return Err(Refusal::NoCommonSubprotocol);
        }
        Ok(Answer { subprotocol: chosen.cloned(), fields: self.fields.clone() })
    }
}
