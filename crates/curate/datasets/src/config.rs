//! What a build is asked to do.

use pelton_pii::Kind;
use serde::{Deserialize, Serialize};

/// How to build a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildConfig {
    /// Take a correction, where there is one, over the answer that was given.
    pub use_corrections: bool,
    /// Keep only rows with a correction or a score above one half.
    pub only_judged: bool,
    /// Kinds of personal data to mask.
    pub scrub: Vec<Kind>,
    /// Drop rows with the same input.
    pub exact_dedup: bool,
    /// Drop rows whose input and answer are at least this similar (Jaccard over word shingles).
    pub near_dedup: Option<f64>,
    /// How to split; nothing keeps the splits that the source gives.
    pub split: Option<SplitConfig>,
}

impl Default for BuildConfig {
    fn default() -> Self {
        Self {
            use_corrections: true,
            only_judged: false,
            scrub: Kind::ALL.to_vec(),
            exact_dedup: true,
            near_dedup: None,
            split: Some(SplitConfig::default()),
        }
    }
}

/// Shares of the splits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SplitConfig {
    /// Share learned from.
    pub train: f64,
    /// Share looked at while training.
    pub validation: f64,
    /// Share reported on.
    pub test: f64,
    /// Another seed gives another split.
    pub seed: u64,
    /// See that every label with enough rows occurs in every split.
    pub stratify: bool,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { train: 0.8, validation: 0.1, test: 0.1, seed: 7, stratify: true }
    }
}

impl BuildConfig {
    /// Says what is wrong with the settings.
    ///
    /// # Errors
    /// The field and what it should be.
    pub fn check(&self) -> Result<(), String> {
        if let Some(threshold) = self.near_dedup
            && !(threshold > 0.0 && threshold <= 1.0)
        {
            return Err(format!("near_dedup is {threshold}: it should lie above 0 and up to 1"));
        }
        let Some(split) = &self.split else { return Ok(()) };
        let shares = [split.train, split.validation, split.test];
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
            return Err("every share of split should lie within 0 and 1".into());
        }
        let sum: f64 = shares.iter().sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(format!("the shares of split add up to {sum}: they should add up to 1"));
        }
        Ok(())
    }
}
