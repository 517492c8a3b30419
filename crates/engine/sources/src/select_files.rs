//! Which files of a repository a model needs, and why the others are left out.

use crate::error::{Result, SourceError, shown};
use crate::listing::RemoteFile;
use glob::{MatchOptions, Pattern};

/// What the user asks for or does not want, as `*.gguf` or `onnx/*`; `*` also stands for `/`.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

/// A file that is not downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its path.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Why.
    pub reason: &'static str,
}

/// What is downloaded, and what is not.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Files to download.
    pub files: Vec<RemoteFile>,
    /// The others.
    pub left_out: Vec<LeftOut>,
}

impl Selection {
    /// Bytes to download.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).fold(0, u64::saturating_add)
    }
}

impl Patterns {
    /// Reads patterns.
    ///
    /// # Errors
    /// When one is malformed.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self> {
        let read = |texts: &[String]| {
            let patterns = texts.iter().map(|text| {
                Pattern::new(text).map_err(|error| {
                    let shown = shown(text, 80);
                    SourceError::Files(format!(
                        "`{shown}` is no pattern: {error}; write it as in '*.gguf'"
                    ))
                })
            });
            patterns.collect::<Result<Vec<_>>>()
        };
        Ok(Self { include: read(include)?, exclude: read(exclude)? })
    }

    fn includes(&self, path: &str) -> bool {
        any(&self.include, path)
    }
}

fn any(patterns: &[Pattern], path: &str) -> bool {
    let options = MatchOptions { case_sensitive: false, ..MatchOptions::default() };
    patterns.iter().any(|pattern| pattern.matches_with(path, options))
}

/// Weights that only other programs read. Pickles (`.bin`, `.pt`, …) can run code when they are
/// opened, and are never read.
const PICKLES: &[&str] = &["bin", "pt", "pth", "ckpt", "pkl", "pickle"];
const OTHER_FRAMEWORKS: &[&str] = &[
    "h5",
    "msgpack",
    "onnx",
    "onnx_data",
    "tflite",
    "ot",
    "npz",
    "mlmodel",
    "pdparams",
    "pdmodel",
    "engine",
    "plan",
    "xml",
];
const PICTURES: &[&str] =
    &["png", "jpg", "jpeg", "gif", "webp", "svg", "mp4", "mp3", "wav", "flac", "pdf"];
const CODE: &[&str] = &["py", "ipynb", "sh", "js"];
/// Folders that hold the same model for other programs.
const OTHER_FOLDERS: &[&str] =
    &["onnx", "openvino", "coreml", "original", "metal", "flax", "tf", "mlx"];

const AS_SAFETENSORS: &str = "the same weights are there as safetensors";
const NOT_ASKED_FOR: &str = "weights that were not asked for";

/// Chooses the files of a listing. With `include`, of the weights only those that match are
/// taken; files that match are taken whatever they are; `exclude` is stronger than both.
#[must_use]
pub fn select_files(files: &[RemoteFile], patterns: &Patterns) -> Selection {
    let weights = Weights::of(files);
    let mut selection = Selection::default();
    for file in files {
        let reason = if any(&patterns.exclude, &file.path) {
            Some("excluded")
        } else if patterns.includes(&file.path) {
            None
        } else if !patterns.include.is_empty() && is_weights(&file.path) {
            Some(NOT_ASKED_FOR)
        } else {
            weights.not_needed(&file.path)
        };
        match reason {
            None => selection.files.push(file.clone()),
            Some(reason) => selection.left_out.push(LeftOut {
                path: file.path.clone(),
                size: file.size,
                reason,
            }),
        }
    }
    selection
}

impl Selection {
    /// Checks that the chosen files are a model that Pelton can serve.
    ///
    /// # Errors
    /// [`SourceError::Files`] with what is missing or has to be chosen.
    pub fn check(&self) -> Result<()> {
        let has = |name: &str| self.files.iter().any(|file| file.path == name);
        let safetensors = self.files.iter().any(|file| extension(&file.path) == "safetensors");
        let gguf: Vec<&str> = self
            .files
            .iter()
            .map(|file| file.path.as_str())
            .filter(|path| extension(path) == "gguf")
            .collect();
        let fault = if has("adapter_config.json") && !has("config.json") {
            "this is an adapter, not a base model: pull its base, and train or load the adapter over it".into()
        } else if gguf.len() > 1 {
            let names: Vec<String> = gguf.iter().take(12).map(|path| shown(path, 80)).collect();
            format!(
                "there are {} GGUF files; say which one is meant with --include: {}",
                gguf.len(),
                names.join(", ")
            )
        } else if gguf.len() == 1 {
            return Ok(());
        } else if !safetensors
            && self.left_out.iter().any(|file| PICKLES.contains(&extension(&file.path).as_str()))
        {
            "its weights are pickles, which can run code when they are opened, and are not read: find a version with .safetensors".into()
        } else if !safetensors {
            "there are no weights in .safetensors or .gguf files".into()
        } else if let Some(missing) =
            ["config.json", "tokenizer.json"].iter().find(|name| !has(name))
        {
            format!("there is no {missing}, which serving needs")
        } else {
            return Ok(());
        };
        Err(SourceError::Files(fault))
    }
}

/// Which kinds of weights a repository has.
struct Weights {
    safetensors: bool,
    /// Under the names that loaders look for.
    standard: bool,
}

impl Weights {
    fn of(files: &[RemoteFile]) -> Self {
        let top = || files.iter().map(|file| file.path.as_str()).filter(|path| !path.contains('/'));
        Self {
            safetensors: top().any(|path| extension(path) == "safetensors"),
            standard: top().any(is_standard),
        }
    }

    /// Why a file is not needed; none where it is.
    fn not_needed(&self, path: &str) -> Option<&'static str> {
        let kind = extension(path);
        let kind = kind.as_str();
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let first = folder.split('/').next().unwrap_or_default();
        if name.starts_with(".git") {
            return Some("Git's own");
        }
        if OTHER_FOLDERS.contains(&first) {
            return Some("the model for another program");
        }
        if PICKLES.contains(&kind) {
            return Some(if self.safetensors {
                AS_SAFETENSORS
            } else {
                "a pickle, which can run code"
            });
        }
        if OTHER_FRAMEWORKS.contains(&kind) {
            return Some("weights for another program");
        }
        if PICTURES.contains(&kind) {
            return Some("an illustration");
        }
        if CODE.contains(&kind) {
            return Some("code, which is not run");
        }
        if kind == "gguf" && self.safetensors {
            return Some(AS_SAFETENSORS);
        }
        if kind == "safetensors" && folder.is_empty() && self.standard && !is_standard(path) {
            return Some("another set of the same weights");
        }
        None
    }
}

/// `model.safetensors`, or a shard of it.
fn is_standard(path: &str) -> bool {
    path == "model.safetensors"
        || path.starts_with("model-") && path.contains("-of-") && extension(path) == "safetensors"
}

fn is_weights(path: &str) -> bool {
    let kind = extension(path);
    ["safetensors", "gguf"].contains(&kind.as_str())
        || PICKLES.contains(&kind.as_str())
        || OTHER_FRAMEWORKS.contains(&kind.as_str())
}

fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or_else(String::new, |(_, kind)| kind.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Integrity;

    fn files(paths: &[&str]) -> Vec<RemoteFile> {
        let file = |path: &&str| RemoteFile {
            path: (*path).into(),
            size: 10,
            integrity: Integrity::Length,
            location: String::new(),
            version: None,
        };
        paths.iter().map(file).collect()
    }

    fn taken(paths: &[&str], include: &[&str], exclude: &[&str]) -> (Vec<String>, Result<()>) {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let patterns = Patterns::new(&owned(include), &owned(exclude)).unwrap();
        let selection = select_files(&files(paths), &patterns);
        assert_eq!(selection.files.len() + selection.left_out.len(), paths.len());
        let checked = selection.check();
        (selection.files.into_iter().map(|file| file.path).collect(), checked)
    }

    #[test]
    fn what_other_programs_need_is_left_out() {
        let (taken, checked) = taken(
            &[
                ".gitattributes",
                "LICENSE",
                "README.md",
                "config.json",
                "consolidated.safetensors",
                "demo.png",
                "flax_model.msgpack",
                "generation_config.json",
                "merges.txt",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "modeling_x.py",
                "onnx/config.json",
                "onnx/model.onnx",
                "original/params.json",
                "pytorch_model.bin",
                "quantized.gguf",
                "tf_model.h5",
                "tokenizer.json",
                "tokenizer.model",
                "1_Pooling/config.json",
            ],
            &[],
            &[],
        );
        assert_eq!(
            taken,
            [
                "LICENSE",
                "README.md",
                "config.json",
                "generation_config.json",
                "merges.txt",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "tokenizer.json",
                "tokenizer.model",
                "1_Pooling/config.json",
            ]
        );
        checked.unwrap();
    }

    #[test]
    fn one_gguf_file_is_chosen_by_its_name() {
        let repository = ["README.md", "q4_k_m.gguf", "q8_0.gguf"];
        let (_, several) = taken(&repository, &[], &[]);
        let said = several.unwrap_err().to_string();
        assert!(said.contains("--include: q4_k_m.gguf, q8_0.gguf"), "{said}");
        let (one, checked) = taken(&repository, &["*Q4_K_M*"], &[]);
        assert_eq!(one, ["README.md", "q4_k_m.gguf"]);
        checked.unwrap();
        let (without, _) = taken(&repository, &["*.gguf"], &["q8*", "README.md"]);
        assert_eq!(without, ["q4_k_m.gguf"]);
    }

    #[test]
    fn what_is_no_model_is_said() {
        for (paths, said) in [
            (&["config.json", "pytorch_model.bin"][..], "pickles"),
            (&["config.json"], "no weights"),
            (&["config.json", "model.safetensors"], "tokenizer.json"),
            (&["adapter_config.json", "adapter_model.safetensors"], "adapter"),
        ] {
            let (_, checked) = taken(paths, &[], &[]);
            let text = checked.unwrap_err().to_string();
            assert!(text.contains(said), "{paths:?}: {text}");
        }
        assert!(Patterns::new(&["[".into()], &[]).is_err());
    }
}
