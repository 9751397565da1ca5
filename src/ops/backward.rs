//! The way back from a loss, where a variable's gradient is handed over as it is.
//!
//! candle adds each gradient to zeros that it makes for it. For a large weight that is as much memory again,
//! twice, and an addition on threads of candle's own, which spin afterwards and keep a core from the kernels.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};

/// Takes a variable and a gradient of it; for one that is used twice, it is called twice.
type Sink = Box<dyn FnMut(&Tensor, Tensor)>;

thread_local! {
    /// Where gradients are handed over to, while [`backward_into`] runs on this thread.
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

/// Ends the handing over, also after an error or a panic.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        SINK.take();
    }
}

/// What `loss.backward()` gives.
pub(crate) fn backward(loss: &Tensor) -> Result<GradStore> {
    let handed_over = Rc::new(RefCell::new(Vec::new()));
    let all = handed_over.clone();
    let mut grads = backward_into(
        loss,
        Box::new(move |variable, grad| all.borrow_mut().push((variable.clone(), grad))),
    )?;
    for (variable, grad) in handed_over.take() {
        // A variable that is used twice.
        let grad = match grads.remove(&variable) {
            Some(other) => (other + grad)?,
            None => grad,
        };
        grads.insert(&variable, grad);
    }
    Ok(grads)
}

/// What `loss.backward()` gives besides what was handed to `sink`, which it is while the way back goes on.
pub(crate) fn backward_into(loss: &Tensor, sink: Sink) -> Result<GradStore> {
    let _end = End;
    SINK.set(Some(sink));
    loss.backward()
}

/// For an operation's way back: gives the gradient back where candle has to add it up.
pub(super) fn hand_over(to: &Tensor, grad: Tensor) -> Option<Tensor> {
    if !to.is_variable() {
        return Some(grad);
    }
    SINK.with_borrow_mut(|sink| match sink {
        Some(sink) => {
            sink(to, grad);
            None
        }
        None => Some(grad),
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::nn::{Conv2d, Linear, var_builder};
    use crate::random::manual_seed;

    /// Each parameter's gradient, once as candle adds it up, once handed over.
    fn both(loss: &Tensor, parameters: &[Var]) -> [Vec<Vec<f32>>; 2] {
        let of = |grads: &GradStore| {
            let values = |var: &Var| grads.get(var).unwrap().flatten_all().unwrap().to_vec1();
            parameters.iter().map(|var| values(var).unwrap()).collect()
        };
        let own = backward(loss).unwrap();
        [of(&loss.backward().unwrap()), of(&own)]
    }

    #[test]
    fn the_gradients_are_candles_also_where_a_variable_is_used_twice() {
        manual_seed(1);
        let vb = var_builder(DType::F32, &Device::Cpu);
        let conv = Conv2d::builder(1, 3, 3).build(vb.pp("conv")).unwrap();
        let linear = Linear::builder(48, 48).build(vb.pp("linear")).unwrap();
        let images = Tensor::randn(0f32, 1f32, (2, 1, 6, 6), &Device::Cpu).unwrap();
        let x = conv.forward(&images).unwrap().flatten_from(1).unwrap();
        let twice = linear.forward(&linear.forward(&x).unwrap()).unwrap();
        // And by another operation than the layer's.
        let other = linear.weight().sqr().unwrap().mean_all().unwrap();
        let loss = (twice.sqr().unwrap().mean_all().unwrap() + other).unwrap();
        let named = [conv.named_parameters(), linear.named_parameters()].concat();
        let parameters: Vec<Var> = named.into_iter().map(|(_, var)| var).collect();
        let [expected, found] = both(&loss, &parameters);
        for (expected, found) in expected.iter().flatten().zip(found.iter().flatten()) {
            assert!((expected - found).abs() <= 1e-6 * (1.0 + expected.abs()));
        }
        assert_eq!(expected[0], found[0]);
    }

    #[test]
    fn what_fails_leaves_nothing_behind() {
        let vb = var_builder(DType::F32, &Device::Cpu);
        let linear = Linear::builder(2, 2).build(vb).unwrap();
        let x = Tensor::ones((1, 2), DType::F32, &Device::Cpu).unwrap();
        let loss = linear.forward(&x).unwrap().sum_all().unwrap();
        // A pooling that candle cannot differentiate.
        let image = linear.weight().reshape((1, 1, 2, 2)).unwrap();
        let pooled = image.max_pool2d_with_stride(1, 2).unwrap();
        let bad = (&loss + pooled.sum_all().unwrap()).unwrap();
        assert!(backward(&bad).is_err());
        let grads = loss.backward().unwrap();
        assert!(grads.get(linear.weight()).is_some());
    }
}
