//! Prints the logits after every token, for comparison with other implementations:
//! `logits MODEL_FOLDER [ADAPTER_FOLDER] TOKEN,TOKEN,…`. One JSON array of rows.

use std::path::Path;

use pelton_model::{Adapter, BaseModel};
use pelton_trainer::logits;

#[expect(clippy::print_stdout, reason = "the result goes to another program")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, adapter, tokens) = match arguments.as_slice() {
        [model, tokens] => (model, None, tokens),
        [model, adapter, tokens] => (model, Some(adapter), tokens),
        _ => return Err("usage: logits MODEL_FOLDER [ADAPTER_FOLDER] TOKEN,TOKEN,…".into()),
    };
    let model = BaseModel::load(Path::new(model))?;
    let adapter = adapter.map(|folder| Adapter::load(Path::new(folder), model.config()));
    let tokens = tokens.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let flat = logits(&model, adapter.transpose()?.as_ref(), &tokens)?;
    let rows: Vec<&[f32]> = flat.chunks_exact(model.config().vocab_size).collect();
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}
