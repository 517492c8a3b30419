//! Whether a model fits the machine, before its weights are read.

use pelton_scheduler::{Decoder, Limits};

use crate::ServeError;

/// Share of the free memory that an engine may plan with: others need some, too.
const SHARE: f64 = 0.9;
/// Code, data and the buffers of a step.
const BESIDES: u64 = 128 << 20;
/// Keys and values of fewer tokens than this serve nobody.
const LEAST_TOKENS: usize = 1_024;

/// Memory that an engine may take of what is free.
fn room(free: u64) -> u64 {
    ((free as f64 * SHARE) as u64).saturating_sub(BESIDES)
}

/// Refuses weights that do not fit. `free` is what the machine has to give, where it says so.
pub(crate) fn check_weights(needed: u64, free: Option<u64>) -> Result<(), ServeError> {
    match free.map(room) {
        Some(room) if needed > room => Err(ServeError::Memory { needed, room }),
        _ => Ok(()),
    }
}

/// Lowers the room for keys and values to what is left beside the weights, which are in memory.
pub(crate) fn fit(
    limits: Limits,
    decoder: &Decoder,
    free: Option<u64>,
) -> Result<Limits, ServeError> {
    let (weights, block) = (decoder.weight_bytes() as u64, decoder.kv_block_bytes() as u64);
    let fitting = free.map_or(usize::MAX, |free| tokens_in(room(free), block));
    let kv_tokens = limits.kv_tokens.min(fitting);
    tracing::info!(
        weights_mib = weights >> 20,
        keys_and_values_mib = ((kv_tokens as u64).div_ceil(16) * block) >> 20,
        kv_tokens,
        free_mib = free.unwrap_or_default() >> 20,
        "memory of the engine"
    );
    if kv_tokens < limits.kv_tokens.min(LEAST_TOKENS) {
        let needed = LEAST_TOKENS as u64 / 16 * block;
        return Err(ServeError::Memory { needed, room: room(free.unwrap_or_default()) });
    }
    if kv_tokens < limits.kv_tokens {
        tracing::warn!(
            asked = limits.kv_tokens,
            kv_tokens,
            "memory has room for the keys and values of fewer tokens: fewer bits for the weights \
             (engine.quantization) leave more"
        );
    }
    Ok(Limits { kv_tokens, ..limits })
}

fn tokens_in(room: u64, block: u64) -> usize {
    usize::try_from(room / block.max(1) * 16).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use pelton_model::{BaseModel, DecoderConfig, Precision};

    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_numbers_and_advice() {
        assert!(check_weights(8 << 30, None).is_ok());
        assert!(check_weights(8 << 30, Some(10 << 30)).is_ok());
        let refused = check_weights(8 << 30, Some(8 << 30)).unwrap_err().to_string();
        assert!(refused.contains("8.0 GiB") && refused.contains("7.1 GiB"), "{refused}");
        assert!(refused.contains("engine.quantization"), "{refused}");
    }

    #[test]
    fn keys_and_values_get_what_is_left() {
        let model = BaseModel::initialize(DecoderConfig::small(64, 64, 64, 2, 2, 1), 1).unwrap();
        let decoder = Decoder::new(&model, Precision::F32).unwrap();
        let tokens =
            |free| fit(Limits::default(), &decoder, free).map(|limits| limits.kv_tokens).ok();
        assert_eq!(tokens(None), Some(64 * 1_024));
        assert_eq!(tokens(Some(8 << 30)), Some(64 * 1_024));
        let block = decoder.kv_block_bytes() as u64;
        let enough_for = |blocks: u64| ((blocks * block + BESIDES) as f64 / SHARE) as u64 + 1;
        assert_eq!(tokens(Some(enough_for(100))), Some(1_600));
        assert_eq!(tokens(Some(enough_for(63))), None);
    }
}
