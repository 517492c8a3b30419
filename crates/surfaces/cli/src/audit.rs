//! `pelton audit`.

use crate::list::{Length, Query, fetch};
use crate::table::{Column, instant, plain};
use crate::terminal::Terminal;
use clap::Subcommand;
use pelton_client::Client;

/// Verbs of `pelton audit`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// List changes, newest first.
    List {
        #[command(flatten)]
        length: Length,
    },
}

const COLUMNS: &[Column] = &[
    Column::text("at", |v| instant(&v["at"])),
    Column::text("who", |v| plain(&v["actor"])),
    Column::text("did", |v| plain(&v["action"])),
    Column::text("to", |v| plain(&v["object_id"])),
    Column::text("detail", |v| plain(&v["detail"])),
];

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    let Verb::List { length } = verb;
    let items = fetch(client, "/api/v1/audit", &Query::default(), length.limit).await?;
    Ok(out.list(&items, COLUMNS, "Nothing was changed yet.")?)
}
