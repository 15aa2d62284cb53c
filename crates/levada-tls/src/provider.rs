//! The one cryptographic provider: aws-lc-rs, always named, never the process's default.

use std::sync::{Arc, LazyLock};

use rustls::CipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};

/// The provider of every configuration.
///
/// The post-quantum hybrid comes first, which costs a server 10 to 20 µs a handshake: whoever
/// records traffic today cannot read it with tomorrow's machine.
///
/// Of each sort of cipher suite the one with AES-128 comes first: its SHA-256 has help from the
/// processor where SHA-384 has none, which is a third of a resumed handshake.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = default_provider();
        provider.kx_groups = vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ];
        provider.cipher_suites.sort_by_key(|suite| !is_aes_128(suite.suite()));
        Arc::new(provider)
    });
    PROVIDER.clone()
}

const fn is_aes_128(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fast_and_strong_comes_first() {
        let provider = provider();
        let suites: Vec<_> =
            provider.cipher_suites.iter().map(rustls::SupportedCipherSuite::suite).collect();
        assert_eq!(
            suites[..4],
            [
                CipherSuite::TLS13_AES_128_GCM_SHA256,
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                CipherSuite::TLS13_AES_256_GCM_SHA384,
            ]
        );
        assert_eq!(suites.len(), default_provider().cipher_suites.len());
    }
}
