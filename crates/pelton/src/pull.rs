//! `pelton model pull`: from an address to a registered model, or a folder. The caller's machine
//! downloads and uploads, so that it is the caller's token that is used, and a server needs no way
//! out to the internet.

use crate::model_sources::{Registry, default_cache, lineage, open};
use anyhow::Context as _;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use pelton_cli::{Globals, Pull};
use pelton_client::{Client, ClientError, escape};
use pelton_sources::{
    Address, Download, Listing, Patterns, RemoteFile, Retry, Selection, Source, card_license,
    fetch, list_folder, read_card, select_files,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs the command.
pub async fn run(pull: &Pull, globals: &Globals) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::from(pelton_cli::finish(carry_out(pull, globals).await)))
}

/// What is to be done.
struct Plan<'a> {
    pull: &'a Pull,
    json: bool,
    client: Client,
    address: Address,
    /// Where it is downloaded from; none for a folder of this machine.
    source: Option<Box<dyn Source>>,
    listing: Listing,
    selection: Selection,
}

/// What was done.
#[derive(Default)]
struct Done {
    received: u64,
    checks: Vec<(String, &'static str)>,
    model: Option<Value>,
    folder: Option<PathBuf>,
    note: &'static str,
}

async fn carry_out(pull: &Pull, globals: &Globals) -> anyhow::Result<()> {
    anyhow::ensure!(
        !globals.json || pull.yes || pull.dry_run,
        "--json asks nothing: add --yes to download, or --dry-run to look"
    );
    let plan = Plan::make(pull, globals).await?;
    plan.show()?;
    if pull.dry_run {
        return plan.finish(&Done::default());
    }
    let done = match &pull.to {
        Some(folder) => plan.write_out(folder).await?,
        None => plan.register().await?,
    };
    plan.finish(&done)
}

impl<'a> Plan<'a> {
    async fn make(pull: &'a Pull, globals: &Globals) -> anyhow::Result<Self> {
        let client = Client::new(&globals.url, globals.api_key.clone());
        let address = Address::parse(&pull.source)?;
        let patterns = Patterns::new(&pull.include, &pull.exclude)?;
        let source: Option<Box<dyn Source>> = match &address {
            Address::Registry(reference) => {
                anyhow::ensure!(
                    pull.to.is_some(),
                    "`{reference}` is no folder here, and models of the registry are there already: write its files out with --to FOLDER, or name a source as in hf://ORG/NAME"
                );
                Some(Box::new(Registry::new(client.clone(), reference.clone())))
            }
            _ => open(&address)?,
        };
        let listing = match (&source, &address) {
            (Some(source), _) => source.list().await?,
            (None, Address::Folder(_)) if pull.to.is_some() => {
                anyhow::bail!(
                    "{address} is a folder already: --to is for models that lie elsewhere"
                )
            }
            (None, Address::Folder(folder)) => list_folder(folder)?,
            (None, _) => anyhow::bail!("{address} has no files"),
        };
        let selection = select_files(&listing.files, &patterns);
        let plan = Self { pull, json: globals.json, client, address, source, listing, selection };
        if pull.to.is_none() {
            plan.selection.check().with_context(|| format!("{} cannot be served", plan.address))?;
        }
        Ok(plan)
    }

    fn name(&self) -> String {
        self.pull.name.clone().unwrap_or_else(|| self.address.suggested_name())
    }

    /// Tells a person what will be downloaded.
    fn show(&self) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let Listing { origin, license, license_link, notes, files: _ } = &self.listing;
        let mut out = io::stdout().lock();
        writeln!(out, "model    {}", origin.address)?;
        if let Some(commit) = &origin.commit {
            let revision = origin.revision.as_deref().unwrap_or_default();
            let revision =
                if revision.is_empty() { String::new() } else { format!(" ({revision})") };
            writeln!(out, "commit   {commit}{revision}")?;
        }
        let link = license_link.as_deref().map(|link| format!(" ({link})")).unwrap_or_default();
        let license = license.as_deref().unwrap_or("not stated: ask its authors before you use it");
        writeln!(out, "licence  {license}{link}")?;
        for note in notes {
            writeln!(out, "note     {note}")?;
        }
        writeln!(
            out,
            "files    {}, {}",
            self.selection.files.len(),
            HumanBytes(self.selection.size())
        )?;
        for RemoteFile { path, size, .. } in &self.selection.files {
            writeln!(out, "  {:>12}  {path}", HumanBytes(*size).to_string())?;
        }
        if !self.selection.left_out.is_empty() {
            let size =
                self.selection.left_out.iter().map(|file| file.size).fold(0, u64::saturating_add);
            writeln!(out, "left out {}, {}", self.selection.left_out.len(), HumanBytes(size))?;
            for file in &self.selection.left_out {
                let size = HumanBytes(file.size).to_string();
                writeln!(out, "  {size:>12}  {}: {}", file.path, file.reason)?;
            }
        }
        Ok(())
    }

    /// Asks whether to go on.
    fn confirm(&self, what: &str) -> anyhow::Result<()> {
        if self.pull.yes {
            return Ok(());
        }
        anyhow::ensure!(
            io::stdin().is_terminal() && io::stderr().is_terminal(),
            "nothing was downloaded, since there is no terminal to ask at: add --yes when licence and files are what you want"
        );
        let mut err = io::stderr().lock();
        write!(err, "{what}? [y/N] ")?;
        err.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        let yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
        anyhow::ensure!(yes, "nothing was downloaded");
        Ok(())
    }

    /// Downloads into `folder`, with a bar on standard error.
    async fn download(
        &self,
        source: &dyn Source,
        folder: &Path,
        done: &mut Done,
    ) -> anyhow::Result<()> {
        let bar = bar("downloading", self.selection.size())?;
        let progress = |change: i64| {
            if change < 0 { bar.dec(change.unsigned_abs()) } else { bar.inc(change.unsigned_abs()) }
        };
        let how = Download { folder, retry: Retry::default(), progress: &progress };
        let fetched = fetch(source, &self.selection.files, &how).await;
        bar.finish_and_clear();
        let fetched = fetched.with_context(|| {
            format!(
                "{} was not downloaded; the same command goes on with what is here",
                self.address
            )
        })?;
        done.received = fetched.received;
        done.checks =
            fetched.verified.into_iter().map(|(path, check)| (path, check.name())).collect();
        Ok(())
    }

    /// Makes a new folder of the model's files: first beside it, so that it is there whole or not
    /// at all.
    async fn write_out(&self, to: &Path) -> anyhow::Result<Done> {
        let source = self.source.as_deref().context("there is nothing to download")?;
        let place = || format!("the folder {}", to.display());
        let taken = to.symlink_metadata().is_ok()
            && std::fs::read_dir(to).with_context(place)?.next().is_some();
        anyhow::ensure!(!taken, "{} is not empty: give a new one", place());
        let mut name = to.file_name().with_context(place)?.to_owned();
        name.push(".pelton-pull");
        let staging = to.with_file_name(name);
        self.confirm(&format!("Download {} into {}", HumanBytes(self.selection.size()), place()))?;
        let whole = self.listing.origin.folder_in(&staging);
        let mut done = Done::default();
        self.download(source, &whole, &mut done).await?;
        std::fs::rename(&whole, to).with_context(place)?;
        std::fs::remove_dir_all(&staging).with_context(place)?;
        done.folder = Some(to.to_owned());
        done.note = "written";
        Ok(done)
    }

    /// Downloads the model, uploads its files to the server and registers it.
    async fn register(&self) -> anyhow::Result<Done> {
        let name = self.name();
        // Also says now, not after a long download, when there is no server.
        let newest = self.newest(&name).await?;
        if let Some(newest) = newest.as_ref().filter(|newest| self.is_this(newest)) {
            let note = "registered already";
            return Ok(Done { model: Some(newest.clone()), note, ..Done::default() });
        }
        let Some(source) = &self.source else {
            let Address::Folder(folder) = &self.address else {
                anyhow::bail!("{} is no folder", self.address)
            };
            return self.upload(&name, folder, newest.as_ref(), Done::default()).await;
        };
        let size = HumanBytes(self.selection.size());
        self.confirm(&format!("Download {size} and register it as {name}"))?;
        let cache = self.pull.cache.clone().unwrap_or_else(default_cache);
        let folder = self.listing.origin.folder_in(&cache);
        let mut done = Done::default();
        self.download(source.as_ref(), &folder, &mut done).await?;
        let done = self.upload(&name, &folder, newest.as_ref(), done).await?;
        remove_download(&folder, &cache)?;
        Ok(done)
    }

    async fn newest(&self, name: &str) -> anyhow::Result<Option<Value>> {
        match self.client.get::<Value>(&format!("/api/v1/models/{}", escape(name))).await {
            Ok(model) => Ok(Some(model)),
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a registered model has the same origin, commit and all, and the same files.
    fn is_this(&self, model: &Value) -> bool {
        let source = &model["lineage"]["source"];
        let origin = json!(self.listing.origin);
        let same =
            ["kind", "address", "endpoint", "commit"].iter().all(|key| source[key] == origin[key]);
        let wanted: BTreeSet<&str> =
            self.selection.files.iter().map(|file| file.path.as_str()).collect();
        let held: BTreeSet<&str> = model["files"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|file| file["path"].as_str())
            .collect();
        self.listing.origin.commit.is_some() && same && wanted == held
    }

    async fn upload(
        &self,
        name: &str,
        folder: &Path,
        newest: Option<&Value>,
        done: Done,
    ) -> anyhow::Result<Done> {
        let bar = bar("uploading", self.selection.size())?;
        let mut files = Vec::new();
        for RemoteFile { path, .. } in &self.selection.files {
            let file = if folder.is_file() { folder.to_owned() } else { folder.join(path) };
            let sent = bar.clone();
            let digest = self
                .client
                .upload_file(&file, move |count| sent.inc(count))
                .await
                .with_context(|| format!("{path} was not uploaded"))?;
            files.push(json!({ "path": path, "digest": digest }));
        }
        bar.finish_and_clear();
        if let Some(newest) = newest.filter(|newest| has_files(newest, &files)) {
            let note = "registered already, with the same files";
            return Ok(Done { model: Some(newest.clone()), note, ..done });
        }
        let card = read_card(folder).unwrap_or_default();
        let license = self.listing.license.clone().or_else(|| card_license(&card));
        let request = json!({
            "name": name, "kind": "base", "files": files, "license": license, "card": card,
            "lineage": lineage(&self.listing),
        });
        let model: Value = self.client.post("/api/v1/models", &request).await?;
        Ok(Done { model: Some(model), note: "registered", ..done })
    }

    /// Tells what was done.
    fn finish(&self, done: &Done) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &self.report(done))?;
            return Ok(out.write_all(b"\n")?);
        }
        if let Some(folder) = &done.folder {
            writeln!(out, "{} {}", done.note, folder.display())?;
        }
        if let Some(model) = &done.model {
            let reference = model["ref"].as_str().unwrap_or_default();
            writeln!(out, "{} as {reference}", done.note)?;
            writeln!(
                out,
                "Serve it: pelton release create NAME --model {reference}, then pelton endpoint set NAME RELEASE."
            )?;
        }
        Ok(())
    }

    fn report(&self, done: &Done) -> Value {
        let check = |path: &str| {
            done.checks.iter().find(|(checked, _)| checked == path).map(|(_, check)| *check)
        };
        let files: Vec<Value> = self
            .selection
            .files
            .iter()
            .map(|file| json!({ "path": file.path, "size": file.size, "verified_by": check(&file.path) }))
            .collect();
        let left_out: Vec<Value> = self
            .selection
            .left_out
            .iter()
            .map(|file| json!({ "path": file.path, "size": file.size, "reason": file.reason }))
            .collect();
        json!({
            "source": self.listing.origin,
            "license": self.listing.license,
            "license_link": self.listing.license_link,
            "notes": self.listing.notes,
            "files": files,
            "left_out": left_out,
            "total_bytes": self.selection.size(),
            "received_bytes": done.received,
            "folder": done.folder,
            "model": done.model,
        })
    }
}

/// Whether a registered model consists of these files.
fn has_files(model: &Value, files: &[Value]) -> bool {
    let pairs = |files: &[Value]| -> BTreeSet<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        files.iter().map(|file| (text(&file["path"]), text(&file["digest"]))).collect()
    };
    model["files"].as_array().is_some_and(|held| pairs(held) == pairs(files))
}

fn bar(what: &'static str, total: u64) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new(total).with_message(what);
    bar.set_style(ProgressStyle::with_template(
        "{bar:32.cyan/dim} {msg} {bytes} of {total_bytes}, {bytes_per_sec}, {eta}",
    )?);
    Ok(bar)
}

/// Removes what is registered now from the cache, with the folders above it that are empty then.
fn remove_download(folder: &Path, cache: &Path) -> anyhow::Result<()> {
    std::fs::remove_dir_all(folder)
        .with_context(|| format!("{} cannot be removed", folder.display()))?;
    let above = folder.ancestors().skip(1).take_while(|above| above.starts_with(cache));
    for above in above.filter(|above| *above != cache) {
        if std::fs::remove_dir(above).is_err() {
            break;
        }
    }
    Ok(())
}
