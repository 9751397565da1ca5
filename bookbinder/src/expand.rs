//! Lines of a chapter that stand for something that is written elsewhere.

use anyhow::Result;

use crate::project::Project;
use crate::{exercises, parameters};

/// The chapter as pages, notebooks and checks see it: with its tables of parameters and the index of exercises.
///
/// # Errors
///
/// Where a line names what there is not.
pub fn expand(project: &Project, source: &str) -> Result<String> {
    exercises::expand(project, &parameters::expand(project, source)?)
}
