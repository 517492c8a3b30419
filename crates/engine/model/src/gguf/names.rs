//! ggml's names of tensors.

use crate::Projection;

/// The name of a tensor that Hugging Face calls `name`.
pub(super) fn of_hugging_face(name: &str) -> Option<String> {
    let whole = match name {
        "model.embed_tokens.weight" => Some("token_embd.weight"),
        "model.norm.weight" => Some("output_norm.weight"),
        "lm_head.weight" => Some("output.weight"),
        _ => None,
    };
    if let Some(whole) = whole {
        return Some(whole.to_owned());
    }
    let (module, kind) = name.rsplit_once('.')?;
    let (layer, leaf) = match Projection::parse_module_path(module) {
        Some((layer, projection)) => (layer, leaf_of(projection)),
        None => {
            let (layer, of_layer) = module.strip_prefix("model.layers.")?.split_once('.')?;
            let leaf = match of_layer {
                "input_layernorm" => "attn_norm",
                "post_attention_layernorm" => "ffn_norm",
                "self_attn.q_norm" => "attn_q_norm",
                "self_attn.k_norm" => "attn_k_norm",
                _ => return None,
            };
            (layer.parse().ok()?, leaf)
        }
    };
    Some(format!("blk.{layer}.{leaf}.{kind}"))
}

fn leaf_of(projection: Projection) -> &'static str {
    match projection {
        Projection::Query => "attn_q",
        Projection::Key => "attn_k",
        Projection::Value => "attn_v",
        Projection::Output => "attn_output",
        Projection::Gate => "ffn_gate",
        Projection::Up => "ffn_up",
        Projection::Down => "ffn_down",
    }
}

/// Whether ggml keeps the rows of this tensor of a Llama in another order: its rotary embedding turns
/// neighboring dimensions, Hugging Face's those that are half a head apart.
pub(super) fn is_permuted(architecture: &str, name: &str) -> bool {
    architecture == "llama"
        && (name.contains("self_attn.q_proj.") || name.contains("self_attn.k_proj."))
}

/// The row at which ggml keeps the `row`-th row of a permuted tensor.
pub(super) fn permuted(row: usize, head: usize) -> usize {
    let (start, within) = (row / head * head, row % head);
    start + within % (head / 2) * 2 + within / (head / 2)
}
