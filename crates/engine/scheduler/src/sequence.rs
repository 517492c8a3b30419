//! A running generation: from chosen tokens to text and events.

use std::sync::Arc;
use std::time::Instant;

use pelton_constrain::{Broken, Constraint};
use pelton_tokens::{Detokenizer, TextCodec};
use tokio::sync::mpsc::UnboundedSender;

use crate::adapter_registry::LoadedAdapter;
use crate::forward::Part;
use crate::paged_kv::{SequenceCache, blocks_for};
use crate::plan_step::Want;
use crate::prompt_lookup::PromptLookup;
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

/// One sequence, in the batch or waiting for its place there.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) admitted: Admitted,
    pub(crate) cache: SequenceCache,
    /// When it first ran.
    pub(crate) began: Option<Instant>,
    pub(crate) first_token_at: Option<Instant>,
    pub(crate) finished: Option<FinishReason>,
    sampler: Sampler,
    constraint: Option<Constraint>,
    broken: Option<Broken>,
    detokenizer: Detokenizer,
    stops: StopWatch,
    text: String,
    sent: usize,
    /// The prompt, what was generated, and during a step what is guessed to come next.
    tokens: Vec<u32>,
    /// Tokens that are no guess.
    known: usize,
    prompt_tokens: usize,
    cached_tokens: usize,
    lookup: PromptLookup,
    /// Tokens known when the step began, and tokens guessed then.
    before: usize,
    guessed: usize,
    /// Whether a guess of this step was wrong.
    strayed: bool,
    logprobs: Vec<TokenLogprob>,
    /// Tokens of the prompt whose log-probabilities are still to come.
    unscored: usize,
}

impl Sequence {
    pub(crate) fn new(mut admitted: Admitted) -> Self {
        let tokens = std::mem::take(&mut admitted.request.prompt);
        let request = &admitted.request;
        let scored = request.prompt_logprobs.map_or(0, |_| tokens.len().saturating_sub(1));
        let known = tokens.len();
        Self {
            unscored: scored,
            cache: SequenceCache::default(),
            began: None,
            first_token_at: None,
            finished: None,
            sampler: Sampler::new(request.sampling.clone(), &tokens),
            constraint: admitted.request.constraint.take(),
            broken: None,
            detokenizer: Detokenizer::default(),
            stops: StopWatch::new(std::mem::take(&mut admitted.request.stop)),
            text: String::new(),
            sent: 0,
            known,
            prompt_tokens: known,
            tokens,
            cached_tokens: 0,
            lookup: PromptLookup::default(),
            before: known,
            guessed: 0,
            strayed: false,
            logprobs: Vec::new(),
            admitted,
        }
    }

    /// Priority (lower is served first) and order of arrival.
    pub(crate) fn rank(&self) -> (i32, u64) {
        (self.admitted.request.priority, self.admitted.ticket)
    }

    /// The root of its tokens in the prefix cache.
    pub(crate) fn prefix_root(&self) -> u64 {
        self.admitted.adapter.as_ref().map_or(0, |adapter| adapter.generation)
    }

    /// Tokens that the prefix cache may hold. None while the prompt has to be scored: the cache has
    /// keys and values, not probabilities.
    pub(crate) fn cacheable(&self) -> &[u32] {
        if self.unscored > 0 { &[] } else { &self.tokens }
    }

    /// Tokens whose keys and values are there, and these.
    pub(crate) fn computed(&mut self) -> (&[u32], &mut SequenceCache) {
        (&self.tokens[..self.cache.length()], &mut self.cache)
    }

    /// Blocks that it still needs for its next token.
    pub(crate) fn lacking_blocks(&self) -> usize {
        blocks_for(self.known + 1).saturating_sub(self.cache.held())
    }

    /// Takes its place in the batch with what the prefix cache has of it.
    pub(crate) fn begin(&mut self, cache: SequenceCache) {
        if self.began.is_none() {
            self.began = Some(Instant::now());
            self.cached_tokens = cache.length();
        }
        self.cache = cache;
    }

    /// Number of tokens whose keys and values are not computed yet.
    pub(crate) fn uncomputed(&self) -> usize {
        self.known - self.cache.length()
    }

    /// What it could do in the next step: all that is not computed yet, and when it generates up to
    /// `guesses` tokens more that may follow.
    pub(crate) fn want(&mut self, guesses: usize) -> Want {
        self.before = self.known;
        let in_prompt = self.in_prompt();
        if !in_prompt {
            let left = self.admitted.max_tokens.saturating_sub(self.generated() + 1);
            let guessed = self.lookup.guess(&self.tokens, guesses.min(left));
            self.guessed = guessed.len();
            self.tokens.extend_from_within(guessed);
        }
        Want { tokens: self.tokens.len() - self.cache.length(), in_prompt }
    }

    /// The next `count` uncomputed tokens, for the forward pass.
    pub(crate) fn part(&mut self, count: usize) -> Part<'_> {
        let done = self.cache.length();
        let end = done + count;
        // The logits after a token score the next one of the prompt, or choose it.
        let first = if self.unscored > 0 { self.prompt_tokens - self.unscored } else { self.known };
        let logits = end.saturating_sub(done.max(first - 1));
        Part {
            tokens: &self.tokens[done..end],
            cache: &mut self.cache,
            adapter: self.admitted.adapter.as_ref().map(|adapter| &adapter.weights),
            logits,
        }
    }

    /// Whether there is more to compute than the token that was generated last: the prompt, or all
    /// again.
    fn in_prompt(&self) -> bool {
        self.generated() == 0 || self.uncomputed() > 1
    }

    /// Whether the caller went away.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.admitted.events.is_closed()
    }

    /// Tokens generated so far.
    pub(crate) fn generated(&self) -> usize {
        self.known - self.prompt_tokens
    }

    /// Takes the logits after a token: of the prompt, to score the next one; else to choose it.
    pub(crate) fn take(&mut self, logits: &mut [f32], codec: &TextCodec) {
        let request = &self.admitted.request;
        if self.unscored > 0
            && let Some(top) = request.prompt_logprobs
        {
            let token = self.tokens[self.prompt_tokens - self.unscored];
            self.logprobs.push(logprob_of(logits, token, top));
            self.unscored -= 1;
            if self.unscored == 0 {
                let scored = std::mem::take(&mut self.logprobs);
                let _ = self.admitted.events.send(Event::Prompt(scored));
            }
        } else if self.finished.is_some() || self.strayed {
            // What follows the end, or a wrong guess, says nothing.
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
        self.append(token);
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
            } else if self.generated() >= self.admitted.max_tokens {
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

    /// Appends a chosen token; if it is not the one that was guessed, the guesses after it are void.
    fn append(&mut self, token: u32) {
        if self.tokens.get(self.known) != Some(&token) {
            self.strayed = self.known < self.tokens.len();
            self.tokens.truncate(self.known);
            self.tokens.push(token);
        }
        self.known += 1;
    }

    /// Tokens guessed for this step.
    pub(crate) fn guessed(&self) -> usize {
        self.guessed
    }

    /// After a step, or in place of one: forgets what was guessed wrong and what was computed of it.
    /// Returns the number of tokens that the step chose.
    pub(crate) fn drop_guesses(&mut self) -> usize {
        let chosen = self.known - self.before;
        if chosen > 0 {
            // Without guesses a step chooses one token.
            self.lookup.learn(self.guessed, chosen - 1);
        }
        self.before = self.known;
        self.guessed = 0;
        self.strayed = false;
        self.tokens.truncate(self.known);
        if self.generated() > 0 {
            self.cache.truncate(self.known - 1);
        }
        chosen
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
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.generated(),
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
            tokens: self.tokens[self.prompt_tokens..].to_vec(),
        }));
    }
}
