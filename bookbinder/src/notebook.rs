//! A chapter as a notebook, nbformat 4.5.

mod outputs;
pub(crate) mod prose;

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use kernel_protocol::Output;
use nbformat::v4;
use serde_json::json;

use crate::cells::{self, Cell, Segment};
use crate::project::{Chapter, Project};

/// What a notebook does before its chapter's first cell; on the page the kernel does it by itself.
pub const SETUP: &str = "\
:dep candlelight = { package = \"candlelight-cells\", path = \"../cells\" }
std::env::set_current_dir(candlelight::ROOT)?;";

/// A cell's code and what it put out, as stored in a notebook.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The code that ran.
    pub code: String,
    /// What came of it.
    pub outputs: Vec<Output>,
}

/// What a notebook says of its chapter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Executed {
    /// [`cells::hash`] of the chapter's Markdown when the notebook was written.
    pub source: String,
    /// [`vectors`] of the machine that the cells ran on.
    pub vectors: String,
    /// Cells by id.
    pub cells: HashMap<String, Stored>,
}

impl Executed {
    /// The stored outputs of a cell, where its code is still the code that ran.
    #[must_use]
    pub fn outputs(&self, cell: &Cell) -> Option<&[Output]> {
        let stored = self.cells.get(&cell.id)?;
        (stored.code == cell.code.trim_end()).then_some(stored.outputs.as_slice())
    }
}

/// Reads a chapter's notebook; `None` where there is none yet.
///
/// # Errors
///
/// Where the file is there but is not a notebook of version 4.5.
pub fn read(path: &Path) -> Result<Option<Executed>> {
    if !path.is_file() {
        return Ok(None);
    }
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
    let notebook = match nbformat::parse_notebook(&text) {
        Ok(nbformat::Notebook::V4(notebook)) => notebook,
        Ok(_) => bail!("{name} is not a notebook of version 4.5; weave its chapter again"),
        Err(error) => bail!("{name} is not a notebook ({error}); weave its chapter again"),
    };
    let ours = notebook.metadata.additional.get("bookbinder");
    let noted = |name| {
        let value = ours.and_then(|ours| ours.get(name)?.as_str());
        value.unwrap_or_default().to_owned()
    };
    let (source, vectors) = (noted("source"), noted("vectors"));
    let mut cells = HashMap::new();
    for cell in notebook.cells {
        if let v4::Cell::Code {
            id,
            source,
            outputs,
            ..
        } = cell
        {
            let outputs = outputs::from_notebook(&outputs)
                .with_context(|| format!("{name}: {id}: an output of an unknown form"))?;
            let code = source.concat();
            cells.insert(id.as_str().to_owned(), Stored { code, outputs });
        }
    }
    Ok(Some(Executed {
        source,
        vectors,
        cells,
    }))
}

/// Which of the kernels' vectors this machine's processor has. With others, sums are rounded
/// differently: the last digits of what a cell prints are those of this kind of processor.
#[must_use]
pub fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            return "avx512f";
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    "none"
}

/// The notebook's text: the setup cell, then prose and cells, with what `outputs` has for each id; they
/// come from a machine with these [`vectors`].
///
/// # Errors
///
/// Where the chapter cannot be cut into cells, or an output cannot be written down.
pub fn write(
    project: &Project,
    chapter: &Chapter,
    source: &str,
    outputs: &HashMap<String, Vec<Output>>,
    vectors: &str,
) -> Result<String> {
    let localised = prose::relink(project, chapter, source);
    let segments = cells::parse(&localised).with_context(|| chapter.name.clone())?;
    let mut count = 1;
    let mut notebook_cells = vec![code_cell("setup", SETUP, count, &[], false)?];
    let mut prose = 0;
    let mut folded = prose::Folded::default();
    for segment in &segments {
        match segment {
            Segment::Prose(text) => {
                let text = folded.unfold(text);
                if !text.trim().is_empty() {
                    prose += 1;
                    notebook_cells.push(v4::Cell::Markdown {
                        id: id(&format!("prose-{prose}"))?,
                        metadata: v4::CellMetadata::default(),
                        source: lines(text.trim_matches('\n')),
                        attachments: None,
                    });
                }
            }
            Segment::Cell(cell) => {
                count += 1;
                let outputs = outputs.get(&cell.id).map_or(&[][..], Vec::as_slice);
                notebook_cells.push(code_cell(
                    &cell.id,
                    &cell.code,
                    count,
                    outputs,
                    folded.is_open(),
                )?);
            }
        }
    }
    let notebook = v4::Notebook {
        metadata: metadata(chapter, source, vectors)?,
        nbformat: 4,
        nbformat_minor: 5,
        cells: notebook_cells,
    };
    Ok(nbformat::serialize_notebook(&nbformat::Notebook::V4(
        notebook,
    ))?)
}

/// The chapter's Markdown with its links to notebooks leading to where the built book keeps them.
#[must_use]
pub fn relink_for_page(project: &Project, chapter: &Chapter, source: &str) -> String {
    prose::relink_for_page(project, chapter, source)
}

fn metadata(chapter: &Chapter, source: &str, vectors: &str) -> Result<v4::Metadata> {
    Ok(serde_json::from_value(json!({
        "kernelspec": { "display_name": "Rust", "language": "rust", "name": "rust" },
        "language_info": {
            "name": "rust",
            "file_extension": ".rs",
            "mimetype": "text/rust",
            "codemirror_mode": "rust",
            "pygments_lexer": "rust",
        },
        "bookbinder": {
            "chapter": chapter.name,
            "source": cells::hash(source),
            "vectors": vectors,
        },
    }))?)
}

fn code_cell(
    name: &str,
    code: &str,
    count: i32,
    outputs: &[Output],
    is_folded: bool,
) -> Result<v4::Cell> {
    let mut metadata = v4::CellMetadata::default();
    if is_folded {
        metadata.jupyter = Some(v4::JupyterCellMetadata {
            source_hidden: Some(true),
            outputs_hidden: None,
            additional: HashMap::new(),
        });
    }
    Ok(v4::Cell::Code {
        id: id(name)?,
        metadata,
        execution_count: Some(count),
        source: lines(code.trim_end()),
        outputs: outputs::to_notebook(outputs, count)?,
    })
}

fn id(name: &str) -> Result<v4::CellId> {
    v4::CellId::new(name).map_err(|why| anyhow::anyhow!("{name}: {why}"))
}

fn lines(text: &str) -> Vec<String> {
    text.split_inclusive('\n').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
