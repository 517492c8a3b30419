//! A running generation: from chosen tokens to text and events.

use std::sync::Arc;
use std::time::Instant;

use pelton_constrain::{Broken, Constraint};
use pelton_tokens::{Detokenizer, TextCodec};
use tokio::sync::mpsc::UnboundedSender;

use crate::adapter_registry::LoadedAdapter;
use crate::forward::Part;
use crate::paged_kv::{SequenceCache, blocks_for};
use crate::sampler::{Sampler, logprob_of};
use crate::stop_strings::{StopWatch, Watched};
use crate::{Completion, Event, FinishReason, GenerateRequest, TokenLogprob, Usage};

/// A request that was checked and may wait.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) request: GenerateRequest,
    /// Tokens to generate at most; fits the context.
    pub(crate) max_tokens: usize,
    pub(crate) adapter: Option<Arc<LoadedAdapter>>,
    pub(crate) events: UnboundedSender<Event>,
    pub(crate) arrived: Instant,
    /// Position in the order of arrival.
    pub(crate) ticket: u64,
}

impl Admitted {
    /// Blocks that this request can need.
    pub(crate) fn blocks(&self) -> usize {
        blocks_for(self.request.prompt.len() + self.max_tokens)
    }

    /// The root of its prompts in the prefix cache.
    pub(crate) fn prefix_root(&self) -> u64 {
        self.adapter.as_ref().map_or(0, |adapter| adapter.generation)
    }
}

/// One sequence of the batch.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) admitted: Admitted,
    pub(crate) cache: SequenceCache,
    pub(crate) cached_tokens: usize,
    pub(crate) reserved_blocks: usize,
    pub(crate) began: Instant,
    pub(crate) first_token_at: Option<Instant>,
    pub(crate) finished: Option<FinishReason>,
    sampler: Sampler,
    constraint: Option<Constraint>,
    broken: Option<Broken>,
    detokenizer: Detokenizer,
    stops: StopWatch,
    text: String,
    sent: usize,
    generated: Vec<u32>,
    logprobs: Vec<TokenLogprob>,
    /// Tokens of the prompt whose log-probabilities are still to come.
    unscored: usize,
}

impl Sequence {
    pub(crate) fn new(mut admitted: Admitted, cache: SequenceCache) -> Self {
        let request = &admitted.request;
        let scored = request.prompt_logprobs.map_or(0, |_| request.prompt.len().saturating_sub(1));
        Self {
            unscored: scored,
            cached_tokens: cache.length(),
            cache,
            reserved_blocks: admitted.blocks(),
            began: Instant::now(),
            first_token_at: None,
            finished: None,
            sampler: Sampler::new(request.sampling.clone(), &request.prompt),
            constraint: admitted.request.constraint.take(),
            broken: None,
            detokenizer: Detokenizer::default(),
            stops: StopWatch::new(std::mem::take(&mut admitted.request.stop)),
            text: String::new(),
            sent: 0,
            generated: Vec::new(),
            logprobs: Vec::new(),
            admitted,
        }
    }

    /// Number of tokens whose keys and values are not computed yet.
    pub(crate) fn uncomputed(&self) -> usize {
        self.admitted.request.prompt.len() + self.generated.len() - self.cache.length()
    }

    /// The next `count` uncomputed tokens, for the forward pass.
    pub(crate) fn part(&mut self, count: usize) -> Part<'_> {
        let prompt = &self.admitted.request.prompt;
        let done = self.cache.length();
        let last = done + count == prompt.len() + self.generated.len();
        let logits = if self.unscored > 0 { count } else { usize::from(last) };
        let tokens = match prompt.get(done..done + count) {
            Some(tokens) => tokens,
            None => &self.generated[done - prompt.len()..][..count],
        };
        Part {
            tokens,
            cache: &mut self.cache,
            adapter: self.admitted.adapter.as_ref().map(|adapter| &adapter.weights),
            logits,
        }
    }

    /// Whether the prompt is still being computed.
    pub(crate) fn in_prompt(&self) -> bool {
        self.cache.length() < self.admitted.request.prompt.len()
    }

    /// Whether the caller went away.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.admitted.events.is_closed()
    }

    /// Tokens generated so far.
    pub(crate) fn generated(&self) -> usize {
        self.generated.len()
    }

    /// Takes the logits after a token: of the prompt, to score the next one; else to choose it.
    pub(crate) fn take(&mut self, logits: &mut [f32], codec: &TextCodec) {
        let request = &self.admitted.request;
        if self.unscored > 0
            && let Some(top) = request.prompt_logprobs
        {
            let token = request.prompt[request.prompt.len() - self.unscored];
            self.logprobs.push(logprob_of(logits, token, top));
            self.unscored -= 1;
            if self.unscored == 0 {
                let scored = std::mem::take(&mut self.logprobs);
                let _ = self.admitted.events.send(Event::Prompt(scored));
            }
        } else if self.admitted.max_tokens == 0 {
            self.finished = Some(FinishReason::Length);
        } else {
            self.step(logits, codec);
        }
    }

    /// Chooses the next token from `logits`, sends text as it comes, and notices the end.
    fn step(&mut self, logits: &mut [f32], codec: &TextCodec) {
        let wanted = self.admitted.request.logprobs;
        let original = wanted.map(|_| logits.to_vec());
        let token = match self.choose(logits) {
            Ok(token) => token,
            Err(broken) => {
                self.broken = Some(broken);
                self.finished = Some(FinishReason::Stop);
                return;
            }
        };
        if let (Some(top), Some(original)) = (wanted, original) {
            self.logprobs.push(logprob_of(&original, token, top));
        }
        self.generated.push(token);
        self.first_token_at.get_or_insert_with(Instant::now);
        let request = &self.admitted.request;
        let ends = !request.ignore_eos && codec.eos().contains(&token)
            || request.stop_token_ids.contains(&token);
        if ends {
            self.finished = Some(FinishReason::Stop);
        }
        if !ends || request.include_stop {
            self.detokenizer.push(codec.token_bytes(), token, &mut self.text);
        }
        if self.finished.is_none() {
            if self.constraint.as_ref().is_some_and(Constraint::is_complete) {
                self.finished = Some(FinishReason::Stop);
            } else if self.generated.len() >= self.admitted.max_tokens {
                self.finished = Some(FinishReason::Length);
            }
        }
        if self.finished.is_some() {
            self.detokenizer.finish(&mut self.text);
        }
        match self.stops.look(&self.text) {
            Watched::StoppedAt(stop) => {
                let at = if self.admitted.request.include_stop { stop.end } else { stop.start };
                self.text.truncate(at);
                self.finished = Some(FinishReason::Stop);
                self.send_up_to(at);
            }
            // At the end nothing can become a stop text any more.
            Watched::SafeUpTo(_) if self.finished.is_some() => self.send_up_to(self.text.len()),
            Watched::SafeUpTo(safe) => self.send_up_to(safe),
        }
    }

    /// The next token, among those that the grammar allows.
    fn choose(&mut self, logits: &mut [f32]) -> Result<u32, Broken> {
        let Some(constraint) = &mut self.constraint else { return Ok(self.sampler.choose(logits)) };
        constraint.mask(logits)?;
        let token = self.sampler.choose(logits);
        constraint.accept(token)?;
        Ok(token)
    }

    /// Tokens so far.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.admitted.request.prompt.len(),
            completion_tokens: self.generated.len(),
            cached_tokens: self.cached_tokens,
        }
    }

    fn send_up_to(&mut self, end: usize) {
        if self.admitted.request.stream && end > self.sent {
            // A closed channel is noticed before the next step.
            let _ = self.admitted.events.send(Event::Text {
                text: self.text[self.sent..end].to_owned(),
                logprobs: std::mem::take(&mut self.logprobs),
            });
        }
        self.sent = self.sent.max(end);
    }

    /// Sends the whole answer.
    pub(crate) fn send_done(&mut self, finish_reason: FinishReason) {
        if let Some(broken) = self.broken.take() {
            let _ = self.admitted.events.send(Event::Broken(broken));
            return;
        }
        let usage = self.usage();
        let _ = self.admitted.events.send(Event::Done(Completion {
            text: std::mem::take(&mut self.text),
            logprobs: std::mem::take(&mut self.logprobs),
            finish_reason,
            usage,
            tokens: std::mem::take(&mut self.generated),
        }));
    }
}
