//! Where commands write: tables and fields for people, JSON for programs, and the progress of jobs.

use crate::table::{Column, fields, table};
use indicatif::{ProgressBar, ProgressStyle};
use pelton_client::{Client, JobEnd};
use serde_json::Value;
use std::io::{self, Write};

/// A job that was waited for and did not succeed.
#[derive(Debug)]
pub(crate) struct JobFailed {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl std::fmt::Display for JobFailed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for JobFailed {}

/// Where a command writes.
pub(crate) struct Terminal {
    out: Box<dyn Write + Send>,
    json: bool,
}

impl Terminal {
    /// Standard output.
    pub(crate) fn on_process(json: bool) -> Self {
        Self::new(Box::new(io::stdout()), json)
    }

    pub(crate) fn new(out: Box<dyn Write + Send>, json: bool) -> Self {
        Self { out, json }
    }

    /// Whether programs read this.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// A line for people; programs do not see it.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        writeln!(self.out, "{text}")
    }

    /// A list: a table, or `{"items": […]}`.
    pub(crate) fn list(
        &mut self,
        items: &[Value],
        columns: &[Column],
        none: &str,
    ) -> io::Result<()> {
        if self.json {
            return self.raw(&serde_json::json!({ "items": items }));
        }
        if items.is_empty() {
            return writeln!(self.out, "{none}");
        }
        self.out.write_all(table(items, columns).as_bytes())
    }

    /// One thing: its fields in lines, or its JSON.
    pub(crate) fn one(&mut self, thing: &Value, columns: &[Column]) -> io::Result<()> {
        if self.json {
            return self.raw(thing);
        }
        self.out.write_all(fields(thing, columns).as_bytes())
    }

    /// JSON, indented.
    pub(crate) fn raw(&mut self, thing: &Value) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.out, thing)?;
        self.out.write_all(b"\n")
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Tells that a job was asked for; with `wait`, watches it to its end and prints its result.
    pub(crate) async fn job(
        &mut self,
        client: &Client,
        job: &Value,
        wait: bool,
    ) -> anyhow::Result<()> {
        let id = job["id"].as_str().unwrap_or_default().to_owned();
        if wait {
            return self.watch(client, &id).await;
        }
        if self.json {
            return Ok(self.raw(job)?);
        }
        let title = job["title"].as_str().unwrap_or_default();
        self.say(&format!("{id}  {title}"))?;
        Ok(self.say(&format!("Watch it with `pelton job watch {id}`."))?)
    }

    /// Watches a job to its end with a bar on standard error, and prints its result.
    pub(crate) async fn watch(&mut self, client: &Client, id: &str) -> anyhow::Result<()> {
        let bar = ProgressBar::new(0);
        let style =
            ProgressStyle::with_template("{bar:32.cyan/dim} {pos}/{len} {elapsed} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
        let end = client
            .wait_for_job(id, |seen| {
                bar.set_length(seen.total.max(0.0) as u64);
                bar.set_position(seen.done.max(0.0) as u64);
                let title = seen.job["title"].as_str().unwrap_or_default();
                bar.set_message(format!("{title}: {}", seen.message));
            })
            .await;
        bar.finish_and_clear();
        match end? {
            JobEnd::Succeeded(result) => {
                if self.json {
                    return Ok(self.raw(&result)?);
                }
                self.say("succeeded")?;
                let names: Vec<(String, String)> = result
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| (name.clone(), crate::table::plain(value)))
                    .collect();
                let width = names.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
                for (name, value) in names {
                    self.say(&format!("{name:width$}  {value}"))?;
                }
                Ok(())
            }
            JobEnd::Failed { state: _, message, hint } => {
                let hint =
                    if hint.is_empty() { format!("See `pelton job logs {id}`.") } else { hint };
                Err(JobFailed { message, hint }.into())
            }
        }
    }
}
