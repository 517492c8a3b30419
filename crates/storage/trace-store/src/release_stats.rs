//! How each release fared since an instant: what a rollout asks for each second.
//!
//! Records are only ever added, so a tally of a hot segment reads what is new since the last call,
//! and a sealed part is tallied once.

use crate::error::{Result, at_segment};
use crate::part_files::PartFiles;
use crate::part_rows::{blocking, feedback_since, visit_outcomes};
use crate::record::Status;
use crate::segment::Segment;
use crate::shared::View;
use pelton_ids::{InferenceId, Micros, ProjectId, ReleaseId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Questions whose tallies are kept: one for each running rollout and a few more.
const KEPT: usize = 32;

/// One release's requests and judgments.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReleaseStats {
    /// The release; absent for calls that no release answered.
    pub release_id: Option<ReleaseId>,
    /// Calls that started in the time asked for.
    pub requests: u64,
    /// Those of them that failed: status `error` or `partial`.
    pub errors: u64,
    /// Scores given to such calls.
    pub scores: u64,
    /// Their mean.
    pub score_mean: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    requests: u64,
    errors: u64,
    scores: u64,
    score_sum: f64,
}

type ByRelease = BTreeMap<Option<ReleaseId>, Tally>;

/// The tally of one segment, hot or sealed; it keeps its name when it is sealed.
#[derive(Debug, Default)]
struct Source {
    by_release: ByRelease,
    inference_seq: i64,
    feedback_seq: i64,
    sealed: bool,
}

type Question = (ProjectId, Micros);
type Sources = HashMap<String, Source>;

/// Tallies by question, the latest asked last.
#[derive(Debug, Default)]
pub(crate) struct StatsCache(Mutex<Vec<(Question, Arc<Mutex<Sources>>)>>);

impl StatsCache {
    async fn sources(&self, question: Question) -> Arc<Mutex<Sources>> {
        let mut kept = self.0.lock().await;
        let known = kept.iter().position(|(of, _)| *of == question);
        let entry = match known {
            Some(at) => kept.remove(at),
            None => (question, Arc::default()),
        };
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        let sources = Arc::clone(&entry.1);
        kept.push(entry);
        sources
    }

    pub(crate) async fn stats(
        &self,
        view: &View,
        project: ProjectId,
        since: Micros,
    ) -> Result<Vec<ReleaseStats>> {
        let sources = self.sources((project, since)).await;
        let mut sources = sources.lock().await;
        let mut total = ByRelease::new();
        let mut present = Vec::new();
        for segment in &view.segments {
            let source = sources.entry(segment.name.clone()).or_default();
            catch_up(segment, project, since, source).await?;
            add(&mut total, &source.by_release);
            present.push(segment.name.clone());
        }
        for part in view.parts.iter().filter(|part| part.part.max_at >= since) {
            let name = &part.part.segment;
            if !sources.get(name).is_some_and(|source| source.sealed) {
                sources.insert(name.clone(), tally_part(part, project, since).await?);
            }
            if let Some(source) = sources.get(name) {
                add(&mut total, &source.by_release);
            }
            present.push(name.clone());
        }
        sources.retain(|name, _| present.contains(name));
        Ok(total.into_iter().map(|(release_id, tally)| tally.stats(release_id)).collect())
    }
}

impl Tally {
    #[expect(clippy::cast_precision_loss, reason = "a count of scores fits an f64")]
    fn stats(self, release_id: Option<ReleaseId>) -> ReleaseStats {
        let Self { requests, errors, scores, score_sum } = self;
        let score_mean = (scores > 0).then(|| score_sum / scores as f64);
        ReleaseStats { release_id, requests, errors, scores, score_mean }
    }
}

fn add(total: &mut ByRelease, more: &ByRelease) {
    for (release, tally) in more {
        let sum = total.entry(*release).or_default();
        sum.requests += tally.requests;
        sum.errors += tally.errors;
        sum.scores += tally.scores;
        sum.score_sum += tally.score_sum;
    }
}

/// Feedback counts by the call that it judges. An id's millisecond lies up to one below its call's microsecond.
fn counts(id: InferenceId, since: Micros) -> bool {
    id.made_at().0 >= since.0 - since.0.rem_euclid(1_000)
}

async fn catch_up(
    segment: &Segment,
    project: ProjectId,
    since: Micros,
    source: &mut Source,
) -> Result<()> {
    let failed = at_segment(&segment.path);
    // The plus signs keep SQLite from walking the index by time instead of the new rows alone.
    let sql = "SELECT release_id, status, count(*), max(seq) FROM inference
               WHERE seq > $1 AND +project = $2 AND +started_at >= $3
               GROUP BY release_id, status";
    let rows: Vec<(Option<String>, String, i64, i64)> = sqlx::query_as(sql)
        .bind(source.inference_seq)
        .bind(project.to_string())
        .bind(since.0)
        .fetch_all(segment.readers())
        .await
        .map_err(&failed)?;
    let mut last = source.inference_seq;
    for (release, status, count, seq) in rows {
        let count = u64::try_from(count).unwrap_or_default();
        outcome(&mut source.by_release, release.as_deref(), &status, count);
        last = last.max(seq);
    }
    source.inference_seq = last;

    let sql = "SELECT release_id, inference_id, score, seq FROM feedback
               WHERE seq > $1 AND project = $2 ORDER BY seq";
    let rows: Vec<(Option<String>, String, Option<f64>, i64)> = sqlx::query_as(sql)
        .bind(source.feedback_seq)
        .bind(project.to_string())
        .fetch_all(segment.readers())
        .await
        .map_err(&failed)?;
    for (release, inference, score, seq) in rows {
        source.feedback_seq = seq;
        let counted = inference.parse().is_ok_and(|id| counts(id, since));
        if let Some(score) = score.filter(|_| counted) {
            judged(&mut source.by_release, release.and_then(|id| id.parse().ok()), score);
        }
    }
    Ok(())
}

fn outcome(by_release: &mut ByRelease, release: Option<&str>, status: &str, count: u64) {
    let tally = by_release.entry(release.and_then(|id| id.parse().ok())).or_default();
    tally.requests += count;
    if status.parse().is_ok_and(Status::is_failure) {
        tally.errors += count;
    }
}

fn judged(by_release: &mut ByRelease, release: Option<ReleaseId>, score: f64) {
    let tally = by_release.entry(release).or_default();
    tally.scores += 1;
    tally.score_sum += score;
}

async fn tally_part(part: &Arc<PartFiles>, project: ProjectId, since: Micros) -> Result<Source> {
    let part = Arc::clone(part);
    blocking(move || {
        part.check()?;
        let mut source = Source { sealed: true, ..Source::default() };
        visit_outcomes(&part.narrow(), project, since, |release, status| {
            outcome(&mut source.by_release, release, status, 1);
        })?;
        let feedback = match part.feedback() {
            Some(path) => feedback_since(&path, project, None)?,
            None => Vec::new(),
        };
        for record in feedback.iter().filter(|record| counts(record.inference_id, since)) {
            if let Some(score) = record.score {
                judged(&mut source.by_release, record.release_id, score);
            }
        }
        Ok(source)
    })
    .await
}
