//! What TRL on a cluster can do of what a fine-tune may ask for.

use crate::{Cluster, RenderError, Sharding, Target};
use pelton_finetune::{BasePrecision, FinetuneSpec, Hyperparameters};

/// Characters of a model's name at most, as in the registry.
const LONGEST_NAME: usize = 128;

/// Refuses what the job could not do.
pub(crate) fn check(spec: &FinetuneSpec, cluster: &Cluster) -> Result<(), RenderError> {
    if !is_model_name(&spec.name) {
        let value = spec.name.chars().take(80).collect();
        let expected = "letters, digits, `.`, `_`, `-` and `/`, a letter or digit first";
        return Err(RenderError::Invalid { field: "name", value, expected });
    }
    let asks = |value: Option<f64>| value.is_some_and(|value| value > 0.0);
    let quantized = spec.base_precision == BasePrecision::Q8_0;
    let sharded = cluster.sharding == Sharding::Fsdp;
    let here = "Leave it out, or train with `pelton finetune create`.";
    let refusals = [
        (asks(spec.rehearsal), "`rehearsal`: TRL mixes in no base tasks", here),
        (asks(spec.kl_to_base), "`kl_to_base`: TRL's SFTTrainer holds to no base", here),
        (spec.teacher.is_some(), "`teacher`: distillation is not rendered for clusters", here),
        (spec.shuffle_labels, "`shuffle_labels`: controls are not rendered for clusters", here),
        (
            quantized && sharded,
            "a base in 8 bits cannot be sharded",
            "Take sharding `none` or base precision f32.",
        ),
        (
            sharded && spec.preferences.is_some(),
            "preference pairs are not rendered with sharding",
            "Take sharding `none`.",
        ),
        (
            sharded && cluster.nodes * cluster.gpus_per_node < 2,
            "sharding divides a model among GPUs, and there are fewer than two",
            "Give more `gpus_per_node` or `nodes`, or take sharding `none`.",
        ),
        (
            cluster.target == Target::Argo && cluster.nodes > 1,
            "an Argo template trains on one node: its steps have no stable names to meet at",
            "Take the target `kubernetes`, whose Job does, or one node with more GPUs.",
        ),
        (
            cluster.nodes > 1 && cluster.storage_claim.is_none(),
            "several nodes need a common volume to go on together from a checkpoint",
            "Give `storage_claim`, a claim with access mode ReadWriteMany.",
        ),
    ];
    match refusals.into_iter().find(|(refused, ..)| *refused) {
        Some((_, what, hint)) => Err(RenderError::Unsupported { what, hint }),
        None => Ok(()),
    }
}

/// Whether the registry will take the name: it would refuse only when hours of training are over.
fn is_model_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|it| it.is_ascii_alphanumeric() || "._-/".contains(it))
        && name.split('/').all(|part| !["", ".", ".."].contains(&part))
}

/// What the job does otherwise than Pelton's own trainer would, and what it needs.
pub(crate) fn notes(spec: &FinetuneSpec, cluster: &Cluster) -> Vec<String> {
    let mut notes = Vec::new();
    let secret = &cluster.api_key_secret;
    notes.push(format!(
        "The job reads its API key, with the scopes read and write, from `{}` of the Secret `{}`.",
        secret.key, secret.name
    ));
    if spec.base.starts_with("pelton/pelton-tiny@") && Hyperparameters::wants_rehearsal(spec) {
        notes.push(
            "Pelton's own trainer would mix in base tasks against forgetting and hold the model to the base \
             on them (rehearsal, kl_to_base); this job does not. Evaluate what the base could do before."
                .into(),
        );
    }
    if spec.base_precision == BasePrecision::Q8_0 {
        notes.push("The base is kept in 8 bits by bitsandbytes (LLM.int8), not as Q8_0.".into());
    }
    if cluster.storage_claim.is_none() {
        notes.push(match cluster.target {
            Target::Kubernetes => {
                "Checkpoints outlive a crash of the container, but not of the pod: give a storage claim for that."
                    .into()
            }
            Target::Argo => "A retry starts over: give a storage claim, so that it goes on.".into(),
        });
    }
    notes
}
