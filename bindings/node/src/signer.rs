//! Private keys that JavaScript has: it is asked for each signature, and no thread waits meanwhile.

use levada::{SignatureScheme, Signer, SignerError, Signing};
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use tokio::sync::oneshot;

use crate::door::{Door, Notice};

/// Asks the function of JavaScript that has this number.
pub(crate) struct KeyOfJavaScript {
    pub(crate) door: Door,
    pub(crate) id: u32,
}

impl Signer for KeyOfJavaScript {
    fn sign(&self, scheme: SignatureScheme, message: Vec<u8>) -> Signing {
        let (answer, answered) = oneshot::channel();
        let request = SignatureRequest { scheme, message, answer: Some(answer) };
        let asked = self.door.tell(Notice::Sign(self.id, request));
        Box::pin(async move {
            if !asked {
                return Err("the thread of Node that has the key has ended".into());
            }
            match answered.await {
                Ok(answer) => answer.map_err(SignerError::from),
                Err(_) => Err("the key gave no signature".into()),
            }
        })
    }
}

/// A signature that is asked for. The first answer counts; none comes too late to be ignored.
#[napi]
pub struct SignatureRequest {
    scheme: SignatureScheme,
    message: Vec<u8>,
    answer: Option<oneshot::Sender<Result<Vec<u8>, String>>>,
}

#[napi]
impl SignatureRequest {
    /// By which scheme, as the IANA registry names it.
    #[napi(getter)]
    pub fn scheme(&self) -> String {
        self.scheme.to_string()
    }

    /// What is to be signed, not hashed yet; it is given once.
    #[napi]
    pub fn message(&mut self) -> Buffer {
        std::mem::take(&mut self.message).into()
    }

    /// Here it is.
    #[napi]
    pub fn signed(&mut self, signature: &[u8]) {
        self.answer_with(Ok(signature.to_vec()));
    }

    /// It cannot be had.
    #[napi]
    pub fn failed(&mut self, why: String) {
        self.answer_with(Err(why));
    }

    fn answer_with(&mut self, answer: Result<Vec<u8>, String>) {
        if let Some(sender) = self.answer.take() {
            // The stream may have ended meanwhile.
            let _ = sender.send(answer);
        }
    }
}
