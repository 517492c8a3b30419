//! A model that makes vectors of texts.

use std::path::Path;

use pelton_model::{Precision, open_model};
use pelton_scheduler::{Decoder, hidden_states};
use pelton_tokens::{EncodedSequence, SequenceTokenizer};

use crate::EncoderError;
use crate::batch::{self, Work};
use crate::config::EncoderConfig;
use crate::encoder::Encoder;
use crate::pooling::{Pipeline, Pooling, normalize};

/// An embedding model.
#[derive(Debug)]
pub struct Embedder {
    body: Body,
    tokenizer: SequenceTokenizer,
    pipeline: Pipeline,
    max_tokens: usize,
}

#[derive(Debug)]
enum Body {
    Encoder(Box<Encoder>),
    /// A decoder whose hidden states are taken, such as Qwen3-Embedding.
    Decoder(Box<Decoder>),
}

impl Embedder {
    /// Loads an encoder's folder.
    pub(crate) fn of_encoder(
        config: EncoderConfig,
        folder: &Path,
        precision: Precision,
    ) -> Result<Self, EncoderError> {
        let encoder = Encoder::load(config, folder, precision)?;
        let most = encoder.config.max_tokens();
        Self::new(Body::Encoder(Box::new(encoder)), most, folder)
    }

    /// Loads a decoder's folder.
    pub(crate) fn of_decoder(folder: &Path, precision: Precision) -> Result<Self, EncoderError> {
        let decoder = Decoder::new(open_model(folder)?.as_ref(), precision)?;
        let most = decoder.context_length();
        Self::new(Body::Decoder(Box::new(decoder)), most, folder)
    }

    fn new(body: Body, most: usize, folder: &Path) -> Result<Self, EncoderError> {
        let tokenizer = SequenceTokenizer::load(folder)?;
        let pipeline = Pipeline::load(folder)?;
        let named = pipeline.max_tokens.or(tokenizer.model_max_length());
        let max_tokens = most.min(named.unwrap_or(most)).max(1);
        let embedder = Self { body, tokenizer, pipeline, max_tokens };
        if embedder.tokenizer.vocab_size() > embedder.vocab_size() {
            return Err(EncoderError::Unsupported {
                path: folder.to_owned(),
                reason: format!(
                    "its tokenizer has {} tokens but the model only {}; they do not belong together",
                    embedder.tokenizer.vocab_size(),
                    embedder.vocab_size()
                ),
            });
        }
        Ok(embedder)
    }

    /// Elements of a vector.
    pub fn dimensions(&self) -> usize {
        match &self.body {
            Body::Encoder(encoder) => encoder.config.hidden_size,
            Body::Decoder(decoder) => decoder.config().hidden_size,
        }
    }

    /// Longest text, in tokens with the special ones.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Ids are below this.
    pub fn vocab_size(&self) -> usize {
        match &self.body {
            Body::Encoder(encoder) => encoder.config.vocab_size,
            Body::Decoder(decoder) => decoder.config().vocab_size,
        }
    }

    /// Encodes a text with its special tokens, cut to `most` tokens where given.
    ///
    /// # Errors
    /// [`EncoderError::Tokens`].
    pub fn encode(&self, text: &str, most: Option<usize>) -> Result<Vec<u32>, EncoderError> {
        Ok(self.tokenizer.encode(text, most)?.tokens)
    }

    /// Vectors of token sequences, [`Self::dimensions`] floats each, scaled to length one where the
    /// model says so; `None` when the work was abandoned.
    ///
    /// # Errors
    /// [`EncoderError::Empty`], [`EncoderError::TooLong`], [`EncoderError::UnknownToken`] for any of
    /// them, before anything is computed.
    pub fn embed(
        &self,
        inputs: Vec<Vec<u32>>,
        work: Work<'_>,
    ) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        let vocab_size = self.vocab_size();
        for tokens in &inputs {
            if tokens.is_empty() {
                return Err(EncoderError::Empty);
            }
            if tokens.len() > self.max_tokens {
                return Err(EncoderError::TooLong { found: tokens.len(), most: self.max_tokens });
            }
            if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocab_size) {
                return Err(EncoderError::UnknownToken { token, vocab_size });
            }
        }
        let lengths: Vec<usize> = inputs.iter().map(Vec::len).collect();
        let inputs: Vec<EncodedSequence> = inputs
            .into_iter()
            .map(|tokens| EncodedSequence { segments: vec![0; tokens.len()], tokens })
            .collect();
        Ok(batch::run(&lengths, work, |range| match &self.body {
            Body::Encoder(encoder) => self.pool_batch(encoder, &inputs[range]),
            Body::Decoder(decoder) => {
                let batch = inputs[range].iter();
                batch.map(|input| self.pool_decoded(decoder, &input.tokens)).collect()
            }
        }))
    }

    fn pool_batch(&self, encoder: &Encoder, inputs: &[EncodedSequence]) -> Vec<Vec<f32>> {
        let width = self.dimensions();
        let batch: Vec<&EncodedSequence> = inputs.iter().collect();
        let states = encoder.hidden_states(&batch);
        let mut rest = states.as_slice();
        let mut vectors = Vec::with_capacity(inputs.len());
        for input in inputs {
            let (own, later) = rest.split_at(input.tokens.len() * width);
            rest = later;
            vectors.push(self.finish(self.pipeline.pooling.pool(own, width)));
        }
        vectors
    }

    fn pool_decoded(&self, decoder: &Decoder, tokens: &[u32]) -> Vec<f32> {
        // A decoder's other states are not computed to the end where only the last is wanted.
        let rows = if self.pipeline.pooling == Pooling::Last { 1 } else { tokens.len() };
        let states = hidden_states(decoder, tokens, rows);
        self.finish(self.pipeline.pooling.pool(&states, self.dimensions()))
    }

    fn finish(&self, mut vector: Vec<f32>) -> Vec<f32> {
        if self.pipeline.normalizes {
            normalize(&mut vector);
        }
        vector
    }

    /// The first `dimensions` elements, scaled to length one: how vectors of Matryoshka models are
    /// shortened (Kusupati et al. 2022).
    pub fn shorten(vector: &mut Vec<f32>, dimensions: usize) {
        vector.truncate(dimensions);
        normalize(vector);
    }
}
