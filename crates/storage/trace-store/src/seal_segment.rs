//! Turns a closed segment into a part: write, sync, rename, commit to the catalog, only then let
//! the segment go. A crash at any step leaves either the segment or the part, never both or none.

use crate::catalog::{FileSeal, Part, PartDetail};
use crate::column::{Column, FEEDBACK, feedback_schema};
use crate::error::{Result, TraceStoreError, at_draft, at_segment};
use crate::fault::Step;
use crate::part_files::{PartFiles, seal_of};
use crate::part_writer::{PartWriter, PayloadBuilder, feedback_batch, payload_schema};
use crate::segment::{Segment, sync_folder};
use crate::segment_rows::{BatchBuilder, body_of};
use crate::shared::Shared;
use futures_util::TryStreamExt as _;
use pelton_ids::Micros;
use sqlx::AssertSqlSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NARROW_BATCH: usize = 4_096;
const FEEDBACK_BATCH: usize = 4_096;

/// A file that is written under a passing name.
struct Draft {
    name: String,
    passing: PathBuf,
}

impl Draft {
    fn new(folder: &Path, segment: &Segment, what: &str) -> Self {
        let name = format!("{}.{what}.parquet", segment.name);
        Self { passing: folder.join(format!("{name}.tmp")), name }
    }
}

/// The extent of what a segment holds.
struct Extent {
    rows: i64,
    first: Option<i64>,
    last: Option<i64>,
}

/// Seals the segment and shows the part in its place.
pub(crate) async fn seal_segment(shared: &Shared, segment: &Arc<Segment>) -> Result<()> {
    let sealed = write_and_commit(shared, segment).await;
    if sealed.is_err() {
        // On a full disk the drafts would keep the space that is lacking.
        for what in ["narrow", "payload", "feedback"] {
            drop(std::fs::remove_file(Draft::new(&shared.part_folder(), segment, what).passing));
        }
    }
    sealed
}

async fn write_and_commit(shared: &Shared, segment: &Arc<Segment>) -> Result<()> {
    let folder = shared.part_folder();
    let faults = &shared.options.faults;
    let step = |step: Step| faults.at(step).map_err(at_draft(&folder));

    // A commit that seemed to fail may have been done: then its files must not be written again.
    if shared.catalog.sealed_segments().await?.contains(&segment.name) {
        return show_sealed(shared, segment).await;
    }
    let (narrow, payload, feedback) = (
        Draft::new(&folder, segment, "narrow"),
        Draft::new(&folder, segment, "payload"),
        Draft::new(&folder, segment, "feedback"),
    );
    step(Step::WriteNarrow)?;
    write_inferences(segment, &narrow, &payload, || step(Step::WritePayload)).await?;
    step(Step::WriteFeedback)?;
    let inferences = extent(segment, "inference", "started_at").await?;
    let judgments = extent(segment, "feedback", "at").await?;
    let mut drafts = vec![narrow, payload];
    if judgments.rows > 0 {
        write_feedback(segment, &feedback).await?;
        drafts.push(feedback);
    }

    step(Step::Rename)?;
    let mut files = Vec::new();
    for draft in &drafts {
        let (bytes, xxh3) = seal_of(&draft.passing).map_err(at_draft(&draft.passing))?;
        std::fs::rename(&draft.passing, folder.join(&draft.name))
            .map_err(at_draft(&draft.passing))?;
        files.push(FileSeal { path: draft.name.clone(), bytes, xxh3 });
    }
    sync_folder(&folder)?;

    step(Step::Catalog)?;
    let part = part_of(segment, &inferences, &judgments, files, shared.clock.now())?;
    shared.catalog.commit(&part).await?;

    step(Step::DropSegment)?;
    shared.replace(segment, Arc::new(PartFiles::new(part, &folder)?));
    segment.doom();
    Ok(())
}

async fn show_sealed(shared: &Shared, segment: &Arc<Segment>) -> Result<()> {
    let parts = shared.catalog.list().await?;
    let Some(part) = parts.into_iter().find(|part| part.segment == segment.name) else {
        return Err(at_segment(&segment.path)("it is sealed, but its part is not in the catalog"));
    };
    shared.replace(segment, Arc::new(PartFiles::new(part, &shared.part_folder())?));
    segment.doom();
    Ok(())
}

fn part_of(
    segment: &Segment,
    inferences: &Extent,
    judgments: &Extent,
    files: Vec<FileSeal>,
    sealed_at: Micros,
) -> Result<Part> {
    let path = |at: usize| files.get(at).map(|file| file.path.clone());
    let bytes = files.iter().map(|file| file.bytes).sum::<u64>();
    let detail = PartDetail {
        path_feedback: path(2),
        feedback_rows: judgments.rows,
        last_start: inferences.last.unwrap_or(i64::MIN),
        last_feedback: judgments.last.unwrap_or(i64::MIN),
        files: files.clone(),
    };
    let detail = serde_json::to_value(detail)
        .map_err(|error| TraceStoreError::Interrupted(error.to_string()))?;
    Ok(Part {
        part_id: segment.name.clone(),
        segment: segment.name.clone(),
        path_narrow: path(0).unwrap_or_default(),
        path_payload: path(1),
        rows: inferences.rows,
        bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        min_at: Micros(inferences.first.or(judgments.first).unwrap_or_default()),
        max_at: Micros(inferences.last.max(judgments.last).unwrap_or_default()),
        detail,
        sealed_at,
    })
}

async fn extent(segment: &Segment, table: &str, at: &str) -> Result<Extent> {
    let sql = format!("SELECT count(*), min({at}), max({at}) FROM {table}");
    let (rows, first, last) = sqlx::query_as(AssertSqlSafe(sql))
        .fetch_one(segment.readers())
        .await
        .map_err(at_segment(&segment.path))?;
    Ok(Extent { rows, first, last })
}

/// Writes both files in one pass, sorted by project, start and id, in bounded memory.
async fn write_inferences(
    segment: &Segment,
    narrow: &Draft,
    payload: &Draft,
    before_payload: impl Fn() -> Result<()>,
) -> Result<()> {
    let failed = at_segment(&segment.path);
    let mut narrow_file = PartWriter::create(&narrow.passing, Column::schema(Column::ALL), "id")?;
    before_payload()?;
    let mut payload_file = PartWriter::create(&payload.passing, payload_schema(), "id")?;
    let sql = format!(
        "SELECT {}, body FROM inference LEFT JOIN payload USING (seq)
         ORDER BY project, started_at, id",
        Column::sql_list(Column::ALL)
    );
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(segment.readers());
    let mut summaries = BatchBuilder::new(Column::ALL);
    let mut payloads = PayloadBuilder::default();
    while let Some(row) = rows.try_next().await.map_err(&failed)? {
        summaries.append(&row).map_err(at_segment(&segment.path))?;
        let body = body_of(&row, Column::ALL.len()).map_err(at_segment(&segment.path))?;
        payloads.append(&row, body).map_err(at_segment(&segment.path))?;
        if summaries.rows == NARROW_BATCH {
            let batch = summaries.finish().map_err(at_draft(&narrow.passing))?;
            narrow_file.write(&batch)?;
        }
        if payloads.is_full() {
            payload_file.write(&payloads.finish().map_err(at_draft(&payload.passing))?)?;
        }
    }
    narrow_file.write(&summaries.finish().map_err(at_draft(&narrow.passing))?)?;
    payload_file.write(&payloads.finish().map_err(at_draft(&payload.passing))?)?;
    narrow_file.finish()?;
    payload_file.finish()
}

async fn write_feedback(segment: &Segment, draft: &Draft) -> Result<()> {
    let mut file = PartWriter::create(&draft.passing, feedback_schema(), "inference_id")?;
    let sql = format!("SELECT {} FROM feedback ORDER BY project, at, id", FEEDBACK.join(", "));
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(segment.readers());
    let mut gathered = Vec::with_capacity(FEEDBACK_BATCH);
    while let Some(row) = rows.try_next().await.map_err(at_segment(&segment.path))? {
        gathered.push(row);
        if gathered.len() == FEEDBACK_BATCH {
            file.write(&feedback_batch(&gathered).map_err(at_draft(&draft.passing))?)?;
            gathered.clear();
        }
    }
    file.write(&feedback_batch(&gathered).map_err(at_draft(&draft.passing))?)?;
    file.finish()
}
