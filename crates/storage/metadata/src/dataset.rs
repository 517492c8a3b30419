//! Datasets and their immutable versions.

use crate::error::{Result, StoreError};
use crate::page::{After, Listing, Page};
use crate::row::{Row, json, values};
use crate::store::{Audit, Mutation, Store};
use pelton_context::{OpContext, Scope};
use pelton_ids::{DatasetId, DatasetVersionId, Digest, JobId, Micros};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// A name under which versions are made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dataset {
    /// Names it for good.
    pub id: DatasetId,
    /// Names it for people.
    pub name: String,
    /// When it was made.
    pub created_at: Micros,
    /// How many versions there are.
    pub versions: i64,
    /// The newest version.
    pub latest: Option<DatasetVersion>,
}

/// Rows per split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows to learn from.
    pub train: u64,
    /// Rows to stop early by.
    pub validation: u64,
    /// Rows to judge by.
    pub test: u64,
}

/// One immutable version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetVersion {
    /// Names the version.
    pub id: DatasetVersionId,
    /// The dataset's name.
    pub dataset: String,
    /// From 1.
    pub version: i64,
    /// `dataset@version`.
    pub name: String,
    /// Rows per split.
    pub rows: RowCounts,
    /// Rows left out, by reason.
    pub dropped: Json,
    /// What was masked, by kind.
    pub scrubbed: Json,
    /// Lengths and labels.
    pub statistics: Json,
    /// What it was made from.
    pub source: Json,
    /// The stored manifest.
    pub digest: Digest,
    /// Markdown for people.
    pub card: String,
    /// The job that made it.
    pub job_id: Option<JobId>,
    /// When it was made.
    pub created_at: Micros,
}

/// A version to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDatasetVersion {
    /// Rows per split.
    pub rows: RowCounts,
    /// Rows left out, by reason.
    pub dropped: Json,
    /// What was masked, by kind.
    pub scrubbed: Json,
    /// Lengths and labels.
    pub statistics: Json,
    /// What it was made from.
    pub source: Json,
    /// The stored manifest.
    pub digest: Digest,
    /// Every stored blob that the version needs, the manifest's own among them or not.
    pub blobs: Vec<Digest>,
    /// Markdown for people.
    pub card: String,
    /// The job that made it. A job makes one version, however often it is tried.
    pub job_id: Option<JobId>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT v.*, d.name AS dataset_name
             FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id ",
            $rest
        )
    };
}

fn version(row: &Row) -> Result<DatasetVersion> {
    let (dataset, number) = (row.text("dataset_name")?, row.int("version")?);
    Ok(DatasetVersion {
        id: row.parse("id")?,
        name: format!("{dataset}@{number}"),
        dataset,
        version: number,
        rows: row.json("row_counts")?,
        dropped: row.json("dropped")?,
        scrubbed: row.json("scrubbed")?,
        statistics: row.json("statistics")?,
        source: row.json("source")?,
        digest: row.parse("digest")?,
        card: row.text("card")?,
        job_id: row.parse_or_null("job_id")?,
        created_at: row.at("created_at")?,
    })
}

/// The dataset's id, made when absent.
async fn ensure(change: &mut Mutation, name: &str) -> Result<DatasetId> {
    let (project, now) = (change.project, change.now);
    change
        .tx
        .execute(
            "INSERT INTO datasets (id, project_id, name, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (project_id, name) DO NOTHING",
            values![DatasetId::generate(), project, name, now],
        )
        .await?;
    let sql = "SELECT id FROM datasets WHERE project_id = $1 AND name = $2";
    let row = change.tx.row(sql, values![project, name]).await?;
    row.ok_or_else(|| StoreError::not_found("dataset", name))?.parse("id")
}

impl Store {
    /// Makes the next version of the dataset called `name`, and the dataset when absent.
    ///
    /// A version already made by the same job is answered again instead of doubled.
    ///
    /// # Errors
    /// Without the `write` scope, or when the name does not fit.
    pub async fn dataset_version_create(
        &self,
        ctx: &OpContext,
        name: &str,
        new: NewDatasetVersion,
    ) -> Result<DatasetVersion> {
        crate::name::check("dataset", name)?;
        let mut change = self.mutate(ctx, Scope::Write).await?;
        if let Some(job) = new.job_id {
            let sql = select!("WHERE v.project_id = $1 AND v.job_id = $2");
            if let Some(row) = change.tx.row(sql, values![ctx.project, job]).await? {
                return version(&row);
            }
        }
        let dataset = ensure(&mut change, name).await?;
        let NewDatasetVersion {
            rows,
            dropped,
            scrubbed,
            statistics,
            source,
            digest,
            blobs,
            card,
            job_id,
        } = new;
        let id = DatasetVersionId::generate();
        let now = change.now;
        change
            .tx
            .execute(
                "INSERT INTO dataset_versions (id, project_id, dataset_id, version, row_counts,
                   dropped, scrubbed, statistics, source, digest, card, job_id, created_at)
                 SELECT $1, $2, $3, COALESCE(MAX(version), 0) + 1, $4, $5, $6, $7, $8, $9, $10,
                   $11, $12
                 FROM dataset_versions WHERE dataset_id = $3",
                values![
                    id,
                    ctx.project,
                    dataset,
                    json(&rows)?,
                    json(&dropped)?,
                    json(&scrubbed)?,
                    json(&statistics)?,
                    json(&source)?,
                    digest,
                    card,
                    job_id,
                    now
                ],
            )
            .await?;
        let blobs = blobs.into_iter().chain([digest]);
        let owner = id.to_string();
        crate::artifact_ref::insert(&mut change.tx, ctx.project, "dataset_version", &owner, blobs)
            .await?;
        let sql = select!("WHERE v.project_id = $1 AND v.id = $2");
        let row = change.tx.row(sql, values![ctx.project, id]).await?;
        let made = version(&row.ok_or_else(|| StoreError::not_found("dataset version", id))?)?;
        let detail = json!({ "name": made.name, "digest": digest, "rows": rows });
        let kind = "dataset_version";
        change.commit(Audit { action: "dataset_version.create", kind, id: &id, detail }).await?;
        Ok(made)
    }

    /// The project's datasets, newest first, each with its newest version.
    ///
    /// # Errors
    /// Without the `read` scope, or with a bad cursor.
    pub async fn dataset_list(&self, ctx: &OpContext, page: &Page) -> Result<Listing<Dataset>> {
        let connections = self.read(ctx, Scope::Read)?;
        let after = After::of(page)?;
        let rows = connections
            .rows(
                "SELECT * FROM datasets WHERE project_id = $1 AND (created_at, id) < ($2, $3)
                 ORDER BY created_at DESC, id DESC LIMIT $4",
                values![ctx.project, after.at, &after.id, after.fetch],
            )
            .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            items.push(self.dataset_with_latest(ctx, row).await?);
        }
        Ok(after.listing(items, |it| (it.created_at, it.id.to_string())))
    }

    /// The dataset called `name`.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn dataset_get(&self, ctx: &OpContext, name: &str) -> Result<Dataset> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM datasets WHERE project_id = $1 AND name = $2";
        let row = connections.row(sql, values![ctx.project, name]).await?;
        let row = row.ok_or_else(|| StoreError::not_found("dataset", name))?;
        self.dataset_with_latest(ctx, &row).await
    }

    /// Every version of a dataset, newest first.
    ///
    /// # Errors
    /// Without the `read` scope.
    pub async fn dataset_version_list(
        &self,
        ctx: &OpContext,
        name: &str,
    ) -> Result<Vec<DatasetVersion>> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = select!("WHERE v.project_id = $1 AND d.name = $2 ORDER BY v.version DESC");
        connections.rows(sql, values![ctx.project, name]).await?.iter().map(version).collect()
    }

    /// One version: `telco@3`, or `telco` for the newest.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn dataset_version_get(
        &self,
        ctx: &OpContext,
        reference: &str,
    ) -> Result<DatasetVersion> {
        let connections = self.read(ctx, Scope::Read)?;
        let (name, number) = crate::model::parse_reference("dataset version", reference)?;
        let rows = connections
            .rows(
                select!(
                    "WHERE v.project_id = $1 AND d.name = $2 AND ($3 IS NULL OR v.version = $3)
                     ORDER BY v.version DESC LIMIT 1"
                ),
                values![ctx.project, name, number],
            )
            .await?;
        version(rows.first().ok_or_else(|| StoreError::not_found("dataset version", reference))?)
    }

    /// One version by its id.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn dataset_version_get_by_id(
        &self,
        ctx: &OpContext,
        id: DatasetVersionId,
    ) -> Result<DatasetVersion> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = select!("WHERE v.project_id = $1 AND v.id = $2");
        let row = connections.row(sql, values![ctx.project, id]).await?;
        version(&row.ok_or_else(|| StoreError::not_found("dataset version", id))?)
    }

    async fn dataset_with_latest(&self, ctx: &OpContext, row: &Row) -> Result<Dataset> {
        let name = row.text("name")?;
        let newest_first = self.dataset_version_list(ctx, &name).await?;
        Ok(Dataset {
            id: row.parse("id")?,
            name,
            created_at: row.at("created_at")?,
            versions: i64::try_from(newest_first.len()).unwrap_or(i64::MAX),
            latest: newest_first.into_iter().next(),
        })
    }
}
