//! For which kind of card a kernel is compiled.

use candle_core::{Result, bail};

/// As NVRTC calls it: the card's own kind, whose machine code the card runs as it is. Where this NVRTC is older than the
/// card, the newest kind whose code the driver can translate for it.
pub(crate) fn architecture(known: &[i32], (major, minor): (i32, i32)) -> Result<String> {
    let card = 10 * major + minor;
    if known.contains(&card) {
        return Ok(format!("sm_{card}"));
    }
    match known.iter().filter(|&&kind| kind < card).max() {
        Some(older) => Ok(format!("compute_{older}")),
        None => bail!(
            "CUDA: this card's compute capability is {major}.{minor}, and this NVRTC compiles for {} and above; install a CUDA toolkit that knows the card",
            known.iter().min().map_or("none".into(), |least| format!(
                "{}.{}",
                least / 10,
                least % 10
            )),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_the_compiler_knows_gets_code_of_its_own() {
        let known = [75, 80, 90, 120];
        assert_eq!(architecture(&known, (9, 0)).unwrap(), "sm_90");
        assert_eq!(architecture(&known, (12, 0)).unwrap(), "sm_120");
    }

    #[test]
    fn a_newer_card_gets_what_its_driver_translates() {
        let known = [75, 80, 90];
        assert_eq!(architecture(&known, (12, 1)).unwrap(), "compute_90");
        assert_eq!(architecture(&known, (8, 6)).unwrap(), "compute_80");
    }

    #[test]
    fn an_older_card_is_named() {
        let error = architecture(&[75, 80], (7, 0)).unwrap_err().to_string();
        assert!(error.contains("capability is 7.0"), "{error}");
        assert!(error.contains("7.5 and above"), "{error}");
    }
}
