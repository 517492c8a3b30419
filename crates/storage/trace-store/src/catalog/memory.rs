//! A catalog that is forgotten with the process, for tests.

use super::{CatalogError, Part, PartCatalog};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts in memory. It outlives the store that uses it, so that a test can reopen one.
#[derive(Debug, Default)]
pub struct MemoryCatalog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    parts: Vec<Part>,
    sealed: BTreeSet<String>,
}

impl MemoryCatalog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PartCatalog for MemoryCatalog {
    async fn commit(&self, part: &Part) -> Result<(), CatalogError> {
        let mut state = self.state();
        if state.sealed.insert(part.segment.clone()) {
            state.parts.push(part.clone());
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Part>, CatalogError> {
        Ok(self.state().parts.clone())
    }

    async fn sealed_segments(&self) -> Result<Vec<String>, CatalogError> {
        Ok(self.state().sealed.iter().cloned().collect())
    }

    async fn remove(&self, part_ids: &[String]) -> Result<(), CatalogError> {
        self.state().parts.retain(|part| !part_ids.contains(&part.part_id));
        Ok(())
    }
}
