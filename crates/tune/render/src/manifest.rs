//! YAML around settings and scripts. Every value from outside goes through JSON, which YAML reads as well.

use crate::{Cluster, RenderError, SecretKey, Target};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use pelton_finetune::FinetuneSpec;
use pelton_ids::Digest;
use serde_json::json;

const TEMPLATES: [(&str, &str); 7] = [
    ("argo", include_str!("templates/argo.yaml.jinja")),
    ("config_map", include_str!("templates/config_map.yaml.jinja")),
    ("container", include_str!("templates/container.yaml.jinja")),
    ("kubernetes", include_str!("templates/kubernetes.yaml.jinja")),
    ("metadata", include_str!("templates/metadata.yaml.jinja")),
    ("security", include_str!("templates/security.yaml.jinja")),
    ("volumes", include_str!("templates/volumes.yaml.jinja")),
];
const SCRIPTS: [(&str, &str); 5] = [
    ("train_trl.py", include_str!("../trl/train_trl.py")),
    ("trainers.py", include_str!("../trl/trainers.py")),
    ("describe_run.py", include_str!("../trl/describe_run.py")),
    ("encode_examples.py", include_str!("../trl/encode_examples.py")),
    ("pelton_registry.py", include_str!("../trl/pelton_registry.py")),
];
/// Where the processes of several nodes meet.
const PORT: u16 = 29_500;
/// Characters of the model's name in the job's. With the index of a pod, the whole must be a label of DNS.
const LONGEST_SLUG: usize = 32;

pub(crate) fn manifest(
    spec: &FinetuneSpec,
    settings: &str,
    notes: &[String],
    cluster: &Cluster,
) -> Result<String, RenderError> {
    let environment = environment()?;
    let name = object_name(&spec.name, settings, cluster);
    let name = name.as_str();
    let part = |template: &str, values: Value| -> Result<String, RenderError> {
        Ok(environment.get_template(template)?.render(values)?.trim_end().to_owned())
    };
    let Cluster {
        target,
        image,
        server_url,
        namespace,
        service_account,
        api_key_secret: SecretKey { name: secret_name, key: secret_key },
        nodes,
        gpus_per_node,
        gpu_resource,
        sharding: _,
        cpu,
        memory,
        storage_claim,
        precision: _,
        micro_batch_tokens: _,
    } = cluster;
    let container = part(
        "container",
        context! {
            name, image, server_url, secret_name, secret_key, cpu, memory, gpus_per_node, gpu_resource,
            storage_claim, command => command(name, cluster), run_id => run_id(*target),
        },
    )?;
    let labels = json!({
        "app.kubernetes.io/name": "pelton-finetune",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/part-of": "pelton",
    });
    let scripts = SCRIPTS.map(|(name, text)| context! { name, text => text.trim_end() });
    let document = match target {
        Target::Kubernetes => "kubernetes",
        Target::Argo => "argo",
    };
    let text = part(
        document,
        context! {
            name, namespace, service_account, settings, labels => Serde(&labels),
            scripts => scripts.to_vec(), nodes, container,
            port => PORT, notes => notes.join(" "),
            security => part("security", context! {})?,
            volumes => part("volumes", context! { name, storage_claim })?,
        },
    )?;
    Ok(text + "\n")
}

fn environment() -> Result<Environment<'static>, RenderError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

/// The same for the same job, and another for another.
fn object_name(name: &str, settings: &str, cluster: &Cluster) -> String {
    let plain = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_lowercase() } else { '-' };
    let slug: String = name.chars().map(plain).take(LONGEST_SLUG).collect();
    let identity = Digest::of(format!("{settings}{cluster:?}").as_bytes()).hex();
    let slug = slug.trim_matches('-');
    format!("finetune-{slug}{}{}", if slug.is_empty() { "" } else { "-" }, &identity[..8])
}

fn command(name: &str, cluster: &Cluster) -> Vec<String> {
    let (nodes, processes) = (cluster.nodes, cluster.processes_per_node());
    let mut command: Vec<String> = if nodes * processes == 1 {
        vec!["python".into()]
    } else {
        let mut launcher = vec!["torchrun".into(), format!("--nproc-per-node={processes}")];
        if nodes == 1 {
            launcher.push("--standalone".into());
        } else {
            launcher.push(format!("--nnodes={nodes}"));
            launcher.push("--node-rank=$(JOB_COMPLETION_INDEX)".into());
            launcher.push(format!("--master-addr={name}-0.{name}"));
            launcher.push(format!("--master-port={PORT}"));
        }
        launcher
    };
    let script = "/etc/pelton/train_trl.py --config /etc/pelton/config.json --folder /work --downloads /downloads";
    command.extend(script.split(' ').map(str::to_owned));
    command
}

/// By which the registry knows an attempt of a run that was started again.
const fn run_id(target: Target) -> &'static str {
    match target {
        Target::Kubernetes => {
            "- name: PELTON_RUN_ID\n  valueFrom:\n    fieldRef: { fieldPath: \"metadata.labels['batch.kubernetes.io/controller-uid']\" }"
        }
        Target::Argo => "- { name: PELTON_RUN_ID, value: \"{{workflow.uid}}\" }",
    }
}
