//! Where and with what a job runs.

use crate::RenderError;

/// Nodes of a job at most.
const MOST_NODES: u32 = 256;
/// GPUs of a node at most.
const MOST_GPUS: u32 = 64;
const LONGEST: usize = 253;

/// Whether a text is what a field takes.
type Fits = fn(&str) -> bool;

/// Where and with what a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// What the job is rendered as.
    pub target: Target,
    /// The container image, with Python, TRL and what TRL needs in it.
    pub image: String,
    /// Pelton's address, as the cluster reaches it.
    pub server_url: String,
    /// The namespace; that of `kubectl` without.
    pub namespace: Option<String>,
    /// The service account; the namespace's default one without.
    pub service_account: Option<String>,
    /// Where the API key lies.
    pub api_key_secret: SecretKey,
    /// Machines that train together.
    pub nodes: u32,
    /// GPUs on each; none to train on the CPU.
    pub gpus_per_node: u32,
    /// The resource that counts GPUs.
    pub gpu_resource: String,
    /// How the model is divided among GPUs.
    pub sharding: Sharding,
    /// CPUs of each node, a Kubernetes quantity.
    pub cpu: String,
    /// Memory of each node, a Kubernetes quantity.
    pub memory: String,
    /// A claim of a volume for checkpoints, which then outlive a lost pod.
    pub storage_claim: Option<String>,
    /// What is computed with; bfloat16 on GPUs and 32 bits on a CPU without.
    pub precision: Option<Precision>,
    /// Tokens of one forward pass of one GPU at most, about.
    pub micro_batch_tokens: u32,
}

/// What a job is rendered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A Kubernetes Job.
    Kubernetes,
    /// An Argo WorkflowTemplate.
    Argo,
}

/// How the model is divided among GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharding {
    /// Not at all: each GPU has all of it and some of the examples.
    None,
    /// PyTorch's fully sharded data parallelism.
    Fsdp,
}

/// What is computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 16 bits, with sums in 32.
    Bf16,
    /// 32 bits.
    F32,
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKey {
    /// The Secret.
    pub name: String,
    /// The key in it.
    pub key: String,
}

impl Sharding {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fsdp => "fsdp",
        }
    }
}

impl Precision {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
        }
    }
}

impl Cluster {
    /// What is computed with.
    pub(crate) fn precision_in_force(&self) -> Precision {
        let usual = if self.gpus_per_node > 0 { Precision::Bf16 } else { Precision::F32 };
        self.precision.unwrap_or(usual)
    }

    /// Processes on each node.
    pub(crate) fn processes_per_node(&self) -> u32 {
        self.gpus_per_node.max(1)
    }

    /// Refuses what no cluster would take.
    pub(crate) fn check(&self) -> Result<(), RenderError> {
        let Self {
            target: _,
            image,
            server_url,
            namespace,
            service_account,
            api_key_secret: SecretKey { name, key },
            nodes,
            gpus_per_node,
            gpu_resource,
            sharding: _,
            cpu,
            memory,
            storage_claim,
            precision: _,
            micro_batch_tokens,
        } = self;
        let name_of_object = "a name of lower-case letters, digits, `-` and `.`";
        let quantity = "a quantity such as 8, 500m or 32Gi";
        let texts: [(_, Option<&str>, Fits, _); 9] = [
            ("image", Some(image), is_image, "an image such as registry.example/trl:1.16"),
            ("namespace", namespace.as_deref(), is_name, name_of_object),
            ("service_account", service_account.as_deref(), is_name, name_of_object),
            ("storage_claim", storage_claim.as_deref(), is_name, name_of_object),
            ("api_key_secret", Some(name), is_name, "NAME/KEY of a Secret"),
            ("api_key_secret", Some(key), is_key, "NAME/KEY of a Secret"),
            ("gpu_resource", Some(gpu_resource), is_resource, "a resource such as nvidia.com/gpu"),
            ("cpu", Some(cpu), is_quantity, quantity),
            ("memory", Some(memory), is_quantity, quantity),
        ];
        for (field, value, fits, expected) in texts {
            if let Some(value) = value.filter(|value| value.len() > LONGEST || !fits(value)) {
                return Err(invalid(field, value, expected));
            }
        }
        if !is_address(server_url) {
            let expected = "an address that pods reach, such as https://pelton.example";
            return Err(invalid("server_url", server_url, expected));
        }
        let counts = [
            ("nodes", *nodes, 1, MOST_NODES, "1 to 256"),
            ("gpus_per_node", *gpus_per_node, 0, MOST_GPUS, "0 to 64"),
            ("micro_batch_tokens", *micro_batch_tokens, 1, 1 << 24, "1 to 16777216"),
        ];
        for (field, value, least, most, expected) in counts {
            if !(least..=most).contains(&value) {
                return Err(invalid(field, &value.to_string(), expected));
            }
        }
        Ok(())
    }
}

fn invalid(field: &'static str, value: &str, expected: &'static str) -> RenderError {
    RenderError::Invalid { field, value: value.chars().take(80).collect(), expected }
}

/// A DNS subdomain (RFC 1123), as Kubernetes names most things.
fn is_name(text: &str) -> bool {
    text.split('.').all(|label| {
        let ends = [label.chars().next(), label.chars().last()];
        ends.iter().all(|end| end.is_some_and(lower_or_digit))
            && label.chars().all(|it| lower_or_digit(it) || it == '-')
    })
}

const fn lower_or_digit(it: char) -> bool {
    it.is_ascii_lowercase() || it.is_ascii_digit()
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|it| it.is_ascii_alphanumeric() || "-_.".contains(it))
}

fn is_image(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|it| it.is_ascii_alphanumeric() || "-_./:@".contains(it))
}

fn is_resource(text: &str) -> bool {
    text.split_once('/').is_some_and(|(domain, name)| is_name(domain) && is_key(name))
}

fn is_quantity(text: &str) -> bool {
    let number = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let unit = &text[number.len()..];
    let units = ["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"];
    number.starts_with(|first: char| first.is_ascii_digit())
        && number.chars().all(|it| it.is_ascii_digit() || it == '.')
        && number.parse::<f64>().is_ok_and(|number| number > 0.0)
        && units.contains(&unit)
}

/// An address of HTTP without credentials, and not this machine's own, which a pod cannot reach.
fn is_address(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or_default();
    let own = ["localhost", "127.", "[::1]", "0.0.0.0"];
    !host.is_empty()
        && text.len() <= 2_000
        && !own.iter().any(|own| host.starts_with(own))
        && text.chars().all(|it| it.is_ascii_alphanumeric() || "-._~:/[]".contains(it))
}
