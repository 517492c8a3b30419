//! A cross-encoder: a query and a document are read together, and one number comes out.

use std::path::Path;

use pelton_model::Precision;
use pelton_tokens::{EncodedSequence, SequenceTokenizer};
use serde_json::Value;

use crate::EncoderError;
use crate::batch::{self, Work};
use crate::config::EncoderConfig;
use crate::encoder::Encoder;
use crate::weights::{Linear, Tensors};

/// A reranking model.
#[derive(Debug)]
pub struct Reranker {
    encoder: Encoder,
    /// Between the first token's state and the classifier, with a tanh behind it.
    pooler: Linear,
    classifier: Linear,
    activation: Activation,
    tokenizer: SequenceTokenizer,
    max_tokens: usize,
}

/// What makes a score of the classifier's number, as sentence-transformers' configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Sigmoid,
    Identity,
}

impl Reranker {
    /// Loads a `ForSequenceClassification` folder with one label.
    pub(crate) fn load(
        config: EncoderConfig,
        folder: &Path,
        precision: Precision,
    ) -> Result<Self, EncoderError> {
        let unsupported =
            |reason: String| EncoderError::Unsupported { path: folder.to_owned(), reason };
        if config.labels() != 1 {
            return Err(unsupported(format!(
                "its classifier has {} labels; rerankers have one",
                config.labels()
            )));
        }
        let activation = Activation::of(&config).map_err(unsupported)?;
        let hidden = config.hidden_size;
        let tensors = Tensors::open(folder, config.prefix(), Precision::F32)?;
        let (pooler, classifier) = match config.model_type.as_str() {
            "bert" => ("pooler.dense", "classifier"),
            _ => ("classifier.dense", "classifier.out_proj"),
        };
        let pooler = tensors.linear(pooler, hidden, hidden)?;
        let classifier = tensors.linear(classifier, 1, hidden)?;
        let tokenizer = SequenceTokenizer::load(folder)?;
        let most = config.max_tokens();
        let max_tokens = most.min(tokenizer.model_max_length().unwrap_or(most)).max(1);
        let encoder = Encoder::load(config, folder, precision)?;
        Ok(Self { encoder, pooler, classifier, activation, tokenizer, max_tokens })
    }

    /// Longest query with document, in tokens with the special ones.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Encodes a query with a document, cut to `most` tokens where given.
    ///
    /// # Errors
    /// [`EncoderError::Tokens`], [`EncoderError::TooLong`].
    pub fn encode(
        &self,
        query: &str,
        document: &str,
        most: Option<usize>,
    ) -> Result<EncodedSequence, EncoderError> {
        let sequence = self.tokenizer.encode_pair(query, document, most)?;
        let (found, most) = (sequence.tokens.len(), self.max_tokens);
        if found > most {
            return Err(EncoderError::TooLong { found, most });
        }
        self.encoder.check(&sequence)?;
        Ok(sequence)
    }

    /// Scores of pairs from [`Self::encode`], higher for better answers; `None` when the work was
    /// abandoned.
    pub fn score(&self, pairs: &[EncodedSequence], work: Work<'_>) -> Option<Vec<f32>> {
        let lengths: Vec<usize> = pairs.iter().map(|pair| pair.tokens.len()).collect();
        batch::run(&lengths, work, |range| self.score_batch(&pairs[range]))
    }

    fn score_batch(&self, pairs: &[EncodedSequence]) -> Vec<f32> {
        let width = self.encoder.config.hidden_size;
        let batch: Vec<&EncodedSequence> = pairs.iter().collect();
        let states = self.encoder.hidden_states(&batch);
        let mut firsts = Vec::with_capacity(pairs.len() * width);
        let mut start = 0;
        for pair in pairs {
            firsts.extend_from_slice(&states[start..start + width]);
            start += pair.tokens.len() * width;
        }
        let (mut pooled, mut logits) = (Vec::new(), Vec::new());
        self.pooler.run(&firsts, &mut pooled);
        pooled.iter_mut().for_each(|x| *x = x.tanh());
        self.classifier.run(&pooled, &mut logits);
        logits.into_iter().map(|logit| self.activation.of_logit(logit)).collect()
    }
}

impl Activation {
    /// A model of one label has the sigmoid unless its configuration names another function.
    fn of(config: &EncoderConfig) -> Result<Self, String> {
        let own = config.other.get("sentence_transformers");
        let named = own
            .and_then(|own| own.get("activation_fn"))
            .or_else(|| config.other.get("sbert_ce_default_activation_function"))
            .and_then(Value::as_str);
        match named.map(|name| name.rsplit('.').next().unwrap_or_default()) {
            None | Some("Sigmoid") => Ok(Self::Sigmoid),
            Some("Identity") => Ok(Self::Identity),
            Some(other) => {
                Err(format!("its scores go through {other:?}; Sigmoid and Identity are computed"))
            }
        }
    }

    fn of_logit(self, logit: f32) -> f32 {
        match self {
            Self::Sigmoid => 1.0 / (1.0 + (-logit).exp()),
            Self::Identity => logit,
        }
    }
}
