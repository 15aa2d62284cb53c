//! What holds for any bytes that pass for a chain of certificates. The fuzz target `pool_chain` and the tests
//! share this function.

use levada_pool_wire::Chain;

/// Reads a chain and writes it: it is the same bytes then.
pub(crate) fn check(data: &[u8]) {
    match Chain::decode(data) {
        Ok(Chain(certificates)) => {
            assert!(certificates.iter().all(|der| !der.is_empty()));
            assert_eq!(Chain::encode(&certificates), data);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
