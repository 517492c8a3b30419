//! Weights of an encoder, read from its files and laid out for reading.

use std::cell::RefCell;
use std::path::Path;

use pelton_kernels::add_bias;
use pelton_kernels::decode::{PackedLinear, Strided, StridedMut, WeightMemory};
use pelton_model::{Precision, WeightFiles};

use crate::EncoderError;

/// The tensors of a folder, below a prefix that files of bare encoders do not have.
pub(crate) struct Tensors<'a> {
    files: WeightFiles,
    folder: &'a Path,
    prefix: &'static str,
    precision: Precision,
    memory: RefCell<WeightMemory>,
}

/// A linear layer with its bias.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: PackedLinear,
    bias: Vec<f32>,
}

/// A layer normalization.
#[derive(Debug)]
pub(crate) struct Norm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

impl<'a> Tensors<'a> {
    pub(crate) fn open(
        folder: &'a Path,
        prefix: &'static str,
        precision: Precision,
    ) -> Result<Self, EncoderError> {
        let files = WeightFiles::open(folder)?;
        Ok(Self { files, folder, prefix, precision, memory: RefCell::default() })
    }

    /// A tensor of this shape, under its name with or without the prefix.
    pub(crate) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EncoderError> {
        let prefixed = format!("{}{name}", self.prefix);
        let (file, name) = match self.files.file_of(&prefixed, self.folder) {
            Ok(file) => (file, prefixed.as_str()),
            Err(_) => (self.files.file_of(name, self.folder)?, name),
        };
        // Checked before the buffer is made: a configuration must not claim more than the files.
        if file.shape(name).is_some_and(|found| found != shape) {
            file.read_into(name, shape, &mut [])?;
        }
        let mut data = vec![0.0; shape.iter().product()];
        file.read_into(name, shape, &mut data)?;
        Ok(data)
    }

    pub(crate) fn norm(&self, name: &str, width: usize) -> Result<Norm, EncoderError> {
        Ok(Norm {
            weight: self.read(&format!("{name}.weight"), &[width])?,
            bias: self.read(&format!("{name}.bias"), &[width])?,
        })
    }

    pub(crate) fn linear(
        &self,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear, EncoderError> {
        self.stacked(&[name], outputs, inputs)
    }

    /// Layers of the same shape as one, their outputs side by side.
    pub(crate) fn stacked(
        &self,
        names: &[&str],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear, EncoderError> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weight.extend(self.read(&format!("{name}.weight"), &[outputs, inputs])?);
            bias.extend(self.read(&format!("{name}.bias"), &[outputs])?);
        }
        let outputs = outputs * names.len();
        let format = self.precision.plain_format(inputs);
        let memory = &mut self.memory.borrow_mut();
        let weight = PackedLinear::new(format, &weight, outputs, inputs, memory)?;
        Ok(Linear { weight, bias })
    }
}

impl Linear {
    /// `y = x Wᵀ + b` for rows of `x`, which lie without gaps.
    pub(crate) fn run(&self, x: &[f32], y: &mut Vec<f32>) {
        let (inputs, outputs) = (self.weight.inputs(), self.weight.outputs());
        let rows = x.len() / inputs;
        y.resize(rows * outputs, 0.0);
        let input = Strided { data: x, stride: inputs };
        self.weight.store(input, rows, StridedMut { data: y, stride: outputs });
        add_bias(y, &self.bias);
    }
}
