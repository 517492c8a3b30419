//! What a turn is told, and how large it is.

use std::path::PathBuf;

/// What a turn is told.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnOptions {
    /// The server's address.
    pub url: String,
    /// A key, where the server asks for one.
    pub api_key: Option<String>,
    /// Where the report goes.
    pub out: PathBuf,
    /// The folder of the banking77 release; the telco desk without.
    pub data: Option<PathBuf>,
    /// The base model; `pelton/pelton-tiny@1` when not given.
    pub base: Option<String>,
    /// A small turn that shows the way but proves little.
    pub quick: bool,
    /// Seeds of the fine-tunes.
    pub seeds: Option<u64>,
    /// Longest time of one fine-tune, in minutes.
    pub minutes: Option<f64>,
    /// Accuracy of the TF-IDF reference on banking77, computed elsewhere.
    pub tfidf: Option<f64>,
}

impl Default for TurnOptions {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:7077".into(),
            api_key: None,
            out: "turn".into(),
            data: None,
            base: None,
            quick: false,
            seeds: None,
            minutes: None,
            tfidf: None,
        }
    }
}

impl TurnOptions {
    /// The base model.
    #[must_use]
    pub fn base_ref(&self) -> &str {
        self.base.as_deref().unwrap_or("pelton/pelton-tiny@1")
    }
}

/// How large a turn on the telco desk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Questions that customers ask before anything is learned.
    pub(crate) requests: u64,
    /// Of ten answers, how many the application checks against its books.
    pub(crate) checked_of_ten: u64,
    /// Training examples of the two fine-tunes.
    pub(crate) few: u64,
    pub(crate) many: u64,
    /// Seeds of each.
    pub(crate) seeds: u64,
    /// Held-out questions.
    pub(crate) test: u64,
    /// Items of the regression set; nothing for all.
    pub(crate) regression: Option<u64>,
    /// Examples before each question of the few-shot control.
    pub(crate) shots: u64,
    /// Requests of the candidate in each stage of the rollout.
    pub(crate) per_stage: u64,
    /// Scores that the rollout waits for.
    pub(crate) feedback: u64,
}

impl Plan {
    pub(crate) fn of(options: &TurnOptions) -> Self {
        let full = Self {
            requests: 1_200,
            checked_of_ten: 6,
            few: 50,
            many: 500,
            seeds: 5,
            test: 500,
            regression: None,
            shots: 3,
            per_stage: 50,
            feedback: 20,
        };
        let mut plan = if options.quick {
            Self {
                requests: 160,
                few: 20,
                many: 60,
                seeds: 1,
                test: 60,
                regression: Some(60),
                per_stage: 15,
                feedback: 8,
                ..full
            }
        } else {
            full
        };
        if let Some(seeds) = options.seeds {
            plan.seeds = seeds.max(1);
        }
        plan
    }
}
