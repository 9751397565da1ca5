//! Which line of the cell a line of evcxr's generated source is.

/// evcxr's lines from which on, in the last function, the cell's statements follow.
const OPENINGS: [&str; 9] = [
    "pub extern \"C\" fn run_user_code_",
    "let evcxr_variable_store = unsafe",
    "if !vars_ok",
    "evcxr_variable_store.take_variable",
    "catch_unwind(",
    "AssertUnwindSafe(||{",
    "let _ = (|| -> std::result::Result",
    ".block_on(async {",
    ") -> Result<(), EvcxrUserCodeError> {",
];

/// The cell's lines, and where each stands in the generated source.
pub struct Places<'a> {
    cell: Vec<&'a str>,
    lines: Vec<Option<usize>>,
    /// The source.
    generated: Vec<String>,
}

impl<'a> Places<'a> {
    /// Finds the cell's lines in the source: evcxr copies statements line by line, in order, into one
    /// function, and items before it.
    pub fn new(cell: &'a str, generated: &str) -> Self {
        let cell: Vec<_> = cell.lines().collect();
        let source = generated.lines().map(str::to_owned).collect();
        let generated: Vec<_> = generated.lines().map(str::trim).collect();
        let function = generated
            .iter()
            .rposition(|line| OPENINGS.iter().any(|opening| line.contains(opening)))
            .map_or(0, |line| line + 1);
        let mut lines = Vec::new();
        for part in [&generated[..function], &generated[function..]] {
            let mut next = 0;
            for line in part {
                let found = find(&cell, line, next);
                // Items stand in no particular order.
                let found =
                    found.or_else(|| (lines.len() < function).then(|| find(&cell, line, 0))?);
                if let Some(at) = found {
                    next = at + usize::from(cell[at].trim() == *line);
                }
                lines.push(found);
            }
        }
        Self {
            cell,
            lines,
            generated: source,
        }
    }

    /// The cell's line, from 1, that this line of the source is, from 1.
    pub fn line(&self, generated: usize) -> Option<usize> {
        Some(self.lines.get(generated.checked_sub(1)?)?.as_ref()? + 1)
    }

    /// The cell's column, from 1, that this column of a line of the source is, both from 1: of several statements on
    /// one line of the cell, evcxr makes several lines.
    pub fn column(&self, generated: usize, column: usize) -> Option<usize> {
        let line = self.generated.get(generated.checked_sub(1)?)?;
        let text = self.text(self.line(generated)?);
        let before = line.chars().take_while(|letter| letter.is_whitespace());
        let within = column.checked_sub(before.count())?;
        let start = text.find(line.trim())?;
        Some(text[..start].chars().count() + within)
    }

    /// The text of a line of the cell, from 1.
    pub fn text(&self, line: usize) -> &'a str {
        let text = line.checked_sub(1).and_then(|line| self.cell.get(line));
        text.copied().unwrap_or_default()
    }
}

/// The first line from `next` on that is this one; or holds it, where two statements share a line.
fn find(cell: &[&str], line: &str, next: usize) -> Option<usize> {
    if line.is_empty() {
        return None;
    }
    let equal = (next..cell.len()).find(|&at| cell[at].trim() == line);
    equal.or_else(|| {
        let long = line.len() > 3 && !line.contains("evcxr");
        (long && next < cell.len())
            .then(|| (next..cell.len()).find(|&at| cell[at].contains(line)))?
    })
}
