//! What a request asks of a model.

/// The kinds of requests of OpenAI's dialect, and reranking as Cohere, Jina and vLLM have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// The next message of a conversation.
    Chat,
    /// What follows a plain prompt.
    Completion,
    /// Vectors of texts.
    Embedding,
    /// Documents in the order in which they answer a query.
    Rerank,
}

impl RequestKind {
    /// The route below a provider's base URL.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "chat/completions",
            Self::Completion => "completions",
            Self::Embedding => "embeddings",
            Self::Rerank => "rerank",
        }
    }

    /// The member that holds what the model reads, and in words what it must be.
    #[must_use]
    pub const fn input(self) -> (&'static str, &'static str) {
        match self {
            Self::Chat => ("messages", "a list of at least one message"),
            Self::Completion => ("prompt", "a text, tokens, or a list of either"),
            Self::Embedding => ("input", "a text, tokens, or a list of either"),
            Self::Rerank => ("query", "a text, beside a list of `documents`"),
        }
    }

    /// The list that makes an answer one of this kind.
    #[must_use]
    pub const fn answer_list(self) -> &'static str {
        match self {
            Self::Chat | Self::Completion => "choices",
            Self::Embedding => "data",
            Self::Rerank => "results",
        }
    }

    /// What an answer of this kind is called.
    #[must_use]
    pub const fn answer_name(self) -> &'static str {
        match self {
            Self::Chat => "chat completion",
            Self::Completion => "completion",
            Self::Embedding => "list of embeddings",
            Self::Rerank => "ranking",
        }
    }

    /// Whether the model writes text: it can be sampled and streamed then.
    #[must_use]
    pub const fn generates(self) -> bool {
        matches!(self, Self::Chat | Self::Completion)
    }
}
