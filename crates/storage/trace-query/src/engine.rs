//! The questions that can be asked.

use crate::aggregate::{self, AggregateRow};
use crate::error::Result;
use crate::feedback_lookup::FeedbackLookup;
use crate::list::{self, Page};
use crate::scan;
use crate::session::LazySession;
use futures_util::Stream;
use pelton_ids::{InferenceId, ProjectId};
use pelton_trace_store::{AggregateQuery, TraceDetail, TraceQuery, TraceStore};
use std::sync::Arc;

/// Answers questions about the traces in a store. Clones share one engine.
#[derive(Clone)]
pub struct TraceEngine(Arc<Inner>);

struct Inner {
    store: Arc<TraceStore>,
    session: LazySession,
}

impl TraceEngine {
    /// An engine over `store`. Costs nothing before the first question.
    #[must_use]
    pub fn new(store: Arc<TraceStore>) -> Self {
        Self(Arc::new(Inner { store, session: LazySession::default() }))
    }

    pub(crate) fn store(&self) -> &TraceStore {
        &self.0.store
    }

    pub(crate) fn session(&self) -> &LazySession {
        &self.0.session
    }

    /// A page of traces.
    ///
    /// # Errors
    /// [`crate::TraceQueryError`] when the query makes no sense or a file cannot be read.
    pub async fn list(&self, query: &TraceQuery) -> Result<Page> {
        query.validate()?;
        let view = self.store().view();
        let feedback = if list::reads_feedback(query) {
            FeedbackLookup::load(&view, query.project, query.since).await?
        } else {
            FeedbackLookup::default()
        };
        let (found, more) = list::list_summaries(self.session(), &view, query, &feedback).await?;
        list::page(&view, query, found, more).await
    }

    /// One inference in full, with its feedback; absent when `project` has none of this id.
    ///
    /// # Errors
    /// [`crate::TraceQueryError`] when a file cannot be read.
    pub async fn get(&self, project: ProjectId, id: InferenceId) -> Result<Option<TraceDetail>> {
        Ok(self.store().find(project, id).await?)
    }

    /// Figures by group, ordered by the keys, absent keys last.
    ///
    /// # Errors
    /// [`crate::TraceQueryError`] when the query makes no sense or a file cannot be read.
    pub async fn aggregate(&self, query: &AggregateQuery) -> Result<Vec<AggregateRow>> {
        query.validate()?;
        let view = self.store().view();
        let feedback = if aggregate::reads_feedback(query) {
            FeedbackLookup::load(&view, query.project, query.since).await?
        } else {
            FeedbackLookup::default()
        };
        aggregate::aggregate(self.session().get()?, &view, query, &feedback).await
    }

    /// Every matching trace in full, up to `query.limit`, which has no bound here. Each comes
    /// once, even when it is sealed meanwhile.
    pub fn scan(
        &self,
        query: TraceQuery,
    ) -> impl Stream<Item = Result<TraceDetail>> + Send + use<> {
        scan::scan(self.clone(), query)
    }
}
