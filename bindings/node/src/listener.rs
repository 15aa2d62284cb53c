//! One listener, as JavaScript holds it.

use std::sync::Arc;

use levada::{Address, Binder, Listener as Accepting, OsError, SetupError};
use napi_derive::napi;
use tokio::sync::{Semaphore, watch};

use crate::door::{Door, Notice};
use crate::report;
use crate::runtime;
use crate::setup::{Refusal, internal, of_setup, refuse};
use crate::stream::Stream;

/// Accepted streams that JavaScript has not taken up yet, at most: more wait in the kernel.
const UNSEEN: usize = 64;

/// What is said to the task that accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    GoOn,
    Close,
}

/// A listener. Dropped by JavaScript, or with the thread of Node that had it, it is closed.
#[napi]
pub struct Listener {
    door: Door,
    binder: Option<Binder>,
    word: watch::Sender<Word>,
}

#[napi]
impl Listener {
    /// A listener for an address, with whatever layers that names. `shares_port` lets others listen at
    /// the port, too, if they say the same.
    ///
    /// # Errors
    ///
    /// What is wrong with the address, or with a file that it names.
    #[napi(constructor)]
    pub fn new(door: &Door, address: String, shares_port: bool) -> Result<Self, Refusal> {
        let address: Address =
            address.parse().map_err(|error| refuse("ERR_LEVADA_ADDRESS")(&error))?;
        let mut binder = Binder::new(&address).map_err(|error| of_setup(&error))?;
        if shares_port {
            binder = binder.share_port();
        }
        Ok(Self { door: door.clone(), binder: Some(binder), word: watch::Sender::new(Word::GoOn) })
    }

    /// Begins to listen. `id` is what its notices are marked with.
    ///
    /// # Errors
    ///
    /// When there are no threads for it.
    #[napi]
    pub fn begin(&mut self, id: u32) -> Result<(), Refusal> {
        let Some(binder) = self.binder.take() else { return Ok(()) };
        let (door, mut word) = (self.door.clone(), self.word.subscribe());
        runtime::spawn(async move {
            let why = tokio::select! {
                // The sender is JavaScript's: where it is gone, so is the listener.
                _ = word.wait_for(|&word| word == Word::Close) => None,
                why = listen(&binder, id, &door) => Some(why),
            };
            // The listener is closed by now.
            door.tell(Notice::Closed(id, why));
        })
        .map_err(internal)
    }

    /// Listens no more; streams that were accepted go on.
    #[napi]
    pub fn close(&self) {
        self.word.send_replace(Word::Close);
    }
}

/// Listens until that fails; why it did.
async fn listen(binder: &Binder, id: u32, door: &Door) -> String {
    let listener = match binder.bind().await {
        Ok(listener) => listener,
        Err(error) => return trouble(&error),
    };
    let there = listener.local().map(|local| local.to_string()).unwrap_or_default();
    door.tell(Notice::Listening(id, there));
    accept(&listener, id, door).await
}

async fn accept(listener: &Accepting, id: u32, door: &Door) -> String {
    let unseen = Arc::new(Semaphore::new(UNSEEN));
    loop {
        // Nobody closes it.
        let Ok(permit) = unseen.clone().acquire_owned().await else { return String::new() };
        match listener.accept().await {
            Ok(stream) => {
                door.tell(Notice::Accepted(id, Stream::accepted(door, stream, permit)));
            }
            Err(error) => {
                let os_error = OsError::from(&error);
                return report::of_trouble(os_error.symbol(), &error.to_string(), os_error.code);
            }
        }
    }
}

fn trouble(error: &SetupError) -> String {
    let os_error = match error {
        SetupError::Listen { error, .. } => error.raw_os_error(),
        _ => None,
    };
    report::of_trouble(of_setup(error).status, &error.to_string(), os_error)
}
