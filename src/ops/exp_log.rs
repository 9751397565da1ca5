//! exp and ln in f32, to the last digit as PyTorch's softmax has them: by the polynomials of SLEEF
//! (Shibata and Petrogalli, "SLEEF: A Portable Vectorized Library of C Standard Mathematical Functions",
//! 2020), wrong by at most one unit in the last place.
#![allow(unsafe_code)]

/// ln 2 in two parts, the first with few digits, so that its product with a whole number is exact.
const LN_2: (f32, f32) = (0.693_145_75, 1.428_606_8e-6);
/// ln 2 in two parts, the first rounded to the nearest.
const LN_2_PAIR: Pair = Pair(std::f32::consts::LN_2, -1.904_654_3e-9);

pub(super) fn exp_all(values: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has them.
        return unsafe { exp_all_fused(values) };
    }
    values.iter_mut().for_each(|value| *value = exp(*value));
}

/// Where `mul_add` is one instruction, and eight numbers take one.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn exp_all_fused(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = exp(*value));
}

#[inline(always)]
fn exp(x: f32) -> f32 {
    let q = (x * std::f32::consts::LOG2_E).round_ties_even();
    let s = q.mul_add(-LN_2.1, q.mul_add(-LN_2.0, x));
    let u = [
        0.001_393_043_6,
        0.008_333_361,
        0.041_666_485,
        0.166_666_67,
        0.5,
    ]
    .into_iter()
    .fold(0.000_198_527_62_f32, |u, c| u.mul_add(s, c));
    let u = (s * s).mul_add(u, s) + 1.0;
    // In two factors, because 2^q may be smaller than any normal number.
    let q = q as i32;
    let half = q >> 1;
    let found = u * power_of_2(half) * power_of_2(q.wrapping_sub(half));
    match x {
        x if x < -104.0 => 0.0,
        x if x > 100.0 => f32::INFINITY,
        _ => found,
    }
}

pub(super) fn ln(x: f32) -> f32 {
    if !(f32::MIN_POSITIVE..f32::INFINITY).contains(&x) {
        return x.ln();
    }
    // x = m·2^e with m from 0.75 to 1.5.
    let e = ((x * (1.0 / 0.75)).to_bits() >> 23) as i32 - 127;
    let m = x * power_of_2(-e);
    let ratio = Pair::sum(-1.0, m).divided_by(Pair::sum(1.0, m));
    let square = ratio.0 * ratio.0;
    let t = 0.302_729_5_f32
        .mul_add(square, 0.399_610_82)
        .mul_add(square, 0.666_669_5);
    LN_2_PAIR
        .times(e as f32)
        .plus(Pair(2.0 * ratio.0, 2.0 * ratio.1))
        .plus(Pair(square * ratio.0 * t, 0.0))
        .value()
}

#[inline(always)]
fn power_of_2(exponent: i32) -> f32 {
    f32::from_bits((exponent.wrapping_add(127) as u32) << 23)
}

/// A number as the sum of two: twice the digits.
#[derive(Clone, Copy)]
struct Pair(f32, f32);

impl Pair {
    fn sum(a: f32, b: f32) -> Self {
        let sum = a + b;
        let v = sum - a;
        Self(sum, (a - (sum - v)) + (b - v))
    }

    fn divided_by(self, d: Self) -> Self {
        let t = 1.0 / d.0;
        let quotient = self.0 * t;
        let u = t.mul_add(self.0, -quotient);
        let v = (-d.1).mul_add(t, (-d.0).mul_add(t, 1.0));
        Self(quotient, quotient.mul_add(v, self.1.mul_add(t, u)))
    }

    fn times(self, factor: f32) -> Self {
        let product = self.0 * factor;
        let rest = self.1.mul_add(factor, self.0.mul_add(factor, -product));
        Self(product, rest)
    }

    /// Where this is the larger.
    fn plus(self, other: Self) -> Self {
        let sum = self.0 + other.0;
        Self(sum, ((self.0 - sum + other.0) + self.1) + other.1)
    }

    fn value(self) -> f32 {
        self.0 + self.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many units in the last place `found` is off.
    fn off(found: f32, exact: f64) -> f64 {
        let nearest = exact as f32;
        let unit = f64::from(f32::from_bits(nearest.to_bits() + 1)) - f64::from(nearest);
        ((f64::from(found) - exact) / unit).abs()
    }

    #[test]
    fn within_one_unit_in_the_last_place() {
        for i in 0..200_000 {
            let x = -87.0 * (i as f32) / 200_000.0;
            assert!(
                off(exp(x), f64::from(x).exp()) <= 1.0,
                "exp({x}) = {}",
                exp(x)
            );
            let x = 1.0 + 999.0 * (i as f32) / 200_000.0;
            let exact = f64::from(x).ln();
            assert!(
                exact == 0.0 || off(ln(x), exact) <= 1.0,
                "ln({x}) = {}",
                ln(x)
            );
        }
    }

    /// Where a wrong last digit of a coefficient shows: PyTorch's log_softmax is this, and its gradient 1/64 of
    /// this.
    #[test]
    fn the_last_digit_is_pytorchs() {
        let mut exps = [-2.337_981_5];
        exp_all(&mut exps);
        assert_eq!(exps, [64.0 * 0.001_508_160_5]);
    }

    #[test]
    fn at_the_edges() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-200.0), 0.0);
        assert!(exp(-100.0) > 0.0);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(f32::INFINITY), f32::INFINITY);
        assert_eq!(ln(0.0), f32::NEG_INFINITY);
        assert!(ln(f32::NAN).is_nan());
        assert!(ln(-1.0).is_nan());
    }
}
