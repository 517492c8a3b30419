//! Takes reasoning and calls of tools out of an answer's text, whole or as it comes.

use pelton_tokens::TextCodec;

use crate::split_reasoning::{Part, ReasoningSplitter, THINK};
use crate::split_tool_calls::{Piece, ToolSplitter};
use crate::tool_format::ToolFormat;

/// What may be in the answers to a request beside text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerParts {
    /// Whether there may be reasoning, and whether the prompt ends within it.
    reasoning: Option<bool>,
    tools: Option<ToolFormat>,
}

impl AnswerParts {
    /// Models reason whose templates know about it, unless a grammar says what they write from the first
    /// token on.
    pub(crate) fn of(
        codec: &TextCodec,
        prompt: &[u32],
        constrained: bool,
        tools: Option<ToolFormat>,
    ) -> Self {
        // The mark is a token or a few, and a line break may follow it.
        let last = &prompt[prompt.len().saturating_sub(8)..];
        let begun = || codec.decode(last).trim_end().ends_with(THINK.0);
        let reasons = !constrained && codec.template_mentions(THINK.1);
        Self { reasoning: reasons.then(begun), tools }
    }

    /// For one answer; none where its text stays whole.
    pub(crate) fn splitter(self) -> Option<AnswerSplitter> {
        if self.reasoning.is_none() && self.tools.is_none() {
            return None;
        }
        Some(AnswerSplitter {
            reasoning: self.reasoning.map(ReasoningSplitter::new),
            tools: self.tools.map(ToolSplitter::new),
        })
    }
}

/// Splits one answer.
#[derive(Debug)]
pub(crate) struct AnswerSplitter {
    reasoning: Option<ReasoningSplitter>,
    tools: Option<ToolSplitter>,
}

impl AnswerSplitter {
    /// More text, and what is clear with it.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Piece> {
        let parts = match &mut self.reasoning {
            Some(reasoning) => reasoning.push(text),
            None => vec![Part::Answer(text.to_owned())],
        };
        parts.into_iter().flat_map(|part| self.pieces(part)).collect()
    }

    /// What is left at the end.
    pub(crate) fn finish(&mut self) -> Vec<Piece> {
        let last = self.reasoning.as_mut().and_then(ReasoningSplitter::finish);
        let mut pieces = last.map_or_else(Vec::new, |part| self.pieces(part));
        pieces.extend(self.tools.as_mut().map_or_else(Vec::new, ToolSplitter::finish));
        pieces
    }

    /// Whether tools were called.
    pub(crate) fn has_calls(&self) -> bool {
        self.tools.as_ref().is_some_and(|tools| tools.calls() > 0)
    }

    fn pieces(&mut self, part: Part) -> Vec<Piece> {
        match (part, &mut self.tools) {
            (Part::Reasoning(text), _) => vec![Piece::Reasoning(text)],
            (Part::Answer(text), Some(tools)) => tools.push(&text),
            (Part::Answer(text), None) => vec![Piece::Text(text)],
        }
    }
}
