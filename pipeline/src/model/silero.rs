//! Conversion of Silero's voice activity model from an ONNX file to whisper.cpp's file.

use std::collections::BTreeMap;
use std::io::Write;

use super::ggml::{self, TensorType};
use super::half_float::f32_to_f16;
use super::protobuf::{MessageFields, Value, parse_packed};
use crate::error::{Error, Result};

/// Version of the weights, which the file states.
const VERSION: [i32; 3] = [6, 2, 0];
/// Samples in a window at 16 kHz, and samples of the window before that the network takes with it.
const WINDOW_SAMPLES: [i32; 2] = [512, 64];
/// Maximum depth of graphs within graphs.
const MAX_GRAPH_DEPTH: u8 = 8;
/// Encoder layers: channels in, channels out, kernel.
const ENCODER: [[i32; 3]; 4] = [[129, 128, 3], [128, 64, 3], [64, 64, 3], [64, 128, 3]];
/// LSTM input and width, last convolution's input and output.
const DECODER: [i32; 4] = [128, 128, 128, 1];

/// The tensors in the published file's order, and the types of their numbers.
const TENSORS: [(&str, TensorType); 15] = [
    ("encoder.0.reparam_conv.weight", TensorType::F16),
    ("encoder.0.reparam_conv.bias", TensorType::F32),
    ("encoder.1.reparam_conv.weight", TensorType::F16),
    ("encoder.1.reparam_conv.bias", TensorType::F32),
    ("encoder.2.reparam_conv.weight", TensorType::F16),
    ("encoder.2.reparam_conv.bias", TensorType::F32),
    ("encoder.3.reparam_conv.weight", TensorType::F16),
    ("encoder.3.reparam_conv.bias", TensorType::F32),
    ("decoder.rnn.weight_ih", TensorType::F32),
    ("decoder.rnn.weight_hh", TensorType::F32),
    ("decoder.rnn.bias_ih", TensorType::F32),
    ("decoder.rnn.bias_hh", TensorType::F32),
    ("decoder.decoder.2.weight", TensorType::F16),
    ("decoder.decoder.2.bias", TensorType::F32),
    ("stft.forward_basis_buffer", TensorType::F16),
];

/// Converts an ONNX file, and writes whisper.cpp's file.
pub fn to_ggml(onnx: &[u8], out: &mut impl Write) -> Result<()> {
    let weights = initialisers(onnx);
    out.write_all(&ggml::MAGIC.to_le_bytes())?;
    let kind = b"silero-16k";
    out.write_all(&(kind.len() as i32).to_le_bytes())?;
    out.write_all(kind)?;
    let encoder = std::iter::once(ENCODER.len() as i32).chain(ENCODER.into_iter().flatten());
    for number in VERSION.into_iter().chain(WINDOW_SAMPLES).chain(encoder).chain(DECODER) {
        out.write_all(&number.to_le_bytes())?;
    }
    for (name, kind) in TENSORS {
        let tensor = weights
            .get(format!("model.{name}").as_str())
            .ok_or_else(|| Error::internal(format!("the voice activity model lacks {name}")))?;
        // Dimensions of 1 are left out. The spectrum's basis keeps them, because whisper.cpp
        // expects that.
        let mut shape = tensor.shape.clone();
        if !name.starts_with("stft") {
            shape.retain(|dimension| *dimension != 1);
        }
        let data = match kind {
            TensorType::F32 => tensor.data.to_vec(),
            _ => to_f16(tensor.data),
        };
        ggml::write_tensor(out, &format!("_model.{name}"), &shape, kind, &data)?;
    }
    Ok(())
}

struct Tensor<'a> {
    shape: Vec<u32>,
    data: &'a [u8],
}

/// Collects the 32-bit float initialisers of a model's graph, and of the graphs inside its nodes.
fn initialisers(onnx: &[u8]) -> BTreeMap<&str, Tensor<'_>> {
    const MODEL_GRAPH: u64 = 7;
    let mut found = BTreeMap::new();
    for (field, value) in MessageFields::new(onnx) {
        if let (MODEL_GRAPH, Value::Bytes(graph)) = (field, value) {
            collect_from_graph(graph, 0, &mut found);
        }
    }
    found
}

fn collect_from_graph<'a>(graph: &'a [u8], depth: u8, found: &mut BTreeMap<&'a str, Tensor<'a>>) {
    const NODE: u64 = 1;
    const INITIALISER: u64 = 5;
    const NODE_ATTRIBUTE: u64 = 5;
    const ATTRIBUTE_GRAPH: u64 = 6;
    for (field, value) in MessageFields::new(graph) {
        match (field, value) {
            (INITIALISER, Value::Bytes(tensor)) => collect_tensor(tensor, found),
            (NODE, Value::Bytes(node)) if depth < MAX_GRAPH_DEPTH => {
                let attributes = MessageFields::new(node).filter(|(field, _)| *field == NODE_ATTRIBUTE);
                for (_, attribute) in attributes {
                    let Value::Bytes(attribute) = attribute else { continue };
                    for (field, value) in MessageFields::new(attribute) {
                        if let (ATTRIBUTE_GRAPH, Value::Bytes(inner)) = (field, value) {
                            collect_from_graph(inner, depth + 1, found);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

fn collect_tensor<'a>(tensor: &'a [u8], found: &mut BTreeMap<&'a str, Tensor<'a>>) {
    const FLOAT: u64 = 1;
    let (mut shape, mut kind, mut name, mut data) = (Vec::new(), 0, None, None);
    for (field, value) in MessageFields::new(tensor) {
        match (field, value) {
            (1, Value::Number(dimension)) => shape.push(dimension as u32),
            (1, Value::Bytes(dimensions)) => {
                shape.extend(parse_packed(dimensions).into_iter().map(|d| d as u32))
            }
            (2, Value::Number(number)) => kind = number,
            (8, Value::Bytes(text)) => name = std::str::from_utf8(text).ok(),
            // Raw bytes, or packed floats: both little-endian.
            (4 | 9, Value::Bytes(bytes)) => data = Some(bytes),
            _ => {}
        }
    }
    if let (FLOAT, Some(name), Some(data)) = (kind, name, data) {
        found.insert(name, Tensor { shape, data });
    }
}

fn to_f16(floats: &[u8]) -> Vec<u8> {
    floats
        .chunks_exact(4)
        .flat_map(|f| f32_to_f16(f32::from_le_bytes([f[0], f[1], f[2], f[3]])).to_le_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Encodes a field with bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend(bytes);
        out
    }

    fn tensor(name: &str, shape: &[u8], value: f32) -> Vec<u8> {
        let numbers: usize = shape.iter().map(|d| *d as usize).product();
        let mut out: Vec<u8> = shape.iter().flat_map(|d| [1 << 3, *d]).collect();
        out.extend([2 << 3, 1]);
        out.extend(field(8, format!("model.{name}").as_bytes()));
        out.extend(field(9, &value.to_le_bytes().repeat(numbers)));
        out
    }

    #[test]
    fn weights_are_found_in_nested_graphs_and_written_in_order() {
        let mut outer = Vec::new();
        let mut inner = Vec::new();
        for (index, (name, _)) in TENSORS.iter().enumerate() {
            let shape: &[u8] = if name.starts_with("stft") { &[2, 1, 2] } else { &[1, 3, 1] };
            let graph = if index % 2 == 0 { &mut outer } else { &mut inner };
            graph.extend(field(5, &tensor(name, shape, index as f32)));
        }
        outer.extend(field(1, &field(5, &field(6, &inner))));
        let mut made = Vec::new();
        to_ggml(&field(7, &outer), &mut made).unwrap();
        // Magic, name with its length, 3 + 2 + 1 + 12 + 4 numbers.
        let first = &made[4 + 4 + 10 + 22 * 4..];
        assert_eq!(first[..12], [1, 0, 0, 0, 36, 0, 0, 0, 1, 0, 0, 0], "one dimension, 16 bits");
        assert_eq!(first[12..16], [3, 0, 0, 0]);
        assert!(first[16..].starts_with(b"_model.encoder.0.reparam_conv.weight"));
        assert!(made.ends_with(&f32_to_f16(14.0).to_le_bytes().repeat(4)), "the basis comes last");
        assert!(to_ggml(&field(7, &inner), &mut Vec::new()).is_err(), "weights are missing");
    }
}
