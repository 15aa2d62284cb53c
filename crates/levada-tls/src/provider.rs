//! The one cryptographic provider: aws-lc-rs, always named, never the process's default.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};

/// The provider of every configuration.
///
/// The post-quantum hybrid comes first, which costs a server 10 to 20 µs a handshake: whoever
/// records traffic today cannot read it with tomorrow's machine.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = default_provider();
        provider.kx_groups = vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ];
        Arc::new(provider)
    });
    PROVIDER.clone()
}
