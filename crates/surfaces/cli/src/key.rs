//! `pelton key`.

use crate::list::{Length, Query, fetch};
use crate::table::{Column, instant, plain};
use crate::terminal::Terminal;
use clap::Subcommand;
use pelton_client::{Client, escape};
use serde_json::{Value, json};

/// Verbs of `pelton key`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Make a key. Its secret is shown once.
    #[command(
        after_help = "Examples:\n  pelton key create my-app\n  pelton key create ci --scope read,write"
    )]
    Create {
        /// For people.
        name: String,
        /// inference, read, write or admin.
        #[arg(long, value_delimiter = ',', default_value = "inference")]
        scope: Vec<String>,
    },
    /// List keys.
    List {
        #[command(flatten)]
        length: Length,
    },
    /// End a key: who uses it is refused from then on.
    Revoke {
        /// The key's id.
        id: String,
    },
}

const COLUMNS: &[Column] = &[
    Column::text("id", |v| plain(&v["id"])),
    Column::text("name", |v| plain(&v["name"])),
    Column::text("prefix", |v| plain(&v["prefix"])),
    Column::text("scopes", |v| plain(&v["scopes"])),
    Column::text("made", |v| instant(&v["created_at"])),
    Column::text("used", |v| instant(&v["last_used_at"])),
    Column::text("revoked", |v| instant(&v["revoked_at"])),
];

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    match verb {
        Verb::Create { name, scope } => {
            let request = json!({ "name": name, "scopes": scope });
            let made: Value = client.post("/api/v1/keys", &request).await?;
            out.one(&made, COLUMNS)?;
            out.say(&format!("secret   {}", plain(&made["secret"])))?;
            out.say("Keep the secret now: it is not shown again.")?;
        }
        Verb::List { length } => {
            let items = fetch(client, "/api/v1/keys", &Query::default(), length.limit).await?;
            out.list(&items, COLUMNS, "No keys.")?;
        }
        Verb::Revoke { id } => {
            let revoked: Value = client.delete(&format!("/api/v1/keys/{}", escape(&id))).await?;
            out.one(&revoked, COLUMNS)?;
        }
    }
    Ok(())
}
