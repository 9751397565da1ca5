//! What several measurements gave.

/// Minimum, median and maximum.
pub struct Spread([f64; 3]);

impl Spread {
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self([
            sorted[0],
            sorted[sorted.len() / 2],
            sorted[sorted.len() - 1],
        ])
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [minimum, median, maximum] = self.0;
        // Three digits: an epoch on a card is over in a tenth of a second.
        let digits = if median < 1.0 { 3 } else { 2 };
        write!(
            f,
            "{minimum:.digits$} / {median:.digits$} / {maximum:.digits$}"
        )
    }
}
