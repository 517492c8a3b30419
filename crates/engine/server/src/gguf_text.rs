//! The tokenizer of a model, wherever it lies; and a tokenizer as GGUF's metadata.

use std::path::Path;

use pelton_model::{GgufFile, GgufValue, gguf_file};
use pelton_tokens::{GgufVocabulary, TextCodec, TokensError};

use crate::ServeError;

/// Loads the tokenizer and chat template of a model folder or a GGUF file. A `tokenizer.json` beside the
/// file goes before what the file has.
///
/// # Errors
/// [`ServeError`] where there is none, or one that is not supported.
pub fn load_codec(model: &Path) -> Result<TextCodec, ServeError> {
    let Some(path) = gguf_file(model)? else { return Ok(TextCodec::load(model)?) };
    let beside = path.parent().filter(|folder| folder.join("tokenizer.json").exists());
    if let Some(folder) = beside {
        return Ok(TextCodec::load(folder)?);
    }
    let file = GgufFile::open(&path)?;
    Ok(vocabulary(&file)?.codec(&path)?)
}

/// The vocabulary that a file has.
fn vocabulary(file: &GgufFile) -> Result<GgufVocabulary, TokensError> {
    let refuse = |detail: String| TokensError::Malformed { path: file.path().to_owned(), detail };
    let id = |name: &str| {
        let id = file.count(&format!("tokenizer.ggml.{name}_token_id"));
        id.and_then(|id| u32::try_from(id).ok())
    };
    let common = GgufVocabulary {
        bos: id("bos"),
        eos: [id("eos"), id("eot")].into_iter().flatten().collect(),
        add_bos: file.value("tokenizer.ggml.add_bos_token") == Some(&GgufValue::Bool(true)),
        chat_template: file.text("tokenizer.chat_template").map(str::to_owned),
        hugging_face: file.text("tokenizer.huggingface.json").map(str::to_owned),
        ..GgufVocabulary::default()
    };
    if common.hugging_face.is_some() {
        return Ok(common);
    }
    let model = file.text("tokenizer.ggml.model").unwrap_or("none");
    if model != "gpt2" {
        return Err(refuse(format!(
            "its tokenizer is {model:?}, only byte-level BPE (gpt2) is read from GGUF files; put the model's tokenizer.json beside the file"
        )));
    }
    let texts = |key: &str| match file.value(key) {
        Some(GgufValue::Texts(texts)) => Ok(texts.clone()),
        _ => Err(refuse(format!("it has no list {key}"))),
    };
    let kinds = match file.value("tokenizer.ggml.token_type") {
        Some(GgufValue::Integers(kinds)) => kinds.clone(),
        _ => return Err(refuse("it has no list tokenizer.ggml.token_type".into())),
    };
    Ok(GgufVocabulary {
        tokens: texts("tokenizer.ggml.tokens")?,
        kinds,
        merges: texts("tokenizer.ggml.merges")?,
        pre: file.text("tokenizer.ggml.pre").unwrap_or("default").to_owned(),
        ..common
    })
}

/// A vocabulary as the metadata of a file; without one, the file takes tokens as numbers only.
pub fn vocabulary_metadata(vocabulary: Option<GgufVocabulary>) -> Vec<(String, GgufValue)> {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let none = (key("model"), GgufValue::Text("none".into()));
    let Some(vocabulary) = vocabulary else { return vec![none] };
    let GgufVocabulary {
        tokens,
        kinds,
        merges,
        pre,
        bos,
        eos,
        add_bos,
        chat_template,
        hugging_face,
    } = vocabulary;
    let mut metadata = match hugging_face {
        // llama.cpp takes tokens as numbers then.
        Some(json) => vec![none, ("tokenizer.huggingface.json".to_owned(), GgufValue::Text(json))],
        None => vec![
            (key("model"), GgufValue::Text("gpt2".into())),
            (key("pre"), GgufValue::Text(pre)),
            (key("tokens"), GgufValue::Texts(tokens)),
            (key("token_type"), GgufValue::Integers(kinds)),
            (key("merges"), GgufValue::Texts(merges)),
        ],
    };
    metadata.push((key("add_bos_token"), GgufValue::Bool(add_bos)));
    let ids = bos.map(|id| ("bos", id)).into_iter();
    let ids = ids.chain(["eos", "eot"].into_iter().zip(eos));
    metadata.extend(
        ids.map(|(name, id)| (key(&format!("{name}_token_id")), GgufValue::Integer(i64::from(id)))),
    );
    metadata.extend(
        chat_template
            .map(|template| ("tokenizer.chat_template".to_owned(), GgufValue::Text(template))),
    );
    metadata
}
