//! Numbers and lists as Python writes them, for the transforms' `Display`.

/// A float as Python's `repr` writes it: `10.0`, `0.1`, `1e-05`, `1e+16`.
pub(super) fn float(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 || (1e-4..1e16).contains(&size) {
        return match value.is_nan() {
            true => "nan".to_string(),
            false => format!("{value:?}"),
        };
    }
    // Python signs the exponent and gives it two digits.
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

/// `True` or `False`.
pub(super) fn boolean(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// `[1.0, 2.0]`.
pub(super) fn list(values: &[f64]) -> String {
    format!("[{}]", joined(values))
}

/// `(1.0, 2.0)`.
pub(super) fn pair((a, b): (f64, f64)) -> String {
    format!("({})", joined(&[a, b]))
}

fn joined(values: &[f64]) -> String {
    let values: Vec<_> = values.iter().map(|&value| float(value)).collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_pythons() {
        for (value, expected) in [
            (10.0, "10.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (-2.5e-7, "-2.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(float(value), expected);
        }
    }
}
