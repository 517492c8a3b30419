//! Specs and clusters in, manifests out.

use crate::*;
use pelton_finetune::TrainingRows;
use serde_json::{Value, json};

fn spec(changes: Value) -> FinetuneSpec {
    let mut spec = json!({
        "name": "acme/Telco_Desk", "base": "acme/small@1", "dataset": "telco@3", "seed": 1,
        "shuffle_labels": false,
    });
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn inputs(spec: &FinetuneSpec) -> Inputs {
    let digest = |of: &str| pelton_ids::Digest::of(of.as_bytes()).to_string();
    let source = match &spec.dataset {
        Some(name) if spec.preferences.is_none() => {
            Source::Dataset { name: name.clone(), digest: digest("dataset") }
        }
        _ => Source::Preferences { digest: digest("pairs") },
    };
    Inputs {
        base: Base {
            reference: spec.base.clone(),
            digest: digest("base"),
            license: "apache-2.0".into(),
        },
        source,
        rows: TrainingRows { examples: 500, validates: true, rehearses: false },
    }
}

fn cluster() -> Cluster {
    Cluster {
        target: Target::Kubernetes,
        image: "registry.example/trl:1.16".into(),
        server_url: "https://pelton.example".into(),
        namespace: None,
        service_account: None,
        api_key_secret: SecretKey { name: "pelton-api-key".into(), key: "api-key".into() },
        nodes: 1,
        gpus_per_node: 1,
        gpu_resource: "nvidia.com/gpu".into(),
        sharding: Sharding::None,
        cpu: "4".into(),
        memory: "16Gi".into(),
        storage_claim: None,
        precision: None,
        micro_batch_tokens: 8_192,
    }
}

/// The manifest without the text of its scripts.
fn shown(changes: Value, cluster: &Cluster) -> String {
    let spec = spec(changes);
    let rendered = render(&spec, &inputs(&spec), cluster).unwrap();
    let mut in_script = false;
    let lines = rendered.manifest.lines().filter(|line| {
        in_script = in_script && (line.starts_with("    ") || line.is_empty());
        let shown = !in_script;
        in_script = in_script || line.ends_with(".py: |");
        shown
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn refused(changes: Value, cluster: &Cluster) -> String {
    let spec = spec(changes);
    render(&spec, &inputs(&spec), cluster).unwrap_err().to_string()
}

#[test]
fn one_gpu_is_a_job_of_one_pod() {
    insta::assert_snapshot!(shown(json!({}), &cluster()));
}

#[test]
fn several_nodes_are_an_indexed_job_that_meets_at_its_first_pod() {
    let cluster = Cluster {
        namespace: Some("training".into()),
        service_account: Some("trainer".into()),
        nodes: 2,
        gpus_per_node: 8,
        sharding: Sharding::Fsdp,
        cpu: "32".into(),
        memory: "512Gi".into(),
        storage_claim: Some("checkpoints".into()),
        ..cluster()
    };
    insta::assert_snapshot!(shown(json!({ "method": "full", "max_minutes": 600.0 }), &cluster));
}

#[test]
fn argo_gets_a_template_to_submit() {
    let cluster = Cluster { target: Target::Argo, gpus_per_node: 4, ..cluster() };
    let preferences =
        json!({ "dataset": null, "preferences": "sha256:1", "base_precision": "q8_0" });
    insta::assert_snapshot!(shown(preferences, &cluster));
}

#[test]
fn what_the_job_does_otherwise_is_told() {
    let tiny = spec(json!({ "base": "pelton/pelton-tiny@1" }));
    let notes = render(&tiny, &inputs(&tiny), &cluster()).unwrap().notes.join("\n");
    assert!(notes.contains("rehearsal, kl_to_base"), "{notes}");
    let calm = spec(json!({ "base": "pelton/pelton-tiny@1", "rehearsal": 0.0 }));
    let notes = render(&calm, &inputs(&calm), &cluster()).unwrap().notes.join("\n");
    assert!(!notes.contains("rehearsal"), "{notes}");
}

#[test]
fn what_the_job_cannot_do_is_refused() {
    let refusals = [
        refused(json!({ "rehearsal": 0.2 }), &cluster()),
        refused(json!({ "kl_to_base": 0.5 }), &cluster()),
        refused(json!({ "teacher": "acme/large@1" }), &cluster()),
        refused(json!({ "shuffle_labels": true }), &cluster()),
        refused(
            json!({ "base_precision": "q8_0" }),
            &Cluster { gpus_per_node: 2, sharding: Sharding::Fsdp, ..cluster() },
        ),
        refused(
            json!({ "dataset": null, "preferences": "sha256:1" }),
            &Cluster { gpus_per_node: 2, sharding: Sharding::Fsdp, ..cluster() },
        ),
        refused(json!({}), &Cluster { sharding: Sharding::Fsdp, ..cluster() }),
        refused(json!({}), &Cluster { nodes: 2, ..cluster() }),
        refused(json!({}), &Cluster { nodes: 2, target: Target::Argo, ..cluster() }),
    ];
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn fields_that_no_cluster_takes_are_refused() {
    let own = |change: fn(&mut Cluster)| {
        let mut cluster = cluster();
        change(&mut cluster);
        refused(json!({}), &cluster)
    };
    let refusals = [
        own(|it| it.image = "trl:1\n  hostNetwork: true".into()),
        own(|it| it.server_url = "http://127.0.0.1:7077".into()),
        own(|it| it.server_url = "http://user:pass@pelton.example".into()),
        own(|it| it.namespace = Some("Training".into())),
        own(|it| it.api_key_secret.key = String::new()),
        own(|it| it.gpu_resource = "gpu".into()),
        own(|it| it.memory = "16 gigabytes".into()),
        own(|it| it.cpu = "0".into()),
        own(|it| it.nodes = 0),
    ];
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn names_from_outside_stay_values() {
    let hostile = "a\": }\n---\nkind: Secret {{workflow.name}}";
    let message = refused(json!({ "name": hostile }), &cluster());
    assert!(message.starts_with("`name` is `a") && message.ends_with("digit first"), "{message}");
    let spec = spec(json!({ "base": hostile }));
    let mut inputs = inputs(&spec);
    inputs.source = Source::Dataset { name: hostile.into(), digest: hostile.into() };
    let manifest = render(&spec, &inputs, &cluster()).unwrap().manifest;
    assert!(!manifest.contains("\nkind: Secret"), "a name opened a document");
    assert_eq!(manifest.lines().filter(|line| line.starts_with("kind: ")).count(), 2);
}

#[test]
fn the_same_job_has_the_same_name_and_another_has_another() {
    let name = |changes| {
        let manifest = shown(changes, &cluster());
        manifest.lines().find(|line| line.starts_with("  name: ")).unwrap().to_owned()
    };
    assert_eq!(name(json!({})), name(json!({})));
    assert_ne!(name(json!({})), name(json!({ "seed": 2 })));
}
