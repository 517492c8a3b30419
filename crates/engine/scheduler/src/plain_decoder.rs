//! The decoder written down as the formulas have it, in f64 and without a cache: what the engine is
//! compared with.

use pelton_model::{BaseModel, Projection, Rotary, Span};

/// Logits after each token of a sequence.
pub(crate) fn logits(model: &BaseModel, tokens: &[u32]) -> Vec<Vec<f64>> {
    let config = model.config();
    let layout = model.layout();
    let hidden = config.hidden_size;
    let head_dim = config.head_size();
    let group = config.num_attention_heads / config.kv_heads();
    let rotary = config.rotary().unwrap();
    let embedding = model.tensor(layout.embedding);
    let mut x: Vec<Vec<f64>> =
        tokens.iter().map(|&token| wide(&embedding[token as usize * hidden..][..hidden])).collect();
    for (index, layer) in layout.layers.iter().enumerate() {
        let project = |x: &[f64], projection| {
            let mut y = multiply(model.projection(index, projection), x);
            if let Some(bias) = layer.bias(projection) {
                add(&mut y, &wide(model.tensor(bias)));
            }
            y
        };
        let window = config.window(index).unwrap_or(usize::MAX);
        let normed: Vec<Vec<f64>> = x
            .iter()
            .map(|x| norm(x, model.tensor(layer.attention_norm), config.rms_norm_eps))
            .collect();
        let rotated = |projection, head_norm: Option<Span>| -> Vec<Vec<f64>> {
            normed
                .iter()
                .enumerate()
                .map(|(at, x)| {
                    let heads = project(x, projection);
                    let heads: Vec<f64> = match head_norm {
                        Some(span) => heads
                            .chunks(head_dim)
                            .flat_map(|head| norm(head, model.tensor(span), config.rms_norm_eps))
                            .collect(),
                        None => heads,
                    };
                    rotate(&heads, at, &rotary)
                })
                .collect()
        };
        let q = rotated(Projection::Query, layer.query_norm);
        let k = rotated(Projection::Key, layer.key_norm);
        let v: Vec<Vec<f64>> = normed.iter().map(|x| project(x, Projection::Value)).collect();
        for (at, x) in x.iter_mut().enumerate() {
            let mut mixed = Vec::new();
            for (head, q) in q[at].chunks(head_dim).enumerate() {
                let of = |row: &'_ Vec<f64>| row[head / group * head_dim..][..head_dim].to_vec();
                let seen = (at + 1).saturating_sub(window)..=at;
                let scores: Vec<f64> = seen
                    .clone()
                    .map(|past| dot(q, &of(&k[past])) / (head_dim as f64).sqrt())
                    .collect();
                let weights = softmax(&scores);
                for d in 0..head_dim {
                    let values = seen.clone().map(|past| of(&v[past])[d]);
                    mixed.push(weights.iter().zip(values).map(|(weight, v)| weight * v).sum());
                }
            }
            add(x, &project(&mixed, Projection::Output));
            let normed = norm(x, model.tensor(layer.mlp_norm), config.rms_norm_eps);
            let gate = project(&normed, Projection::Gate);
            let up = project(&normed, Projection::Up);
            let inner: Vec<f64> =
                gate.iter().zip(&up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
            add(x, &project(&inner, Projection::Down));
        }
    }
    x.iter()
        .map(|x| {
            let normed = norm(x, model.tensor(layout.final_norm), config.rms_norm_eps);
            multiply(model.tensor(layout.head()), &normed)
        })
        .collect()
}

fn wide(row: &[f32]) -> Vec<f64> {
    row.iter().map(|&value| f64::from(value)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

fn multiply(weight: &[f32], x: &[f64]) -> Vec<f64> {
    weight.chunks(x.len()).map(|row| dot(&wide(row), x)).collect()
}

fn norm(x: &[f64], weight: &[f32], eps: f64) -> Vec<f64> {
    let scale = 1.0 / (dot(x, x) / x.len() as f64 + eps).sqrt();
    x.iter().zip(weight).map(|(x, &w)| x * scale * f64::from(w)).collect()
}

fn rotate(row: &[f64], position: usize, rotary: &Rotary) -> Vec<f64> {
    let half = rotary.frequencies.len();
    let mut out = row.to_vec();
    for head in out.chunks_mut(2 * half) {
        for (at, frequency) in rotary.frequencies.iter().enumerate() {
            let (sin, cos) = (position as f64 * frequency).sin_cos();
            let (a, b) = (head[at] * rotary.scale, head[at + half] * rotary.scale);
            head[at] = a * cos - b * sin;
            head[at + half] = b * cos + a * sin;
        }
    }
    out
}

pub(crate) fn softmax(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}
