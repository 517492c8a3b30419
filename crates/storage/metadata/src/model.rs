//! Models: base models and adapters, each version immutable.

use crate::connection::Tx;
use crate::error::{Result, StoreError};
use crate::page::{After, Listing, Page};
use crate::row::{Row, json, json_or_null, values};
use crate::store::{Audit, Store};
use pelton_context::{OpContext, Scope};
use pelton_ids::{Digest, JobId, Micros, ModelId, ProjectId};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::fmt;
use std::str::FromStr;

/// What a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// A whole model.
    Base,
    /// A low-rank change over a base.
    Adapter,
}

impl fmt::Display for ModelKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Base => "base",
            Self::Adapter => "adapter",
        })
    }
}

impl FromStr for ModelKind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "base" => Ok(Self::Base),
            "adapter" => Ok(Self::Adapter),
            _ => Err("not a kind of model"),
        }
    }
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Relative, with `/`.
    pub path: String,
    /// The blob.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Names the version.
    pub id: ModelId,
    /// The model's name.
    pub name: String,
    /// From 1.
    pub version: i64,
    /// `name@version`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// What it is.
    pub kind: ModelKind,
    /// An adapter's base, `name@version`.
    pub base: Option<String>,
    /// The stored manifest.
    pub digest: Digest,
    /// Bytes of all files.
    pub size_bytes: u64,
    /// An SPDX expression, or what the origin says.
    pub license: String,
    /// Markdown for people.
    pub card: String,
    /// What made it: job, dataset, hyperparameters, base.
    pub lineage: Option<Json>,
    /// Its files.
    pub files: Vec<ModelFile>,
    /// The job that made it.
    pub job_id: Option<JobId>,
    /// When it was made.
    pub created_at: Micros,
}

/// A version to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewModel {
    /// The model's name.
    pub name: String,
    /// What it is.
    pub kind: ModelKind,
    /// An adapter's base, `name@version`.
    pub base: Option<String>,
    /// The stored manifest.
    pub digest: Digest,
    /// An SPDX expression, or what the origin says.
    pub license: String,
    /// Markdown for people.
    pub card: String,
    /// What made it.
    pub lineage: Option<Json>,
    /// Its files.
    pub files: Vec<ModelFile>,
    /// The job that made it. A job makes one version, however often it is tried.
    pub job_id: Option<JobId>,
}

fn model(row: &Row) -> Result<Model> {
    let (name, version) = (row.text("name")?, row.int("version")?);
    Ok(Model {
        id: row.parse("id")?,
        reference: format!("{name}@{version}"),
        name,
        version,
        kind: row.parse("kind")?,
        base: row.text_or_null("base")?,
        digest: row.parse("digest")?,
        size_bytes: u64::try_from(row.int("size_bytes")?).unwrap_or(0),
        license: row.text("license")?,
        card: row.text("card")?,
        lineage: row.json_or_null("lineage")?,
        files: row.json("files")?,
        job_id: row.parse_or_null("job_id")?,
        created_at: row.at("created_at")?,
    })
}

/// `name@7` → the name and the version; `name` → the name, for the newest.
pub(crate) fn parse_reference(
    kind: &'static str,
    reference: &str,
) -> Result<(String, Option<i64>)> {
    match reference.rsplit_once('@') {
        None => Ok((reference.to_owned(), None)),
        Some((name, version)) => match version.parse() {
            Ok(version) => Ok((name.to_owned(), Some(version))),
            Err(_) => Err(StoreError::not_found(kind, reference)),
        },
    }
}

const BY_REFERENCE: &str = "SELECT * FROM models
     WHERE project_id = $1 AND name = $2 AND ($3 IS NULL OR version = $3)
     ORDER BY version DESC LIMIT 1";

/// Checks within a change that the project has the model `reference`, version and all.
pub(crate) async fn require(tx: &mut Tx, project: ProjectId, reference: &str) -> Result<()> {
    let (name, version) = parse_reference("model", reference)?;
    if version.is_none() {
        return Err(StoreError::Invalid(format!(
            "`{reference}` names no version: write `{reference}@1`, since what is referred to must not change"
        )));
    }
    let found = tx.row(BY_REFERENCE, values![project, name, version]).await?;
    found.map(drop).ok_or_else(|| StoreError::not_found("model", reference))
}

impl Store {
    /// Makes the next version of the model `new.name`.
    ///
    /// A version already made by the same job is answered again instead of doubled.
    ///
    /// # Errors
    /// Without the `write` scope; when the name does not fit, or an adapter's base is absent.
    pub async fn model_create(&self, ctx: &OpContext, new: NewModel) -> Result<Model> {
        crate::name::check("model", &new.name)?;
        if (new.kind == ModelKind::Adapter) != new.base.is_some() {
            let why = "an adapter names its base, and a base model has none";
            return Err(StoreError::Invalid(why.into()));
        }
        let mut change = self.mutate(ctx, Scope::Write).await?;
        if let Some(job) = new.job_id {
            let sql = "SELECT * FROM models WHERE project_id = $1 AND job_id = $2";
            if let Some(row) = change.tx.row(sql, values![ctx.project, job]).await? {
                return model(&row);
            }
        }
        let NewModel { name, kind, base, digest, license, card, lineage, files, job_id } = new;
        if let Some(base) = &base {
            require(&mut change.tx, ctx.project, base).await?;
        }
        let size = files.iter().map(|file| file.size).sum::<u64>();
        let id = ModelId::generate();
        let now = change.now;
        let row = change
            .tx
            .row(
                "INSERT INTO models (id, project_id, name, version, kind, base, digest, size_bytes,
                   license, card, lineage, files, job_id, created_at)
                 SELECT $1, $2, $3, COALESCE(MAX(version), 0) + 1, $4, $5, $6, $7, $8, $9, $10,
                   $11, $12, $13
                 FROM models WHERE project_id = $2 AND name = $3 RETURNING *",
                values![
                    id,
                    ctx.project,
                    &name,
                    kind.to_string(),
                    base,
                    digest,
                    i64::try_from(size).unwrap_or(i64::MAX),
                    license,
                    card,
                    json_or_null(lineage.as_ref())?,
                    json(&files)?,
                    job_id,
                    now
                ],
            )
            .await?;
        let made = model(&row.ok_or_else(|| StoreError::not_found("model", &name))?)?;
        let blobs = made.files.iter().map(|file| file.digest).chain([digest]);
        let owner = id.to_string();
        crate::artifact_ref::insert(&mut change.tx, ctx.project, "model", &owner, blobs).await?;
        change.changes_config();
        let detail = json!({ "ref": made.reference, "digest": digest, "kind": kind });
        change.commit(Audit { action: "model.create", kind: "model", id: &id, detail }).await?;
        Ok(made)
    }

    /// One version: `telco-desk@2`, or `telco-desk` for the newest.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn model_get(&self, ctx: &OpContext, reference: &str) -> Result<Model> {
        let connections = self.read(ctx, Scope::Read)?;
        let (name, version) = parse_reference("model", reference)?;
        let row = connections.row(BY_REFERENCE, values![ctx.project, name, version]).await?;
        model(&row.ok_or_else(|| StoreError::not_found("model", reference))?)
    }

    /// The project's models, newest first, of one kind where it is given.
    ///
    /// # Errors
    /// Without the `read` scope, or with a bad cursor.
    pub async fn model_list(
        &self,
        ctx: &OpContext,
        kind: Option<ModelKind>,
        page: &Page,
    ) -> Result<Listing<Model>> {
        let connections = self.read(ctx, Scope::Read)?;
        let after = After::of(page)?;
        let rows = connections
            .rows(
                "SELECT * FROM models WHERE project_id = $1 AND (created_at, id) < ($2, $3)
                   AND ($4 IS NULL OR kind = $4)
                 ORDER BY created_at DESC, id DESC LIMIT $5",
                values![
                    ctx.project,
                    after.at,
                    &after.id,
                    kind.map(|kind| kind.to_string()),
                    after.fetch
                ],
            )
            .await?;
        let items = rows.iter().map(model).collect::<Result<Vec<_>>>()?;
        Ok(after.listing(items, |it| (it.created_at, it.id.to_string())))
    }
}
