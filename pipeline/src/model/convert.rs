//! CTranslate2's Whisper weights to whisper.cpp's file of 16-bit weights.
//!
//! The tensors are named and ordered as in the original checkpoint.
//! Fused attention projections are cut apart; the key's bias, always zero, is left out.

use std::collections::BTreeMap;
use std::io::Write;

use super::ctranslate2::{F16, I16, Variable};
use super::ggml::{self, Kind};
use super::number::f16_to_f32;
use super::{mel, vocabulary};
use crate::error::{Error, Result};

type Variables<'a> = BTreeMap<String, Variable<'a>>;

/// Vocabulary from which a model is multilingual.
const MULTILINGUAL: u32 = 51865;

/// Writes whisper.cpp's file.
pub fn whisper(variables: &Variables<'_>, vocabulary_text: &str, out: &mut impl Write) -> Result<()> {
    let model = Model { variables };
    let [vocabulary_size, width] = model.shape("decoder/embeddings/weight")?;
    let [audio_positions, audio_width] = model.shape("encoder/position_encodings/encodings")?;
    let [text_positions, _] = model.shape("decoder/position_encodings/encodings")?;
    let (audio_layers, text_layers) = (model.layers("encoder"), model.layers("decoder"));
    let header = [
        vocabulary_size,
        audio_positions,
        audio_width,
        model.heads("encoder")?,
        audio_layers,
        text_positions,
        width,
        model.heads("decoder")?,
        text_layers,
        mel::BANDS as u32,
        ggml::FILE_F16 as u32,
    ];
    // Special tokens are made up by the loader.
    let texts = if vocabulary_size >= MULTILINGUAL { 50257 } else { 50256 };
    let tokens = vocabulary::tokens(vocabulary_text, texts.min(vocabulary_size as usize))?;
    ggml::write_start(out, header.map(|n| n as i32), &mel::filters(), &tokens)?;

    let mut half = Half { model: &model, out };
    half.wide("encoder/position_encodings/encodings", "encoder.positional_embedding")?;
    for conv in ["conv1", "conv2"] {
        half.matrix(&format!("encoder/{conv}/weight"), &format!("encoder.{conv}.weight"))?;
        half.column(&format!("encoder/{conv}/bias"), &format!("encoder.{conv}.bias"))?;
    }
    for layer in 0..audio_layers {
        half.block("encoder", layer, false)?;
    }
    half.norm("encoder/layer_norm", "encoder.ln_post")?;
    half.wide("decoder/position_encodings/encodings", "decoder.positional_embedding")?;
    half.matrix("decoder/embeddings/weight", "decoder.token_embedding.weight")?;
    for layer in 0..text_layers {
        half.block("decoder", layer, true)?;
    }
    half.norm("decoder/layer_norm", "decoder.ln")
}

struct Model<'a> {
    variables: &'a Variables<'a>,
}

impl<'a> Model<'a> {
    fn get(&self, name: &str) -> Result<&'a Variable<'a>> {
        self.variables.get(name).ok_or_else(|| Error::internal(format!("the weights lack {name}")))
    }

    fn half(&self, name: &str) -> Result<&'a Variable<'a>> {
        let variable = self.get(name)?;
        if variable.kind == F16 {
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
            Variable { kind: I16, data: [low, high], .. } => Ok(u16::from_le_bytes([*low, *high]).into()),
            _ => Err(Error::internal("the number of heads is of an unknown type")),
        }
    }

    fn layers(&self, side: &str) -> u32 {
        let there = |i: &u32| self.variables.contains_key(&format!("{side}/layer_{i}/ffn/linear_0/weight"));
        (0..64).take_while(there).count() as u32
    }
}

/// Writes tensors out of 16-bit variables.
struct Half<'a, W> {
    model: &'a Model<'a>,
    out: &'a mut W,
}

impl<W: Write> Half<'_, W> {
    /// A weight, kept in 16 bits.
    fn matrix(&mut self, from: &str, to: &str) -> Result<()> {
        let variable = self.model.half(from)?;
        ggml::write_tensor(self.out, to, &variable.shape, Kind::F16, variable.data)
    }

    /// Numbers that whisper.cpp wants in 32 bits.
    fn wide(&mut self, from: &str, to: &str) -> Result<()> {
        let variable = self.model.half(from)?;
        ggml::write_tensor(self.out, to, &variable.shape, Kind::F32, &widened(variable.data))
    }

    /// A convolution's bias, which has a second dimension of 1.
    fn column(&mut self, from: &str, to: &str) -> Result<()> {
        let variable = self.model.half(from)?;
        let shape = [variable.shape.as_slice(), &[1]].concat();
        ggml::write_tensor(self.out, to, &shape, Kind::F32, &widened(variable.data))
    }

    fn norm(&mut self, from: &str, to: &str) -> Result<()> {
        self.wide(&format!("{from}/gamma"), &format!("{to}.weight"))?;
        self.wide(&format!("{from}/beta"), &format!("{to}.bias"))
    }

    fn linear(&mut self, from: &str, to: &str) -> Result<()> {
        self.matrix(&format!("{from}/weight"), &format!("{to}.weight"))?;
        self.wide(&format!("{from}/bias"), &format!("{to}.bias"))
    }

    /// One of several projections that lie fused, as rows, in one variable.
    fn part(&mut self, from: &str, (index, parts): (usize, usize), to: &str, bias: bool) -> Result<()> {
        let weight = self.model.half(&format!("{from}/weight"))?;
        let &[rows, columns] = weight.shape.as_slice() else {
            return Err(Error::internal(format!("{from} is not a matrix")));
        };
        let rows = rows / parts as u32;
        let data = weight.data.chunks(weight.data.len() / parts).nth(index).unwrap_or_default();
        ggml::write_tensor(self.out, &format!("{to}.weight"), &[rows, columns], Kind::F16, data)?;
        if bias {
            let all = self.model.half(&format!("{from}/bias"))?.data;
            let data = widened(all.chunks(all.len() / parts).nth(index).unwrap_or_default());
            ggml::write_tensor(self.out, &format!("{to}.bias"), &[rows], Kind::F32, &data)?;
        }
        Ok(())
    }

    fn block(&mut self, side: &str, layer: u32, cross: bool) -> Result<()> {
        let (from, to) = (format!("{side}/layer_{layer}"), format!("{side}.blocks.{layer}"));
        let fused = format!("{from}/self_attention/linear_0");
        self.part(&fused, (0, 3), &format!("{to}.attn.query"), true)?;
        self.part(&fused, (1, 3), &format!("{to}.attn.key"), false)?;
        self.part(&fused, (2, 3), &format!("{to}.attn.value"), true)?;
        self.linear(&format!("{from}/self_attention/linear_1"), &format!("{to}.attn.out"))?;
        self.norm(&format!("{from}/self_attention/layer_norm"), &format!("{to}.attn_ln"))?;
        if cross {
            self.linear(&format!("{from}/attention/linear_0"), &format!("{to}.cross_attn.query"))?;
            let fused = format!("{from}/attention/linear_1");
            self.part(&fused, (0, 2), &format!("{to}.cross_attn.key"), false)?;
            self.part(&fused, (1, 2), &format!("{to}.cross_attn.value"), true)?;
            self.linear(&format!("{from}/attention/linear_2"), &format!("{to}.cross_attn.out"))?;
            self.norm(&format!("{from}/attention/layer_norm"), &format!("{to}.cross_attn_ln"))?;
        }
        self.linear(&format!("{from}/ffn/linear_0"), &format!("{to}.mlp.0"))?;
        self.linear(&format!("{from}/ffn/linear_1"), &format!("{to}.mlp.2"))?;
        self.norm(&format!("{from}/ffn/layer_norm"), &format!("{to}.mlp_ln"))
    }
}

fn widened(halves: &[u8]) -> Vec<u8> {
    halves.chunks_exact(2).flat_map(|h| f16_to_f32(u16::from_le_bytes([h[0], h[1]])).to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::ctranslate2;
    use crate::model::number::f32_to_f16;

    /// Numbers that say which variable they are of, and which row.
    fn half(mark: f32, rows: u32, columns: u32) -> Vec<u8> {
        let row = |row: u32| f32_to_f16(mark + row as f32).to_le_bytes().repeat(columns as usize);
        (0..rows).flat_map(row).collect()
    }

    /// A model of width 2 with one layer on each side.
    fn small() -> Vec<u8> {
        let mut made: Vec<(String, Vec<u32>, u8, Vec<u8>)> = Vec::new();
        let mut add = |name: &str, shape: &[u32]| {
            let columns = shape[1..].iter().product();
            made.push((name.into(), shape.to_vec(), F16, half(made.len() as f32 * 10.0, shape[0], columns)));
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
        made.push(("encoder/num_heads".into(), vec![], I16, vec![1, 0]));
        made.push(("decoder/num_heads".into(), vec![], I16, vec![1, 0]));
        let borrowed: Vec<_> =
            made.iter().map(|(n, s, k, d)| (n.as_str(), s.as_slice(), *k, d.clone())).collect();
        ctranslate2::tests::file(&borrowed)
    }

    /// Names with type, dimensions as written, and bytes of the file's tensors.
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
        whisper(&variables, "a\nb\nc\nd", &mut out).unwrap();
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
        assert_eq!(value, &(0, vec![2], widened(&bias[8..12])));
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
        let error = whisper(&variables, "a\nb\nc\nd", &mut Vec::new()).unwrap_err();
        assert!(error.message.contains("attention/linear_2/bias"), "{error}");
    }
}
