//! The tokenizer of pelton-tiny: byte-level BPE trained on the corpus itself.
//!
//! A word is the same tokens wherever it stands, since the space before it is a token of its own, and numbers
//! are tokens of two digits. So what is copied or compared is single tokens, which a small model learns
//! many times faster than spelling.

use std::collections::HashSet;
use std::path::Path;

use pelton_trainer::Example;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split as SplitAt, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, Tokenizer};

use crate::conversation::Conversation;
use crate::corpus::{Corpus, TOKENIZER_STAGES};
use crate::draw::Draw;
use crate::error::TinyError;
use crate::tasks::intent::any_sentence;
use crate::words::{MONTHS, word_list};

/// The special tokens; a token's id is its place here.
pub const SPECIAL: [&str; 7] =
    ["<pad>", "<bos>", "<eos>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"];
/// Starts every text.
pub const BOS: u32 = 1;
/// Ends every answer.
pub const EOS: u32 = 2;
/// Starts a question.
pub const USER: u32 = 4;
/// Starts an answer.
pub const ASSISTANT: u32 = 5;
/// Starts the instruction.
pub const SYSTEM: u32 = 3;

/// The chat template, as `tokenizer_config.json` holds it.
pub const CHAT_TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/// A tokenizer that knows the template's tokens.
#[derive(Debug, Clone)]
pub struct TinyTokenizer {
    inner: Tokenizer,
    values: Vec<u32>,
    words: Vec<u32>,
    letters: Vec<u32>,
}

impl TinyTokenizer {
    /// Trains a tokenizer with `vocab` tokens on `items` items of every corpus stage and sentences beside.
    ///
    /// # Errors
    /// The tokenizer library's own.
    pub fn train(corpus: &Corpus, items: u64, vocab: usize) -> Result<Self, TinyError> {
        let mut inner = Tokenizer::new(BPE::default());
        let groups = SplitAt::new(
            SplitPattern::Regex(r"\d{1,2}|\p{L}+".into()),
            SplitDelimiterBehavior::Isolated,
            false,
        )?;
        let split: Vec<PreTokenizerWrapper> =
            vec![groups.into(), ByteLevel::new(false, true, false).into()];
        inner.with_pre_tokenizer(Some(Sequence::new(split)));
        inner.with_decoder(Some(ByteLevel::new(false, true, true)));
        let alphabet: HashSet<char> = ByteLevel::alphabet().into_iter().collect();
        let special: Vec<AddedToken> =
            SPECIAL.iter().map(|token| AddedToken::from(*token, true)).collect();
        let trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocab)
            .min_frequency(2)
            .special_tokens(special)
            .initial_alphabet(alphabet)
            .build();
        let mut texts = Vec::new();
        for stage in TOKENIZER_STAGES {
            for index in 0..items {
                let item = corpus.conversation(stage, ((stage as u64) << 32) | index);
                texts.extend([item.system, item.user, item.answer]);
                texts.extend(item.shots.into_iter().flat_map(|(user, answer)| [user, answer]));
            }
        }
        // Made-up words outnumber English ones in records; sentences bring the words of requests back.
        texts.extend((0..items * 8).map(|index| any_sentence(&mut Draw::at(0, 0, index))));
        // Every word of the lists and every number of up to two digits, often enough that each becomes one token.
        let words = word_list().map(str::to_owned);
        let numbers = (0..100).flat_map(|number| [format!("{number:02}"), number.to_string()]);
        texts.extend(words.chain(numbers).flat_map(|text| std::iter::repeat_n(text, 400)));
        inner.train(&mut TrainerWrapper::BpeTrainer(trainer), texts.into_iter())?;
        Ok(Self::of(inner))
    }

    fn of(inner: Tokenizer) -> Self {
        let id = |text: String| inner.token_to_id(&text);
        let numbers = (0..100).map(|number| format!("{number:02}"));
        let values = numbers.chain(MONTHS.iter().map(|month| (*month).to_owned())).filter_map(id);
        let values = values.collect();
        let words = word_list().filter_map(|word| inner.token_to_id(word)).collect();
        let letters =
            ('A'..='Z').filter_map(|letter| inner.token_to_id(&letter.to_string())).collect();
        Self { inner, values, words, letters }
    }

    /// The tokens that values are made of: numbers and months.
    #[must_use]
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// The tokens that are capital letters.
    #[must_use]
    pub fn letters(&self) -> &[u32] {
        &self.letters
    }

    /// The tokens that are whole words.
    #[must_use]
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// Where the file cannot be read or parsed.
    pub fn load(path: &Path) -> Result<Self, TinyError> {
        Ok(Self::of(Tokenizer::from_file(path)?))
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into `folder`.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), TinyError> {
        self.inner.save(folder.join("tokenizer.json"), true)?;
        let config = serde_json::json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<bos>",
            "eos_token": "<eos>",
            "pad_token": "<pad>",
            "additional_special_tokens": ["<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"],
            "add_bos_token": false,
            "clean_up_tokenization_spaces": false,
            "model_max_length": 1024,
            "chat_template": CHAT_TEMPLATE,
        });
        std::fs::write(folder.join("tokenizer_config.json"), serde_json::to_vec_pretty(&config)?)?;
        Ok(())
    }

    /// How many tokens there are.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The ids of plain text.
    ///
    /// # Errors
    /// The tokenizer library's own.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, TinyError> {
        Ok(self.inner.encode_fast(text, false)?.get_ids().to_vec())
    }

    /// The text of ids, without special tokens.
    ///
    /// # Errors
    /// The tokenizer library's own.
    pub fn text(&self, ids: &[u32]) -> Result<String, TinyError> {
        Ok(self.inner.decode(ids, true)?)
    }

    /// The ids of a conversation's prompt, up to where the answer starts.
    ///
    /// # Errors
    /// The tokenizer library's own.
    pub fn prompt(&self, item: &Conversation) -> Result<Vec<u32>, TinyError> {
        let mut encoded = self.encode(item)?;
        let answer = self.ids(&item.answer)?.len() + 1;
        encoded.tokens.truncate(encoded.tokens.len() - answer);
        Ok(encoded.tokens)
    }

    /// The whole conversation with weight 1 on answers and their end, 0 on the rest: most of it is random values,
    /// which nothing can predict.
    ///
    /// # Errors
    /// The tokenizer library's own.
    pub fn encode(&self, item: &Conversation) -> Result<Example, TinyError> {
        let mut example = Example { tokens: vec![BOS], loss_weights: vec![0.0] };
        if !item.system.is_empty() {
            push(&mut example, SYSTEM, 0.0);
            extend(&mut example, self.ids(&item.system)?, 0.0);
        }
        for (user, answer) in item
            .shots
            .iter()
            .map(|(user, answer)| (user, answer))
            .chain([(&item.user, &item.answer)])
        {
            push(&mut example, USER, 0.0);
            extend(&mut example, self.ids(user)?, 0.0);
            push(&mut example, ASSISTANT, 0.0);
            extend(&mut example, self.ids(answer)?, 1.0);
            push(&mut example, EOS, 1.0);
        }
        Ok(example)
    }
}

pub(crate) fn push(example: &mut Example, token: u32, weight: f32) {
    example.tokens.push(token);
    example.loss_weights.push(weight);
}

pub(crate) fn extend(example: &mut Example, tokens: Vec<u32>, weight: f32) {
    example.loss_weights.extend(std::iter::repeat_n(weight, tokens.len()));
    example.tokens.extend(tokens);
}
