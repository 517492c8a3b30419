//! The control that has learned nothing but which answer is most frequent.

use crate::target::{Completion, CompletionOptions, Target, TargetError};
use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;

/// Answers everything alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstantAnswer(pub String);

impl ConstantAnswer {
    /// The most frequent of `answers`; of equally frequent ones the first in order. Nothing of none.
    #[must_use]
    pub fn majority<'a>(answers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for answer in answers {
            *counts.entry(answer).or_default() += 1;
        }
        let most = counts.values().copied().max()?;
        let (answer, _) = counts.into_iter().find(|(_, count)| *count == most)?;
        Some(Self(answer.to_owned()))
    }
}

#[async_trait]
impl Target for ConstantAnswer {
    async fn complete(
        &self,
        _messages: &[Value],
        _options: &CompletionOptions,
    ) -> Result<Completion, TargetError> {
        Ok(Completion { text: self.0.clone(), ..Completion::default() })
    }
}
