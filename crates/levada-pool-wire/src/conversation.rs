//! One exchange as both sides see it: a request, questions with their answers, a reply.

use crate::command::Command;
use crate::diagram::{Flow, State, Step};
use crate::error_code::ErrorCode;
use crate::packet::{CallbackId, Message};
use crate::rules::{QuestionRule, RequestRule};

/// An exchange held against the rules and, for PING and STARTTLS, against the message flow.
#[derive(Debug)]
pub(crate) struct Conversation {
    rule: &'static RequestRule,
    flow: Option<Flow>,
    question: Option<Question>,
}

/// The one question that may wait for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) rule: &'static QuestionRule,
    pub(crate) callback: CallbackId,
}

impl Conversation {
    /// Opens an exchange, or tells the code that refuses it.
    pub(crate) fn open(request: &Message, descriptor: bool) -> Result<Self, ErrorCode> {
        let rule = RequestRule::judge(request, descriptor)?;
        let flow = rule.steps.map(|(step, _)| {
            let mut flow = Flow::new();
            let legal = flow.step(step);
            debug_assert!(legal.is_ok(), "a request is legal in the first state");
            flow
        });
        Ok(Self { rule, flow, question: None })
    }

    /// Whether this question may be asked now.
    pub(crate) fn may_ask(&self, question: Command) -> Option<&'static QuestionRule> {
        let rule = QuestionRule::of(question)?;
        let in_flow = |(step, _)| self.flow.is_none_or(|mut flow| flow.step(step).is_ok());
        let fits = self.question.is_none()
            && self.rule.questions.contains(&question)
            && rule.steps.is_none_or(in_flow);
        fits.then_some(rule)
    }

    /// Asks what [`Conversation::may_ask`] has allowed.
    pub(crate) fn ask(&mut self, rule: &'static QuestionRule, callback: CallbackId) {
        self.question = Some(Question { rule, callback });
        if let Some((step, _)) = rule.steps {
            self.take_step(step);
        }
    }

    /// The question that waits for its answer.
    pub(crate) const fn question(&self) -> Option<Question> {
        self.question
    }

    /// Answers the question and returns it. On an answer that the rules refuse the question
    /// stays, and the code is told.
    ///
    /// The inner `None` is for a conversation that has no question.
    pub(crate) fn answer(
        &mut self,
        answer: &Message,
        descriptor: bool,
    ) -> Result<Option<Question>, ErrorCode> {
        let Some(question) = self.question else { return Ok(None) };
        question.rule.judge(answer, descriptor)?;
        self.question = None;
        match question.rule.steps {
            Some((_, Step::ReqLocalId)) => {
                let legal =
                    self.flow.as_mut().is_none_or(|flow| flow.answer_local_id(descriptor).is_ok());
                debug_assert!(legal, "the question has led to the state of its answer");
            }
            Some((_, step)) => self.take_step(step),
            None => {}
        }
        Ok(Some(question))
    }

    /// Answers the question with ERROR, which ends the flow, and returns it.
    pub(crate) fn decline(&mut self) -> Option<Question> {
        let question = self.question.take()?;
        self.take_step(Step::Error);
        Some(question)
    }

    /// Whether a packet with this command may end the exchange now.
    pub(crate) fn may_reply(&self, reply: Command) -> bool {
        let in_flow = || match (self.flow, self.rule.steps) {
            (Some(mut flow), Some((_, step))) => flow.step(step).is_ok(),
            _ => self.question.is_none(),
        };
        reply == Command::Error || (self.rule.allows_reply(reply) && in_flow())
    }

    /// The application may get its connection back.
    pub(crate) const fn may_hand_back(&mut self) {
        if let Some(flow) = &mut self.flow {
            flow.spare_plaintext();
        }
    }

    /// Whether this question belongs to the request at all, now or not.
    pub(crate) fn may_hear(&self, question: Command) -> bool {
        self.rule.questions.contains(&question)
    }

    /// Where the exchange stands in the message flow, if it has a part in it.
    pub(crate) fn state(&self) -> Option<State> {
        self.flow.map(|flow| flow.state())
    }

    fn take_step(&mut self, step: Step) {
        if let Some(flow) = &mut self.flow {
            let legal = flow.step(step);
            debug_assert!(legal.is_ok(), "{legal:?} was judged before");
        }
    }
}
