//! The way from streams to JavaScript: one for each of Node's threads.

use std::sync::Arc;

use napi::bindgen_prelude::{BufferSlice, Either5, FnArgs, Function, Result};
use napi::threadsafe_function::{
    ThreadsafeCallContext, ThreadsafeFunction, ThreadsafeFunctionCallMode,
};
use napi::{Env, Status};
use napi_derive::napi;

use crate::chunk;
use crate::signer::SignatureRequest;
use crate::stream::{PlaintextQuestion, Stream};

/// What comes with a notice.
type Payload = Either5<BufferSlice<'static>, String, Stream, SignatureRequest, PlaintextQuestion>;

/// What JavaScript's function is called with: for whom, the kind, what comes with it.
type Arguments = FnArgs<(u32, u32, Option<Payload>)>;

/// Weak: it is not what keeps Node's thread alive, which JavaScript sees to.
type ToJavaScript = ThreadsafeFunction<Notice, (), Arguments, Status, false, true>;

/// What happened, in the order in which it did. The numbers of the kinds are those of
/// `lib/native.js`.
pub(crate) enum Notice {
    /// Every asked-for layer is up.
    Up(u32),
    /// Plain bytes.
    Data(u32, Vec<u8>),
    /// The peer's goodbye: no data follows.
    Eof(u32),
    /// All of the oldest write that is open has left for the kernel.
    Wrote(u32),
    /// Our goodbye has left for the kernel.
    Shut(u32),
    /// An order to put TLS on or to take it off: why it could not be, or nothing.
    Turned(u32, Option<String>),
    /// One event of the stream's life, as JSON.
    Event(u32, String),
    /// The ending, as JSON: the last notice of a stream.
    Ended(u32, String),
    /// A listener listens there.
    Listening(u32, String),
    /// A stream has come to a listener.
    Accepted(u32, Stream),
    /// A listener listens no more: why, as JSON, or because it was asked to. Its last notice.
    Closed(u32, Option<String>),
    /// A key of JavaScript's is to sign.
    Sign(u32, SignatureRequest),
    /// A client does not speak TLS: is it let through?
    Plaintext(u32, PlaintextQuestion),
}

impl Notice {
    fn arguments(self, env: Env) -> Result<Arguments> {
        let (id, kind, payload) = match self {
            Self::Up(id) => (id, 0, None),
            Self::Data(id, bytes) => (id, 1, Some(Either5::A(chunk::into_buffer(bytes, env)?))),
            Self::Eof(id) => (id, 2, None),
            Self::Wrote(id) => (id, 3, None),
            Self::Shut(id) => (id, 4, None),
            Self::Turned(id, why_not) => (id, 5, why_not.map(Either5::B)),
            Self::Event(id, json) => (id, 6, Some(Either5::B(json))),
            Self::Ended(id, json) => (id, 7, Some(Either5::B(json))),
            Self::Listening(id, there) => (id, 8, Some(Either5::B(there))),
            Self::Accepted(id, stream) => (id, 9, Some(Either5::C(stream))),
            Self::Closed(id, why) => (id, 10, why.map(Either5::B)),
            Self::Sign(id, request) => (id, 11, Some(Either5::D(request))),
            Self::Plaintext(id, question) => (id, 12, Some(Either5::E(question))),
        };
        Ok((id, kind, payload).into())
    }
}

/// Carries notices to one of Node's threads.
#[napi]
#[derive(Clone)]
pub struct Door(Arc<ToJavaScript>);

#[napi]
impl Door {
    /// `dispatch` gets each notice, in a turn of Node's loop of its own.
    ///
    /// # Errors
    ///
    /// Node's.
    #[napi(constructor)]
    pub fn new(dispatch: Function<'_, Arguments, ()>) -> Result<Self> {
        let function = dispatch
            .build_threadsafe_function::<Notice>()
            .callee_handled::<false>()
            .weak::<true>()
            .build_callback(|call: ThreadsafeCallContext<Notice>| call.value.arguments(call.env))?;
        Ok(Self(Arc::new(function)))
    }
}

impl Door {
    /// Tells JavaScript. `false` where its thread has ended: nobody is there any more.
    pub(crate) fn tell(&self, notice: Notice) -> bool {
        self.0.call(notice, ThreadsafeFunctionCallMode::NonBlocking) == Status::Ok
    }
}
