//! The words by which a [`Signer`](crate::Signer) in another process is asked and answers: one line
//! each way.

use base64ct::{Base64, Encoding as _};
use levada_core::ShownCertificate;

use crate::signature_scheme::SignatureScheme;

/// The longest answer of a signer, its line end left out: a signature by RSA of 16384 bits has 2732
/// characters.
pub const MAX_SIGNING_ANSWER: usize = 4096;

/// The line that asks for a signature of `message`, not hashed, by the key of this certificate:
/// `sign spki:PIN SCHEME MESSAGE`, where the scheme is named as in RFC 8446 section 4.2.3 and the
/// message is in base64.
pub fn signing_request(
    certificate: &ShownCertificate,
    scheme: SignatureScheme,
    message: &[u8],
) -> String {
    // The key of one that cannot be read signs nothing.
    let pin = certificate.read().map_or("", |facts| &facts.spki_pin);
    format!("sign spki:{pin} {scheme} {}\n", Base64::encode_string(message))
}

/// Reads what a signer answers: the line `signature BASE64`, or `error` and why there is none. What
/// follows the line is passed over.
///
/// # Errors
///
/// Why there is no signature, in the signer's words or ours, all of them printable.
pub fn read_signing_answer(answer: &[u8]) -> Result<Vec<u8>, String> {
    let end = answer.iter().position(|&byte| byte == b'\n');
    let Some(end) = end.filter(|&end| end <= MAX_SIGNING_ANSWER) else {
        return Err(match answer {
            [] => "it gave no answer".to_owned(),
            _ => format!("its answer is no line of up to {MAX_SIGNING_ANSWER} bytes"),
        });
    };
    let line = String::from_utf8_lossy(answer[..end].trim_ascii_end());
    match line.split_once(' ') {
        Some(("signature", base64)) => {
            Base64::decode_vec(base64).map_err(|_| "its signature is no base64".to_owned())
        }
        Some(("error", why)) => Err(why.escape_debug().to_string()),
        _ => Err("its answer begins with neither `signature` nor `error`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::read_certificate;

    #[test]
    fn a_request_names_the_key() {
        let certificate = read_certificate(include_bytes!("../tests/data/ec-cert.der"));
        let pin = &certificate.read().unwrap().spki_pin;
        let scheme = SignatureScheme::ECDSA_SECP256R1_SHA256;
        assert_eq!(
            signing_request(&certificate, scheme, &[1, 2, 3]),
            format!("sign spki:{pin} ecdsa_secp256r1_sha256 AQID\n")
        );
    }

    #[test]
    fn a_signature_or_a_reason_is_read() {
        let read = read_signing_answer;
        assert_eq!(read(b"signature AQID\n"), Ok(vec![1, 2, 3]));
        assert_eq!(read(b"signature AQID\r\nmore"), Ok(vec![1, 2, 3]));
        assert_eq!(read(b"error the card is \x1bout\n"), Err("the card is \\u{1b}out".to_owned()));
        for (answer, why) in [
            (&b""[..], "it gave no answer"),
            (b"signature AQID", "its answer is no line of up to 4096 bytes"),
            (b"signature A\n", "its signature is no base64"),
            (b"hello\n", "its answer begins with neither `signature` nor `error`"),
        ] {
            assert_eq!(read(answer), Err(why.to_owned()), "{}", answer.escape_ascii());
        }
        let long = [&b"error "[..], &[b'x'; MAX_SIGNING_ANSWER], b"\n"].concat();
        assert!(read(&long).is_err_and(|why| why.contains("no line")));
    }
}
