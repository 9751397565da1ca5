//! What of a net's layers a card takes as one training step.

use super::Layer;
use crate::ops::captured;
use crate::size::Size2;

/// The layers for images of these channels, rows and columns; none where they are others than convolutions and fully
/// connected layers, each with a pooling of 2 × 2 and a rectifier or without, or do not go together.
pub(crate) fn captured(layers: &[Layer], image: [usize; 3]) -> Option<Vec<captured::Layer>> {
    let mut found: Vec<captured::Layer> = Vec::new();
    let (mut channels, mut size) = (image[0], Size2::from((image[1], image[2])));
    let mut flat = false;
    for layer in layers {
        match layer {
            Layer::Conv2d(conv) if !flat => {
                let conv = conv.captured(channels, size)?;
                (channels, size) = (conv.out_channels, conv.geometry.output);
                found.push(conv);
            }
            Layer::MaxPool2d(pool) if !flat && pool.halves() => {
                let conv = found.last_mut().filter(|conv| !conv.pool)?;
                conv.pool = true;
                size = conv.output();
            }
            Layer::Relu(_) => {
                // Pooled and rectified is rectified and pooled.
                found.last_mut().filter(|layer| !layer.relu)?.relu = true;
            }
            Layer::Flatten(_) => flat = true,
            Layer::Linear(linear) if flat => {
                let inputs = channels * size.h * size.w;
                let (weight, bias) = (linear.weight(), linear.bias());
                if weight.dim(1).ok()? != inputs {
                    return None;
                }
                let linear = captured::Layer::linear(inputs, weight.dim(0).ok()?, bias.is_some());
                (channels, size) = (linear.out_channels, Size2::from(1));
                found.push(linear);
            }
            _ => return None,
        }
    }
    Some(found)
}
