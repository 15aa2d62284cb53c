//! A server's standing rules.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Answer, Field, Origins, OwnOrigin, Page, Refusal, Request};
#[cfg(feature = "deflate")]
use crate::deflate::Params;

/// Which paths are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Paths {
    /// Every one.
    #[default]
    Any,
    /// These, compared byte by byte and without the query.
    Listed(Vec<String>),
}

impl Paths {
    /// Whether this path, which has no query, is served.
    pub fn contains(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(paths) => paths.iter().any(|served| served == path),
        }
    }
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
    /// How messages are compressed for clients that offer it; `None` is not at all.
    #[cfg(feature = "deflate")]
    pub deflate: Option<Params>,
    /// Header fields of every acceptance.
    pub fields: Vec<Field>,
    /// What is shown to those who ask for no WebSocket, by path. Elsewhere they get 426.
    pub pages: Vec<Page>,
    /// The rules of other paths: of a request whose path is not among ours, the first of these judges
    /// that serves it.
    pub others: Vec<Self>,
}

impl Rules {
    /// The page that is shown at a target, which may have a query, to who asks for no WebSocket.
    pub fn page(&self, target: &str) -> Option<&Page> {
        let path = target.split('?').next()?;
        self.pages.iter().find(|page| page.path() == path)
    }

    /// Judges a request.
    ///
    /// # Errors
    ///
    /// The first rule that it fails: path, Origin, subprotocol.
    pub fn judge(&self, request: &Request) -> Result<Answer, Refusal> {
        if !self.paths.contains(request.path()) {
            let mut others = self.others.iter();
            let other = others.find(|other| other.paths.contains(request.path()));
            return other.ok_or(Refusal::Path)?.judge(request);
        }
        let is_own = || self.own_origin.allows(request.origin(), request.host());
        if !self.origins.allow(request.origin()) && !is_own() {
            return Err(Refusal::OriginForbidden);
        }
        let chosen = self.subprotocols.iter().find(|ours| request.subprotocols().contains(ours));
        if chosen.is_none() && self.require_subprotocol {
            return Err(Refusal::NoCommonSubprotocol);
        }
        Ok(Answer {
            subprotocol: chosen.cloned(),
            #[cfg(feature = "deflate")]
            deflate: self.deflate.and_then(|wanted| request.deflate(wanted)),
            fields: self.fields.clone(),
        })
    }
}
