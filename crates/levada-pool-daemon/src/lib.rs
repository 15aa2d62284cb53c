//! The TLS Pool's daemon: private keys in a process of their own, plaintext for everybody else.
//!
//! A program passes a connected socket over a control connection, and gets a plaintext socket back;
//! it never sees a key. [`Pool`] serves such programs by the TLS Pool protocol V2; a [`Policy`] says
//! which identities there are, who may use them and whom to trust.
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use levada_pool_daemon::{Choices, Policy, PolicyFile, Pool, PoolLimits};
//! use tokio::net::UnixListener;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = PolicyFile::parse("# It shows no certificate to anybody.", Path::new(""))
//!     .and_then(|file| Policy::open(&file))
//!     .map_err(|faults| faults.in_file("pool.toml").to_string())?;
//! let log = Arc::new(|notice: &_| eprintln!("{notice}"));
//! let pool = Pool::new(policy, Choices::default(), PoolLimits::default(), log);
//! # let path = std::env::temp_dir().join(format!("levada-pool-doc-{}", std::process::id()));
//! let listener = UnixListener::bind(&path)?;
//! # std::fs::remove_file(&path)?;
//! let stop = async { /* until a signal comes */ };
//! pool.serve(listener, stop, None).await;
//! # Ok(())
//! # }
//! ```
//!
//! The clients are a crate of their own, `levada-pool`: `levada` runs on them, and this daemon runs
//! on `levada`'s sockets, so one crate of both would depend on itself.
#![forbid(unsafe_code)]

mod choices;
mod chooser;
mod control;
mod desk;
mod hand_backs;
mod import;
mod inquiries;
mod names;
mod notice;
mod ownership;
mod pages;
mod pending;
mod per_user;
mod pin;
mod plain;
mod policy;
mod pool;
mod registry;
mod service;
mod session;
mod starttls;

pub use choices::{Choices, ChoicesError};
pub use import::{DumpError, Dumps, Import, ImportError, ImportNote};
pub use notice::{Log, Notice, ServiceKind};
pub use policy::{
    IDENTITY_KEYS, LOCAL_CA_KEYS, POLICY_KEYS, Policy, PolicyError, PolicyFile, PolicyKey,
    PolicySource,
};
pub use pool::{Pool, PoolLimits};
