//! Services for the pool, in tokio.

use std::time::Duration;

use levada_pool_wire::body::Pin;
use levada_pool_wire::{ErrorCode, Message};

use crate::client::connection::{Call, News};
use crate::client::error::PoolError;
use crate::client::request::out_of_place;
use crate::client::services::{
    Choice, Chooser, Identities, IdentityQuestion, PinQuestion, Pins, Service,
};
use crate::client::sharing::Client;

impl Client {
    /// Enters PINs for the pool: `pin` is asked for each, `None` declines, and an answer may take
    /// `time` (up to 71 minutes; 0 has the pool say). It goes on until the pool refuses it, or is gone
    /// for longer than five seconds, and returns why.
    ///
    /// A question that nobody answers in time is dropped, with the future that `pin` made for it.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use levada_pool::Client;
    /// use levada_pool::wire::body::Pin;
    ///
    /// # async fn serve() {
    /// let client = Client::at("/run/levada/pool.sock");
    /// let why = client
    ///     .serve_pins(Duration::from_secs(60), async |question| {
    ///         let secret = ask_somebody(&question.to_string()).await?;
    ///         Pin::new(&secret).ok()
    ///     })
    ///     .await;
    /// eprintln!("no PINs are entered any more: {why}");
    /// # }
    /// # async fn ask_somebody(_: &str) -> Option<Vec<u8>> { None }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the service at once: it has a control connection of its own.
    pub async fn serve_pins(
        &self,
        time: Duration,
        pin: impl AsyncFnMut(&PinQuestion) -> Option<Pin>,
    ) -> PoolError {
        self.serve(Pins { time }, pin).await
    }

    /// Chooses for the pool which identity its TLS clients show: `choose` is asked about each server,
    /// and `None` refuses the connection. It goes on, and can be dropped, as
    /// [`serve_pins`](Self::serve_pins).
    pub async fn serve_identities(
        &self,
        chooser: Chooser,
        choose: impl AsyncFnMut(&IdentityQuestion) -> Option<Choice>,
    ) -> PoolError {
        self.serve(Identities::new(chooser), choose).await
    }

    async fn serve<S: Service>(
        &self,
        mut service: S,
        mut ask: impl AsyncFnMut(&S::Question) -> Option<S::Answer>,
    ) -> PoolError {
        let own = Self::at(self.path());
        loop {
            let connection = match own.connected().await {
                Ok(connection) => connection,
                Err(error) => return error,
            };
            let mut call = match connection.call(service.registration(), None, false).await {
                Ok(call) => call,
                Err(PoolError::Gone) => continue,
                Err(error) => return error,
            };
            let mut was_asked = false;
            let error = loop {
                if let Err(error) =
                    answer_one(&mut service, &mut call, &mut ask, &mut was_asked).await
                {
                    break error;
                }
            };
            let is_late = error.code() == Some(ErrorCode::ClientRefusesCallback);
            // Who was asked and was late is let go, and registers anew.
            let again = matches!(error, PoolError::Gone) || (is_late && was_asked);
            if !again {
                return error;
            }
        }
    }
}

/// Waits for a question, and answers it.
async fn answer_one<S: Service>(
    service: &mut S,
    call: &mut Call<'_>,
    ask: &mut impl AsyncFnMut(&S::Question) -> Option<S::Answer>,
    was_asked: &mut bool,
) -> Result<(), PoolError> {
    let question = service.question(next(call).await?);
    *was_asked = true;
    let answer = match question {
        Err(answer) => *answer,
        Ok(question) => tokio::select! {
            said = ask(&question) => service.answer(said),
            // The pool asks nothing else before it has an answer: it has given up.
            given_up = next(call) => return given_up.map(drop),
        },
    };
    call.answer(answer, None);
    Ok(())
}

/// The next question. A registration has no reply but an ERROR.
async fn next(call: &mut Call<'_>) -> Result<Message, PoolError> {
    match call.next().await {
        News::Question(message) => Ok(message),
        News::Reply(reply) => Err(reply.map_or_else(|error| error, |_| out_of_place())),
    }
}
