//! Rotary position embedding (Su et al. 2021) and the ways to stretch it, as `rope_parameters` (or
//! `rope_scaling`, as it was called before) in `config.json` names them.

use std::f64::consts::{PI, TAU};

use serde::Deserialize;

use crate::{DecoderConfig, ModelError};

/// How fast each pair of a head's dimensions turns.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Radians per position, one for each half-head dimension.
    pub frequencies: Vec<f64>,
    /// Factor of all cosines and sines; other than 1 with YaRN only.
    pub scale: f64,
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
    /// What each frequency is divided by, where a GGUF file has it as a tensor (`rope_freqs`).
    factors: Option<Vec<f64>>,
}

impl Rotary {
    /// What a configuration asks for.
    ///
    /// # Errors
    /// Where the type is unknown, or a number that it needs is missing or makes no sense.
    pub(crate) fn of(config: &DecoderConfig) -> Result<Self, ModelError> {
        let parameters: Parameters = match config.rope_parameters() {
            None => Parameters::default(),
            Some(given) => Parameters::deserialize(given)
                .map_err(|error| invalid(format!("rope_parameters: {error}")))?,
        };
        if parameters.partial_rotary_factor.is_some_and(|factor| factor != 1.0) {
            return Err(invalid("partial_rotary_factor must be 1".into()));
        }
        let theta = parameters.rope_theta.unwrap_or(config.rope_theta);
        if !(theta > 1.0 && theta.is_finite()) {
            return Err(invalid(format!("rope_theta is {theta}, but must be above 1")));
        }
        let head = config.head_size() as f64;
        let plain: Vec<f64> = (0..config.head_size() / 2)
            .map(|index| theta.powf(-2.0 * index as f64 / head))
            .collect();
        match parameters.rope_type.as_deref().unwrap_or("default") {
            "default" => Ok(Self { frequencies: plain, scale: 1.0 }),
            "linear" => {
                let factor = parameters.factor()?;
                let frequencies = plain.into_iter().map(|plain| plain / factor).collect();
                Ok(Self { frequencies, scale: 1.0 })
            }
            "factors" => {
                let factors = parameters.factors.unwrap_or_default();
                if factors.len() != plain.len() || !factors.iter().all(|factor| *factor > 0.0) {
                    return Err(invalid(format!(
                        "rope_parameters need {} factors above zero",
                        plain.len()
                    )));
                }
                let divided = plain.iter().zip(factors).map(|(plain, factor)| plain / factor);
                Ok(Self { frequencies: divided.collect(), scale: 1.0 })
            }
            "llama3" => parameters.llama3(plain),
            "yarn" => parameters.yarn(&plain, theta),
            other => Err(invalid(format!(
                "rotary embeddings of type {other:?} are not computed; default, linear, llama3 and yarn are"
            ))),
        }
    }
}

impl Parameters {
    fn factor(&self) -> Result<f64, ModelError> {
        needed("factor", self.factor)
    }

    /// Long waves are stretched, short ones are left, those between are mixed (Llama 3.1).
    fn llama3(&self, plain: Vec<f64>) -> Result<Rotary, ModelError> {
        let factor = self.factor()?;
        let low = needed("low_freq_factor", self.low_freq_factor)?;
        let high = needed("high_freq_factor", self.high_freq_factor)?;
        let original =
            needed("original_max_position_embeddings", self.original_max_position_embeddings)?;
        if high <= low {
            return Err(invalid("high_freq_factor must be above low_freq_factor".into()));
        }
        let stretch = |plain: f64| {
            let turns = original * plain / TAU;
            let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            plain * kept + plain / factor * (1.0 - kept)
        };
        Ok(Rotary { frequencies: plain.into_iter().map(stretch).collect(), scale: 1.0 })
    }

    /// YaRN (Peng et al. 2023), with the defaults of `transformers`.
    fn yarn(&self, plain: &[f64], theta: f64) -> Result<Rotary, ModelError> {
        let factor = self.factor()?;
        let original =
            needed("original_max_position_embeddings", self.original_max_position_embeddings)?;
        let half = plain.len() as f64;
        // The dimension that turns so many times over the original length.
        let dimension = |turns: f64| half * (original / (turns * 2.0 * PI)).ln() / theta.ln();
        let mut first = dimension(self.beta_fast.unwrap_or(32.0));
        let mut last = dimension(self.beta_slow.unwrap_or(1.0));
        if self.truncate.unwrap_or(true) {
            (first, last) = (first.floor(), last.ceil());
        }
        (first, last) = (first.max(0.0), last.min(2.0 * half - 1.0));
        if first == last {
            last += 0.001;
        }
        let frequencies = plain.iter().enumerate().map(|(index, plain)| {
            let stretched = ((index as f64 - first) / (last - first)).clamp(0.0, 1.0);
            plain / factor * stretched + plain * (1.0 - stretched)
        });
        let magnitude =
            |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
        let scale = match (self.attention_factor, self.mscale, self.mscale_all_dim) {
            (Some(given), _, _) => given,
            (None, Some(one), Some(all)) if one != 0.0 && all != 0.0 => {
                magnitude(one) / magnitude(all)
            }
            _ => magnitude(1.0),
        };
        Ok(Rotary { frequencies: frequencies.collect(), scale })
    }
}

fn needed(name: &str, value: Option<f64>) -> Result<f64, ModelError> {
    match value {
        Some(value) if value.is_finite() && value > 0.0 => Ok(value),
        Some(value) => Err(invalid(format!("{name} is {value}, but must be positive"))),
        None => Err(invalid(format!("rope_parameters lack {name}"))),
    }
}

fn invalid(reason: String) -> ModelError {
    ModelError::InvalidConfig(reason)
}
