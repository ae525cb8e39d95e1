//! Conversion of CTranslate2's Whisper weights to whisper.cpp's file of 16-bit weights.
//!
//! Tensors keep the names and the order of the original checkpoint. Fused attention projections are
//! split. The key's bias, always zero, is left out.

use std::collections::BTreeMap;
use std::io::Write;

use super::ctranslate2::{TYPE_F16, TYPE_I16, Variable};
use super::ggml::{self, TensorType};
use super::half_float::f16_to_f32;
use super::vocabulary;
use crate::error::{Error, Result};
use crate::mel;

type Variables<'a> = BTreeMap<String, Variable<'a>>;

/// Size of the smallest multilingual vocabulary, in tokens.
const MIN_MULTILINGUAL_TOKENS: u32 = 51865;
/// Maximum number of layers on either side; more than any Whisper model has.
const MAX_LAYERS: u32 = 64;

/// Writes whisper.cpp's file.
pub fn to_ggml(variables: &Variables<'_>, vocabulary_text: &str, out: &mut impl Write) -> Result<()> {
    let weights = Weights { variables };
    let [vocabulary_size, width] = weights.shape("decoder/embeddings/weight")?;
    let [audio_positions, audio_width] = weights.shape("encoder/position_encodings/encodings")?;
    let [text_positions, _] = weights.shape("decoder/position_encodings/encodings")?;
    let (audio_layers, text_layers) = (weights.layers("encoder"), weights.layers("decoder"));
    let header = [
        vocabulary_size,
        audio_positions,
        audio_width,
        weights.heads("encoder")?,
        audio_layers,
        text_positions,
        width,
        weights.heads("decoder")?,
        text_layers,
        ggml::BANDS as u32,
        ggml::FILE_F16 as u32,
    ];
    // The loader adds the special tokens itself.
    let text_tokens = if vocabulary_size >= MIN_MULTILINGUAL_TOKENS { 50257 } else { 50256 };
    let tokens = vocabulary::parse_tokens(vocabulary_text, text_tokens.min(vocabulary_size as usize))?;
    ggml::write_header(out, header.map(|n| n as i32), &mel::filters(ggml::BANDS), &tokens)?;

    let mut writer = TensorWriter { weights: &weights, out };
    writer.write_as_f32("encoder/position_encodings/encodings", "encoder.positional_embedding")?;
    for conv in ["conv1", "conv2"] {
        writer.write_as_f16(&format!("encoder/{conv}/weight"), &format!("encoder.{conv}.weight"))?;
        writer.write_bias_column(&format!("encoder/{conv}/bias"), &format!("encoder.{conv}.bias"))?;
    }
    for layer in 0..audio_layers {
        writer.write_layer("encoder", layer, false)?;
    }
    writer.write_norm("encoder/layer_norm", "encoder.ln_post")?;
    writer.write_as_f32("decoder/position_encodings/encodings", "decoder.positional_embedding")?;
    writer.write_as_f16("decoder/embeddings/weight", "decoder.token_embedding.weight")?;
    for layer in 0..text_layers {
        writer.write_layer("decoder", layer, true)?;
    }
    writer.write_norm("decoder/layer_norm", "decoder.ln")
}

struct Weights<'a> {
    variables: &'a Variables<'a>,
}

impl<'a> Weights<'a> {
    fn get(&self, name: &str) -> Result<&'a Variable<'a>> {
        self.variables.get(name).ok_or_else(|| Error::internal(format!("the weights lack {name}")))
    }

    fn f16_variable(&self, name: &str) -> Result<&'a Variable<'a>> {
        let variable = self.get(name)?;
        if variable.type_code == TYPE_F16 {
            Ok(variable)
        } else {
            Err(Error::internal(format!("{name} is not 16-bit")))
        }
    }

    fn shape<const N: usize>(&self, name: &str) -> Result<[u32; N]> {
        let shape = &self.get(name)?.shape;
        shape
            .as_slice()
            .try_into()
            .map_err(|_| Error::internal(format!("{name} has {} dimensions", shape.len())))
    }

    fn heads(&self, side: &str) -> Result<u32> {
        match self.get(&format!("{side}/num_heads"))? {
            Variable { type_code: TYPE_I16, data: [low, high], .. } => {
                Ok(u16::from_le_bytes([*low, *high]).into())
            }
            _ => Err(Error::internal("the number of heads is of an unknown type")),
        }
    }

    fn layers(&self, side: &str) -> u32 {
        let exists = |i: &u32| self.variables.contains_key(&format!("{side}/layer_{i}/ffn/linear_0/weight"));
        (0..MAX_LAYERS).take_while(exists).count() as u32
    }
}

/// Writes tensors from 16-bit variables.
struct TensorWriter<'a, W> {
    weights: &'a Weights<'a>,
    out: &'a mut W,
}

impl<W: Write> TensorWriter<'_, W> {
    /// Writes a weight in 16 bits.
    fn write_as_f16(&mut self, from: &str, to: &str) -> Result<()> {
        let variable = self.weights.f16_variable(from)?;
        ggml::write_tensor(self.out, to, &variable.shape, TensorType::F16, variable.data)
    }

    /// Writes numbers that whisper.cpp expects in 32 bits.
    fn write_as_f32(&mut self, from: &str, to: &str) -> Result<()> {
        let variable = self.weights.f16_variable(from)?;
        ggml::write_tensor(self.out, to, &variable.shape, TensorType::F32, &to_f32(variable.data))
    }

    /// Writes a convolution's bias, which has a second dimension of 1.
    fn write_bias_column(&mut self, from: &str, to: &str) -> Result<()> {
        let variable = self.weights.f16_variable(from)?;
        let shape = [variable.shape.as_slice(), &[1]].concat();
        ggml::write_tensor(self.out, to, &shape, TensorType::F32, &to_f32(variable.data))
    }

    fn write_norm(&mut self, from: &str, to: &str) -> Result<()> {
        self.write_as_f32(&format!("{from}/gamma"), &format!("{to}.weight"))?;
        self.write_as_f32(&format!("{from}/beta"), &format!("{to}.bias"))
    }

    fn write_linear(&mut self, from: &str, to: &str) -> Result<()> {
        self.write_as_f16(&format!("{from}/weight"), &format!("{to}.weight"))?;
        self.write_as_f32(&format!("{from}/bias"), &format!("{to}.bias"))
    }

    /// Writes one of several projections that one variable holds fused, as rows.
    fn write_projection(
        &mut self,
        from: &str,
        (index, parts): (usize, usize),
        to: &str,
        bias: bool,
    ) -> Result<()> {
        let weight = self.weights.f16_variable(&format!("{from}/weight"))?;
        let &[rows, columns] = weight.shape.as_slice() else {
            return Err(Error::internal(format!("{from} is not a matrix")));
        };
        let rows = rows / parts as u32;
        let data = weight.data.chunks(weight.data.len() / parts).nth(index).unwrap_or_default();
        ggml::write_tensor(self.out, &format!("{to}.weight"), &[rows, columns], TensorType::F16, data)?;
        if bias {
            let all = self.weights.f16_variable(&format!("{from}/bias"))?.data;
            let data = to_f32(all.chunks(all.len() / parts).nth(index).unwrap_or_default());
            ggml::write_tensor(self.out, &format!("{to}.bias"), &[rows], TensorType::F32, &data)?;
        }
        Ok(())
    }

    fn write_layer(&mut self, side: &str, layer: u32, cross: bool) -> Result<()> {
        let (from, to) = (format!("{side}/layer_{layer}"), format!("{side}.blocks.{layer}"));
        let fused = format!("{from}/self_attention/linear_0");
        self.write_projection(&fused, (0, 3), &format!("{to}.attn.query"), true)?;
        self.write_projection(&fused, (1, 3), &format!("{to}.attn.key"), false)?;
        self.write_projection(&fused, (2, 3), &format!("{to}.attn.value"), true)?;
        self.write_linear(&format!("{from}/self_attention/linear_1"), &format!("{to}.attn.out"))?;
        self.write_norm(&format!("{from}/self_attention/layer_norm"), &format!("{to}.attn_ln"))?;
        if cross {
            self.write_linear(&format!("{from}/attention/linear_0"), &format!("{to}.cross_attn.query"))?;
            let fused = format!("{from}/attention/linear_1");
            self.write_projection(&fused, (0, 2), &format!("{to}.cross_attn.key"), false)?;
            self.write_projection(&fused, (1, 2), &format!("{to}.cross_attn.value"), true)?;
            self.write_linear(&format!("{from}/attention/linear_2"), &format!("{to}.cross_attn.out"))?;
            self.write_norm(&format!("{from}/attention/layer_norm"), &format!("{to}.cross_attn_ln"))?;
        }
        self.write_linear(&format!("{from}/ffn/linear_0"), &format!("{to}.mlp.0"))?;
        self.write_linear(&format!("{from}/ffn/linear_1"), &format!("{to}.mlp.2"))?;
        self.write_norm(&format!("{from}/ffn/layer_norm"), &format!("{to}.mlp_ln"))
    }
}

fn to_f32(halves: &[u8]) -> Vec<u8> {
    halves.chunks_exact(2).flat_map(|h| f16_to_f32(u16::from_le_bytes([h[0], h[1]])).to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::ctranslate2;
    use crate::model::half_float::f32_to_f16;

    /// Numbers that identify their variable and row.
    fn rows(mark: f32, rows: u32, columns: u32) -> Vec<u8> {
        let row = |row: u32| f32_to_f16(mark + row as f32).to_le_bytes().repeat(columns as usize);
        (0..rows).flat_map(row).collect()
    }

    /// A model of width 2 with one layer on each side.
    fn small() -> Vec<u8> {
        let mut made: Vec<(String, Vec<u32>, u8, Vec<u8>)> = Vec::new();
        let mut add = |name: &str, shape: &[u32]| {
            let columns = shape[1..].iter().product();
            made.push((
                name.into(),
                shape.to_vec(),
                TYPE_F16,
                rows(made.len() as f32 * 10.0, shape[0], columns),
            ));
        };
        for side in ["encoder", "decoder"] {
            add(&format!("{side}/position_encodings/encodings"), &[3, 2]);
            for part in ["gamma", "beta"] {
                add(&format!("{side}/layer_norm/{part}"), &[2]);
                add(&format!("{side}/layer_0/self_attention/layer_norm/{part}"), &[2]);
                add(&format!("{side}/layer_0/attention/layer_norm/{part}"), &[2]);
                add(&format!("{side}/layer_0/ffn/layer_norm/{part}"), &[2]);
            }
            for (name, rows, columns) in [
                ("self_attention/linear_0", 6, 2),
                ("self_attention/linear_1", 2, 2),
                ("attention/linear_0", 2, 2),
                ("attention/linear_1", 4, 2),
                ("attention/linear_2", 2, 2),
                ("ffn/linear_0", 8, 2),
                ("ffn/linear_1", 2, 8),
            ] {
                add(&format!("{side}/layer_0/{name}/weight"), &[rows, columns]);
                add(&format!("{side}/layer_0/{name}/bias"), &[rows]);
            }
        }
        for conv in ["conv1", "conv2"] {
            add(&format!("encoder/{conv}/weight"), &[2, 2, 3]);
            add(&format!("encoder/{conv}/bias"), &[2]);
        }
        add("decoder/embeddings/weight", &[4, 2]);
        made.push(("encoder/num_heads".into(), vec![], TYPE_I16, vec![1, 0]));
        made.push(("decoder/num_heads".into(), vec![], TYPE_I16, vec![1, 0]));
        let borrowed: Vec<_> =
            made.iter().map(|(n, s, k, d)| (n.as_str(), s.as_slice(), *k, d.clone())).collect();
        ctranslate2::tests::file(&borrowed)
    }

    /// Names of the file's tensors, with type, dimensions as written, and bytes.
    fn tensors(mut file: &[u8]) -> BTreeMap<String, (u32, Vec<u32>, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let word = |bytes: &mut &[u8]| {
            let (head, rest) = bytes.split_at(4);
            *bytes = rest;
            u32::from_le_bytes(head.try_into().unwrap())
        };
        while !file.is_empty() {
            let (count, length, kind) = (word(&mut file), word(&mut file), word(&mut file));
            let shape: Vec<u32> = (0..count).map(|_| word(&mut file)).collect();
            let (name, rest) = file.split_at(length as usize);
            let bytes = shape.iter().product::<u32>() as usize * if kind == 0 { 4 } else { 2 };
            let (data, rest) = rest.split_at(bytes);
            file = rest;
            found.insert(String::from_utf8(name.to_vec()).unwrap(), (kind, shape, data.to_vec()));
        }
        found
    }

    #[test]
    fn every_tensor_is_named_shaped_and_cut_apart_bit_by_bit() {
        let bytes = small();
        let variables = ctranslate2::read(&bytes).unwrap();
        let mut out = Vec::new();
        to_ggml(&variables, "a\nb\nc\nd", &mut out).unwrap();
        let start = 4 + 44 + 8 + 80 * 201 * 4 + 4 + 4 * 5;
        let header: Vec<u32> =
            out[4..48].chunks(4).map(|w| u32::from_le_bytes(w.try_into().unwrap())).collect();
        assert_eq!(header, [4, 3, 2, 1, 1, 3, 2, 1, 1, 80, 1]);
        let made = tensors(&out[start..]);
        // 5 + 15 + 2 for the encoder, 2 + 24 + 2 for the decoder.
        assert_eq!(made.len(), 50);

        let fused = variables["decoder/layer_0/self_attention/linear_0/weight"].data;
        let key = &made["decoder.blocks.0.attn.key.weight"];
        assert_eq!(key, &(1, vec![2, 2], fused[8..16].to_vec()), "the second third of the rows");
        assert!(!made.contains_key("decoder.blocks.0.attn.key.bias"));
        let value = &made["decoder.blocks.0.attn.value.bias"];
        let bias = variables["decoder/layer_0/self_attention/linear_0/bias"].data;
        assert_eq!(value, &(0, vec![2], to_f32(&bias[8..12])));
        let cross = variables["decoder/layer_0/attention/linear_1/weight"].data;
        assert_eq!(made["decoder.blocks.0.cross_attn.value.weight"].2, cross[8..]);
        assert_eq!(made["encoder.conv1.bias"].1, [1, 2], "written fastest first");
        assert_eq!(made["encoder.conv2.weight"].1, [3, 2, 2]);
        assert_eq!(made["encoder.positional_embedding"].0, 0, "positions are 32-bit");
        assert_eq!(made["decoder.token_embedding.weight"].0, 1);
        assert_eq!(made["encoder.blocks.0.mlp.2.weight"].1, [8, 2]);
    }

    #[test]
    fn a_missing_variable_is_named() {
        let bytes = small();
        let mut variables = ctranslate2::read(&bytes).unwrap();
        variables.remove("decoder/layer_0/attention/linear_2/bias");
        let error = to_ggml(&variables, "a\nb\nc\nd", &mut Vec::new()).unwrap_err();
        assert!(error.message.contains("attention/linear_2/bias"), "{error}");
    }
}
