//! The two ways that the data of a stream on a pool can go.

use std::fmt::Display;

use levada_sys::kernel_tls::is_supported;
use serde_json::Value;

use crate::harness::Pool;

/// Which way the data of a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Through the pool, since the address says so.
    Relay,
    /// Past it, where the kernel has TLS.
    Kernel,
}

/// An emulated processor has all the time for a handshake.
pub(crate) const PATIENT: &str = "deadline-handshake=off";

impl Way {
    pub(crate) const EACH: [Self; 2] = [Self::Relay, Self::Kernel];

    /// An address that the pool protects, of what listens here for plaintext.
    pub(crate) fn url(self, pool: &Pool, to: impl Display) -> String {
        let url = match self {
            Self::Relay => pool.relay_url(to),
            Self::Kernel => pool.url(to),
        };
        format!("{url}&{PATIENT}")
    }

    /// Whether data really goes past the pool.
    #[track_caller]
    pub(crate) fn is_past_the_pool(self) -> bool {
        let must = std::env::var_os("LEVADA_KERNEL_TLS").is_some();
        assert!(is_supported() || !must, "this kernel must have TLS");
        self == Self::Kernel && is_supported()
    }

    /// Checks what the facts of a stream tell of it.
    #[track_caller]
    pub(crate) fn assert_told(self, facts: &Value) {
        let told = &facts["kernel_tls"];
        match self {
            Self::Relay => assert!(told.is_null(), "{told}"),
            Self::Kernel if self.is_past_the_pool() => assert!(told["armed"].is_object(), "{told}"),
            Self::Kernel => assert_eq!(told["declined"], "unsupported"),
        }
    }
}
