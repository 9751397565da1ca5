//! Tables of parameters, taken from the code's own documentation: in a chapter the line
//! `<!-- parameters: Conv2d -->` stands for the table above `pub struct Conv2d` in `src/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::project::Project;

/// What such a line begins and ends with.
const MARKS: (&str, &str) = ("<!-- parameters:", "-->");
/// What a table of parameters begins with.
const HEAD: &str = "| parameter |";

/// The chapter with each such line replaced by its table.
///
/// # Errors
///
/// Where no public struct of that name has a table of parameters; the message names the line.
pub fn expand(project: &Project, source: &str) -> Result<String> {
    if !source.contains(MARKS.0) {
        return Ok(source.to_owned());
    }
    let code = read_code(&project.workspace.join("src"))?;
    let mut out = String::with_capacity(source.len() * 2);
    for (index, line) in source.split_inclusive('\n').enumerate() {
        match name(line) {
            None => out.push_str(line),
            Some(name) => out.push_str(&table(&code, name).ok_or_else(|| {
                let line = index + 1;
                anyhow!(
                    "line {line}: no `pub struct {name}` in src/ whose documentation holds a table \
                     that begins with `{HEAD}`; correct the name"
                )
            })?),
        }
    }
    Ok(out)
}

fn name(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix(MARKS.0)?;
    Some(rest.strip_suffix(MARKS.1)?.trim())
}

/// The text of all Rust files below a folder.
fn read_code(folder: &Path) -> Result<Vec<String>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    let mut texts = Vec::new();
    for path in paths {
        if path.is_dir() {
            texts.extend(read_code(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path);
            texts.push(text.with_context(|| format!("{} cannot be read", path.display()))?);
        }
    }
    Ok(texts)
}

/// The table in the documentation of `pub struct NAME`, as Markdown outside of rustdoc.
fn table(code: &[String], name: &str) -> Option<String> {
    code.iter().find_map(|text| {
        let mut rows: Vec<&str> = Vec::new();
        for line in text.lines() {
            if let Some(doc) = line.strip_prefix("///") {
                let doc = doc.trim();
                if doc.starts_with(HEAD) || (!rows.is_empty() && doc.starts_with('|')) {
                    rows.push(doc);
                }
            } else if is_struct(line, name) && !rows.is_empty() {
                return Some(rows.iter().map(|row| without_links(row) + "\n").collect());
            } else if !line.starts_with("#[") {
                rows.clear();
            }
        }
        None
    })
}

fn is_struct(line: &str, name: &str) -> bool {
    let rest = line.strip_prefix("pub struct ");
    let rest = rest.and_then(|rest| rest.strip_prefix(name));
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Links between items lead nowhere outside of rustdoc: `` [`X`] `` and `` [`X`](path) `` become `` `X` ``.
fn without_links(row: &str) -> String {
    let mut out = String::with_capacity(row.len());
    let mut rest = row;
    while let Some((before, after)) = rest.split_once("[`") {
        let Some((item, after)) = after.split_once("`]") else {
            break;
        };
        out.push_str(before);
        out.push_str(&format!("`{item}`"));
        let target = after
            .strip_prefix('(')
            .and_then(|path| path.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "/// A layer.\n///\n/// | parameter | default | meaning |\n/// |---|---|---|\n\
        /// | `a` | 1 | see [`B`](crate::B) and [`C`] |\n///\n/// # Example\n#[derive(Debug)]\npub struct Layer {\n\
        \x20   x: u8,\n}\n\n/// | parameter | default |\n/// |---|---|\n/// | `b` | 2 |\npub struct LayerBuilder(u8);\n";

    #[test]
    fn a_struct_has_its_own_table() {
        let code = [CODE.to_owned()];
        assert_eq!(
            table(&code, "Layer").unwrap(),
            "| parameter | default | meaning |\n|---|---|---|\n| `a` | 1 | see `B` and `C` |\n"
        );
        assert_eq!(
            table(&code, "LayerBuilder").unwrap(),
            "| parameter | default |\n|---|---|\n| `b` | 2 |\n"
        );
        assert_eq!(table(&code, "Lay"), None);
    }

    #[test]
    fn a_line_that_names_a_struct_is_found() {
        assert_eq!(name("<!-- parameters: Conv2d -->\n"), Some("Conv2d"));
        assert_eq!(name("<!-- something else -->\n"), None);
    }
}
