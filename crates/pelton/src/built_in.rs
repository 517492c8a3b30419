//! The base model that comes with the binary, or the one that the configuration names: registered
//! at the first start, with a release and an endpoint of its own. A model that lies elsewhere is
//! downloaded then, and never asked for again.

use crate::model_sources::{self, Downloaded};
use anyhow::Context as _;
use bytes::Bytes;
use pelton_artifacts::{Artifacts, Manifest, ManifestFile, Stored};
use pelton_config::Config;
use pelton_context::OpContext;
use pelton_metadata::{
    Bundle, EndpointChange, Model, ModelFile, ModelKind, NewModel, NewRelease, Store, StoreError,
    TrafficShare,
};
use pelton_sources::{Address, RemoteFile, card_license, read_card};
use rust_embed::RustEmbed;
use serde_json::Value;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// The files of `pelton-tiny`.
#[derive(RustEmbed)]
#[folder = "../../models/pelton-tiny"]
struct BuiltIn;

/// Files that a model folder may hold and the engine reads.
const WANTED: [&str; 5] = ["json", "safetensors", "jinja", "md", "model"];

/// Bytes of a model card at most.
const LARGEST_CARD: u64 = 1 << 20;

/// A file's content, or where it is.
enum Content {
    Bytes(Bytes),
    File(PathBuf),
}

/// A model folder's files with their content.
struct Folder {
    name: String,
    endpoint: String,
    files: Vec<(String, Content)>,
    license: String,
    /// Where it was downloaded from.
    lineage: Option<Value>,
    /// The download, which is not needed once it is registered.
    download: Option<PathBuf>,
}

/// Registers the configured base model if it is not, and answers its reference. `downloads` is
/// where one that lies elsewhere is downloaded to.
pub async fn register(
    config: &Config,
    store: &Store,
    artifacts: &Artifacts,
    context: &OpContext,
    downloads: &Path,
) -> anyhow::Result<String> {
    let model = &config.engine.model;
    let address = model.to_str().filter(|text| !text.is_empty()).map(Address::parse).transpose()?;
    let folder = match address {
        None if model.as_os_str().is_empty() => built_in(),
        None => read(model)?,
        Some(Address::Folder(folder)) => read(&folder)?,
        Some(address) => {
            if let Some(found) = registered(&address, store, context).await? {
                let endpoint = endpoint_name(&found.name);
                serve(store, context, &endpoint, &found.reference, found.version).await?;
                return Ok(found.reference);
            }
            download(&address, downloads).await?
        }
    };
    let mut files = Vec::new();
    let mut card = String::new();
    let mut pins = Vec::new();
    for (path, content) in &folder.files {
        let Stored { digest, size, pin } = match content {
            Content::Bytes(bytes) => artifacts.put_bytes(bytes.clone()).await?,
            Content::File(file) => artifacts.put_file(file).await?,
        };
        pins.push(pin);
        if path == "README.md" {
            let text = artifacts.read(digest, LARGEST_CARD).await?;
            card = String::from_utf8_lossy(&text).into_owned();
        }
        files.push(ModelFile { path: path.clone(), digest, size });
    }
    let listed = files
        .iter()
        .map(|ModelFile { path, digest, size }| ManifestFile {
            path: path.clone(),
            digest: *digest,
            size: *size,
        })
        .collect();
    let metadata = folder.lineage.clone().unwrap_or(Value::Null);
    let manifest = Manifest::new("model", listed, metadata)?;
    let manifest = artifacts.manifest_put(&manifest).await?.digest;
    match store.model_get(context, &folder.name).await {
        Ok(found) if found.digest == manifest => return Ok(found.reference),
        Ok(_) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let model = store
        .model_create(
            context,
            NewModel {
                name: folder.name,
                kind: ModelKind::Base,
                base: None,
                digest: manifest,
                license: folder.license,
                card,
                lineage: folder.lineage,
                files,
                job_id: None,
            },
        )
        .await?;
    tracing::info!(model = %model.reference, "registered the base model");
    serve(store, context, &folder.endpoint, &model.reference, model.version).await?;
    if let Some(download) = folder.download {
        std::fs::remove_dir_all(&download)
            .with_context(|| format!("cannot remove {}", download.display()))?;
    }
    Ok(model.reference)
}

/// The model that an address stands for, where the registry has it: by its name, or as a download
/// from the same place and revision.
async fn registered(
    address: &Address,
    store: &Store,
    context: &OpContext,
) -> anyhow::Result<Option<Model>> {
    let wanted = match address {
        Address::Registry(reference) => reference.clone(),
        _ => address.suggested_name(),
    };
    let found = match store.model_get(context, &wanted).await {
        Ok(found) => found,
        Err(StoreError::NotFound { .. }) if address.is_remote() => return Ok(None),
        Err(error) => {
            return Err(error)
                .context("engine.model is no folder, no address and no registered model");
        }
    };
    let source = found.lineage.as_ref().map(|lineage| &lineage["source"]);
    let same = source.is_some_and(|source| {
        let text = |key: &str| source[key].as_str().unwrap_or_default();
        let (place, revision) = (text("address"), text("revision"));
        let stated = format!("{place}@{revision}");
        // The default branch may be named or not.
        [place, &stated].contains(&address.to_string().as_str())
            && (address.to_string() != place || matches!(revision, "" | "main"))
    });
    Ok((same || !address.is_remote()).then_some(found))
}

async fn download(address: &Address, downloads: &Path) -> anyhow::Result<Folder> {
    let Downloaded { folder, listing, files } = model_sources::download(address, downloads).await?;
    let name = address.suggested_name();
    let file = |file: RemoteFile| {
        let content = Content::File(folder.join(&file.path));
        (file.path, content)
    };
    Ok(Folder {
        endpoint: endpoint_name(&name),
        name,
        files: files.into_iter().map(file).collect(),
        lineage: Some(model_sources::lineage(&listing)),
        license: listing.license.unwrap_or_default(),
        download: Some(folder),
    })
}

/// A name for the endpoint of a model.
fn endpoint_name(model: &str) -> String {
    let last = model.rsplit('/').next().unwrap_or(model).to_lowercase();
    last.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
}

/// Makes a release of the base, and an endpoint for it unless there is one of that name.
async fn serve(
    store: &Store,
    context: &OpContext,
    endpoint: &str,
    reference: &str,
    version: i64,
) -> anyhow::Result<()> {
    let bundle = Bundle { model: Some(reference.into()), ..Bundle::default() };
    let name = format!("{endpoint}-base-{version}");
    let release = match store
        .release_create(context, NewRelease { name: name.clone(), bundle, gate: None })
        .await
    {
        Err(StoreError::Conflict { .. }) => store.release_get_by_name(context, &name).await?,
        made => made?,
    };
    let change = EndpointChange {
        traffic: vec![TrafficShare { release_id: release.id, weight: 100 }],
        expected: Some(0),
        reason: "the base model, at first start".into(),
    };
    match store.endpoint_put(context, endpoint, change).await {
        Ok(_) | Err(StoreError::Stale { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn built_in() -> Folder {
    let files = BuiltIn::iter()
        .filter_map(|path| {
            let content = match BuiltIn::get(&path)?.data {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => Bytes::from(bytes),
            };
            Some((path.into_owned(), Content::Bytes(content)))
        })
        .collect();
    Folder {
        name: "pelton/pelton-tiny".into(),
        endpoint: "pelton-tiny".into(),
        files,
        license: "Apache-2.0".into(),
        lineage: None,
        download: None,
    }
}

fn read(folder: &Path) -> anyhow::Result<Folder> {
    let place = || format!("the model folder {} (engine.model)", folder.display());
    let name = folder
        .canonicalize()
        .with_context(place)?
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .with_context(place)?;
    let mut files = Vec::new();
    if let Some(gguf) = pelton_model::gguf_file(folder)? {
        let file = gguf.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((file, Content::File(gguf)));
    }
    let entries = if folder.is_dir() { Some(std::fs::read_dir(folder)) } else { None };
    for entry in entries.transpose().with_context(place)?.into_iter().flatten() {
        let mut path = entry?.path();
        // Modules of sentence-transformers have their configuration in folders of their own.
        let module = path.is_dir() && folder.join("modules.json").exists();
        if module {
            path = path.join("config.json");
        }
        let wanted = path
            .extension()
            .is_some_and(|extension| WANTED.iter().any(|wanted| extension == *wanted));
        if !path.is_file() || !wanted {
            continue;
        }
        let file = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        files.push((file, Content::File(path)));
    }
    files.sort_by(|left, right| left.0.cmp(&right.0));
    anyhow::ensure!(
        files.iter().any(|(path, _)| path.to_lowercase().ends_with(".gguf"))
            || files.iter().any(|(path, _)| path == "config.json")
                && files.iter().any(|(path, _)| path == "tokenizer.json"),
        "{} holds no GGUF file, and no config.json or no tokenizer.json: give a model in one of both formats",
        place()
    );
    let license = read_card(folder).and_then(|card| card_license(&card)).unwrap_or_default();
    Ok(Folder {
        endpoint: endpoint_name(&name),
        name: format!("local/{name}"),
        files,
        license,
        lineage: None,
        download: None,
    })
}
