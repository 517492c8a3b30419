//! The catalog of sealed trace parts, kept in the metadata store.

use pelton_context::OpContext;
use pelton_ids::ProjectId;
use pelton_metadata::{NewTracePart, Store, StoreError, TracePart};
use pelton_trace_store::{CatalogError, Part, PartCatalog};

/// Commits sealed parts to the metadata store.
pub struct MetadataCatalog {
    store: Store,
    context: OpContext,
}

impl MetadataCatalog {
    /// A catalog in `store`. Parts belong to no one project.
    pub fn new(store: Store) -> Self {
        Self { store, context: OpContext::system(ProjectId::from_u128(0)) }
    }
}

fn failed(error: StoreError) -> CatalogError {
    CatalogError(error.to_string())
}

#[async_trait::async_trait]
impl PartCatalog for MetadataCatalog {
    async fn commit(&self, part: &Part) -> Result<(), CatalogError> {
        let new = NewTracePart {
            part_id: part.part_id.clone(),
            project: None,
            path_narrow: part.path_narrow.clone(),
            path_payload: part.path_payload.clone(),
            rows: part.rows,
            bytes: part.bytes,
            min_at: part.min_at,
            max_at: part.max_at,
            detail: part.detail.clone(),
        };
        self.store
            .trace_parts_commit(&self.context, &part.segment, &[new])
            .await
            .map(drop)
            .map_err(failed)
    }

    async fn list(&self) -> Result<Vec<Part>, CatalogError> {
        let parts = self.store.trace_parts_list(&self.context).await.map_err(failed)?;
        Ok(parts.into_iter().map(part).collect())
    }

    async fn sealed_segments(&self) -> Result<Vec<String>, CatalogError> {
        self.store.trace_segments_sealed(&self.context).await.map_err(failed)
    }

    async fn remove(&self, part_ids: &[String]) -> Result<(), CatalogError> {
        self.store.trace_parts_remove(&self.context, part_ids).await.map(drop).map_err(failed)
    }
}

fn part(stored: TracePart) -> Part {
    let TracePart {
        part_id,
        segment,
        project: _,
        path_narrow,
        path_payload,
        rows,
        bytes,
        min_at,
        max_at,
        detail,
        sealed_at,
    } = stored;
    Part {
        part_id,
        segment,
        path_narrow,
        path_payload,
        rows,
        bytes,
        min_at,
        max_at,
        detail,
        sealed_at,
    }
}
