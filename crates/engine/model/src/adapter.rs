//! A LoRA adapter: a pair of small matrices for each targeted linear layer, in PEFT's layout.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{
    AdapterConfig, DecoderConfig, ModelError, Projection, SeededNormal, TensorFile, TensorToWrite,
    write_atomically, write_tensor_file,
};

/// The change `scale · B A` of one linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraPair {
    /// Rank `r`.
    pub rank: usize,
    /// `[r, in]`, row-major.
    pub a: Vec<f32>,
    /// `[out, r]`, row-major.
    pub b: Vec<f32>,
    /// What the product is multiplied by.
    pub scale: f32,
}

impl LoraPair {
    /// Adds the change to a weight `[out, in]`.
    pub fn add_to(&self, weight: &mut [f32], input: usize) {
        for (row, b) in weight.chunks_exact_mut(input).zip(self.b.chunks_exact(self.rank)) {
            for (b, a) in b.iter().zip(self.a.chunks_exact(input)) {
                let factor = self.scale * b;
                row.iter_mut().zip(a).for_each(|(weight, a)| *weight += factor * a);
            }
        }
    }
}

/// A LoRA adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    config: AdapterConfig,
    pairs: BTreeMap<(usize, Projection), LoraPair>,
}

impl Adapter {
    /// An adapter that changes nothing yet: `A` uniform within `±1/√in`, `B` zero, as PEFT starts.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn initialize(
        config: AdapterConfig,
        base: &DecoderConfig,
        seed: u64,
    ) -> Result<Self, ModelError> {
        config.validate()?;
        let mut random = SeededNormal::new(seed);
        let mut pairs = BTreeMap::new();
        for layer in 0..base.num_hidden_layers {
            for &projection in &config.targets {
                let (out, input) = projection.shape(base);
                let bound = 1.0 / (input as f64).sqrt();
                let draw = || ((random.uniform() * 2.0 - 1.0) * bound) as f32;
                let mut a = vec![0.0; config.rank * input];
                a.fill_with(draw);
                let b = vec![0.0; out * config.rank];
                let scale = config.scale() as f32;
                pairs.insert((layer, projection), LoraPair { rank: config.rank, a, b, scale });
            }
        }
        Ok(Self { config, pairs })
    }

    /// Loads `adapter_config.json` and `adapter_model.safetensors` for a base model.
    ///
    /// # Errors
    /// When a file is missing or damaged, the adapter uses something that is not computed, or it
    /// was made for another base.
    pub fn load(folder: &Path, base: &DecoderConfig) -> Result<Self, ModelError> {
        let path = folder.join("adapter_config.json");
        let text = std::fs::read_to_string(&path).map_err(ModelError::io("read", &path))?;
        let value = serde_json::from_str(&text)
            .map_err(|source| ModelError::Json { path: path.clone(), source })?;
        let config = AdapterConfig::from_peft(&value, &path)?;
        let file = TensorFile::open(&folder.join("adapter_model.safetensors"))?;
        refuse_other_tensors(&file, &config, base)?;
        let mut pairs = BTreeMap::new();
        for layer in 0..base.num_hidden_layers {
            for &projection in &config.targets {
                let (out, input) = projection.shape(base);
                let rank = config.rank;
                let mut a = vec![0.0; rank * input];
                let mut b = vec![0.0; out * rank];
                file.read_into(&tensor_name(layer, projection, 'A'), &[rank, input], &mut a)?;
                file.read_into(&tensor_name(layer, projection, 'B'), &[out, rank], &mut b)?;
                let scale = config.scale() as f32;
                pairs.insert((layer, projection), LoraPair { rank, a, b, scale });
            }
        }
        Ok(Self { config, pairs })
    }

    /// Writes both files into a folder, which is made if needed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        std::fs::create_dir_all(folder).map_err(ModelError::io("create", folder))?;
        let mut tensors = Vec::new();
        for (&(layer, projection), pair) in &self.pairs {
            let (rank, input) = (pair.rank, pair.a.len() / pair.rank);
            tensors.push(TensorToWrite {
                name: tensor_name(layer, projection, 'A'),
                shape: vec![rank, input],
                data: &pair.a,
            });
            tensors.push(TensorToWrite {
                name: tensor_name(layer, projection, 'B'),
                shape: vec![pair.b.len() / rank, rank],
                data: &pair.b,
            });
        }
        write_tensor_file(&folder.join("adapter_model.safetensors"), &tensors)?;
        let path = folder.join("adapter_config.json");
        let json = serde_json::to_vec_pretty(&self.config.to_peft())
            .map_err(|source| ModelError::Json { path: path.clone(), source })?;
        write_atomically(&path, &json)
    }

    /// Rank, scale and targets.
    #[must_use]
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// Says which base the adapter belongs to, by name or path.
    pub fn name_base(&mut self, name: &str) {
        name.clone_into(&mut self.config.base_model);
    }

    /// The pair of one linear layer, if it is targeted.
    #[must_use]
    pub fn pair(&self, layer: usize, projection: Projection) -> Option<&LoraPair> {
        self.pairs.get(&(layer, projection))
    }

    /// All pairs, by layer and projection.
    pub fn pairs(&self) -> impl Iterator<Item = ((usize, Projection), &LoraPair)> {
        self.pairs.iter().map(|(key, pair)| (*key, pair))
    }

    /// All pairs, by layer and projection, to change.
    pub fn pairs_mut(&mut self) -> impl Iterator<Item = ((usize, Projection), &mut LoraPair)> {
        self.pairs.iter_mut().map(|(key, pair)| (*key, pair))
    }

    /// Refuses a base of another shape.
    ///
    /// # Errors
    /// Names the layer that does not fit.
    pub fn check_fits(&self, base: &DecoderConfig) -> Result<(), ModelError> {
        for ((layer, projection), pair) in self.pairs() {
            let (out, input) = projection.shape(base);
            if layer >= base.num_hidden_layers
                || pair.a.len() != pair.rank * input
                || pair.b.len() != out * pair.rank
            {
                return Err(ModelError::InvalidConfig(format!(
                    "the adapter does not fit the base at {}",
                    projection.module_path(layer)
                )));
            }
        }
        Ok(())
    }
}

const PREFIX: &str = "base_model.model.";

fn tensor_name(layer: usize, projection: Projection, side: char) -> String {
    format!("{PREFIX}{}.lora_{side}.weight", projection.module_path(layer))
}

fn refuse_other_tensors(
    file: &TensorFile,
    config: &AdapterConfig,
    base: &DecoderConfig,
) -> Result<(), ModelError> {
    for name in file.names() {
        let module = name.strip_prefix(PREFIX).and_then(|name| {
            name.strip_suffix(".lora_A.weight").or_else(|| name.strip_suffix(".lora_B.weight"))
        });
        let known =
            module.and_then(Projection::parse_module_path).is_some_and(|(layer, projection)| {
                layer < base.num_hidden_layers && config.targets.contains(&projection)
            });
        if !known {
            return Err(ModelError::Unsupported {
                path: file.path().to_owned(),
                reason: format!(
                    "tensor {name} is no lora_A or lora_B of a target in this base's {} layers",
                    base.num_hidden_layers
                ),
            });
        }
    }
    Ok(())
}
