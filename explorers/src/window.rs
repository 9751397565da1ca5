//! Which inputs an output is made of.

use candlelight::nn::PaddingMode;

/// The place in a row of `length` that a padded place stands for, counted from the row's own first; none for a zero.
pub fn source(place: isize, length: usize, mode: PaddingMode) -> Option<usize> {
    let n = length.cast_signed();
    let inside = match mode {
        _ if (0..n).contains(&place) => place,
        PaddingMode::Zeros => return None,
        PaddingMode::Reflect if place < 0 => -place,
        PaddingMode::Reflect => 2 * (n - 1) - place,
        PaddingMode::Replicate => place.clamp(0, n - 1),
        PaddingMode::Circular => place.rem_euclid(n),
    };
    (0..n).contains(&inside).then(|| inside.cast_unsigned())
}

/// `⌊(28 + 2·1 − 1·(3 − 1) − 1) / 2⌋ + 1 = 14`: the shape formula with its numbers, `padding` being that of both
/// sides together.
pub fn formula(
    input: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    up: bool,
    output: usize,
) -> String {
    let (open, close) = if up { ("⌈", "⌉") } else { ("⌊", "⌋") };
    let padding = match padding % 2 {
        0 => format!("2·{}", padding / 2),
        _ => padding.to_string(),
    };
    format!(
        "{open}({input} + {padding} − {dilation}·({kernel} − 1) − 1) / {stride}{close} + 1 = {output}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_row_is_pytorchs() {
        let row = |mode| -> Vec<Option<usize>> { (-2..6).map(|i| source(i, 4, mode)).collect() };
        let some = |places: [usize; 8]| places.map(Some).to_vec();
        assert_eq!(row(PaddingMode::Reflect), some([2, 1, 0, 1, 2, 3, 2, 1]));
        assert_eq!(row(PaddingMode::Replicate), some([0, 0, 0, 1, 2, 3, 3, 3]));
        assert_eq!(row(PaddingMode::Circular), some([2, 3, 0, 1, 2, 3, 0, 1]));
        assert_eq!(row(PaddingMode::Zeros)[..3], [None, None, Some(0)]);
    }
}
