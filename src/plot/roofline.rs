use super::Figure;
use super::chart::{Mark, Panel, Series, draw};
use crate::{Error, Result};

const PICTURE: &str = "plot::roofline";

/// How fast work runs, beside how fast the machine could run it: the roofline model.
///
/// The roof is `min(peak, bandwidth · intensity)`: work that does little with each byte waits for
/// the memory (the slope), other work for the arithmetic (the flat part). Both axes are logarithmic,
/// over whole decades.
///
/// | parameter | meaning | valid |
/// |---|---|---|
/// | `title` | what is written above it | may be empty |
/// | `peak` | the most arithmetic a second, in GFLOP/s | finite, more than 0 |
/// | `bandwidth` | the most that memory moves a second, in GB/s | finite, more than 0 |
/// | `work` | triples of a name, its intensity in FLOP a byte, and its speed in GFLOP/s | at least one; finite, more than 0 |
///
/// # Errors
///
/// [`Error::Plot`] where there is no work, or a number is not finite or not more than 0.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let work = [("sum", 0.25, 4.0), ("product", 40.0, 150.0)];
/// let figure = plot::roofline("Two operations", 200.0, 20.0, &work)?;
/// assert!(figure.svg().contains("FLOP a byte"));
/// # Ok(())
/// # }
/// ```
pub fn roofline<S: AsRef<str>>(
    title: &str,
    peak: f64,
    bandwidth: f64,
    work: &[(S, f64, f64)],
) -> Result<Figure> {
    if work.is_empty() {
        return fail("there is no work; give at least one");
    }
    positive("peak", peak, "GFLOP/s")?;
    positive("bandwidth", bandwidth, "GB/s")?;
    for (name, intensity, speed) in work {
        let name = name.as_ref();
        positive(
            &format!("the intensity of {name}"),
            *intensity,
            "FLOP a byte",
        )?;
        positive(&format!("the speed of {name}"), *speed, "GFLOP/s")?;
    }
    // Above the ridge the roof is flat; a decade on both sides of it is always seen.
    let ridge = peak / bandwidth;
    let intensities = || work.iter().map(|(_, intensity, _)| *intensity);
    let low = decade_below(intensities().fold(ridge / 10.0, f64::min));
    let high = decade_above(intensities().fold(ridge * 10.0, f64::max));
    let speeds = || work.iter().map(|(_, _, speed)| *speed);
    let slowest = speeds().fold(roof(peak, bandwidth, 10f64.powf(low)), f64::min);
    let fastest = speeds().fold(peak, f64::max);

    let at = |log: f64| (log, roof(peak, bandwidth, 10f64.powf(log)).log10());
    let dots = work.iter().map(|(name, intensity, speed)| Series {
        name: name.as_ref().into(),
        points: vec![(intensity.log10(), speed.log10())],
        color: 0,
        mark: Mark::Named,
    });
    let line = Series {
        name: String::new(),
        points: vec![at(low), at(ridge.log10()), at(high)],
        color: 4,
        mark: Mark::Line,
    };
    let panel = Panel {
        title: title.into(),
        x_label: "FLOP a byte".into(),
        y_label: "GFLOP/s".into(),
        series: [line].into_iter().chain(dots).collect(),
        x_range: Some(low..high),
        y_range: Some(decade_below(slowest)..decade_above(fastest)),
        log: true,
        ..Panel::default()
    };
    draw(PICTURE, &[panel], 640, 400)
}

/// The most GFLOP/s that this intensity allows.
fn roof(peak: f64, bandwidth: f64, intensity: f64) -> f64 {
    peak.min(bandwidth * intensity)
}

fn decade_below(value: f64) -> f64 {
    value.log10().floor()
}

/// Where a value is close below the decade, its dot and name would touch the frame.
fn decade_above(value: f64) -> f64 {
    (value * 1.2).log10().ceil()
}

fn positive(what: &str, value: f64, unit: &str) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    fail(format!(
        "{what} is {value} {unit}; it must be finite and more than 0"
    ))
}

fn fail<T>(problem: impl Into<String>) -> Result<T> {
    Err(Error::Plot {
        picture: PICTURE,
        problem: problem.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roof_rises_with_the_bandwidth_up_to_the_peak() {
        let roofs = [1.0, 9.0, 10.0, 11.0].map(|intensity| roof(100.0, 10.0, intensity));
        assert_eq!(roofs, [10.0, 90.0, 100.0, 100.0]);
        assert_eq!((decade_below(12.0), decade_above(12.0)), (1.0, 2.0));
        assert_eq!((decade_below(0.5), decade_above(95.0)), (-1.0, 3.0));
    }

    #[test]
    fn each_work_has_its_name_and_each_decade_its_tick() -> Result<()> {
        let work = [("left", 0.02, 0.1), ("right", 90.0, 80.0)];
        let svg = roofline("Roof", 100.0, 10.0, &work)?.svg().to_string();
        for text in [
            "left", "right", "Roof", "GFLOP/s", "0.01", "0.1", "1", "10", "100",
        ] {
            assert!(svg.contains(&format!("\n{text}\n")), "{text}: {svg}");
        }
        assert!(!svg.contains("\n5\n") && !svg.contains("\n0.5\n"));
        Ok(())
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let message =
            |peak: f64, intensity: f64| match roofline("", peak, 1.0, &[("sum", intensity, 2.0)]) {
                Err(error) => error.to_string(),
                Ok(figure) => format!("{figure:?}"),
            };
        assert!(
            message(f64::INFINITY, 1.0)
                .contains("peak is inf GFLOP/s; it must be finite and more than 0")
        );
        assert!(message(1.0, 0.0).contains("the intensity of sum is 0 FLOP a byte"));
        assert!(message(1.0, f64::NAN).contains("the intensity of sum is NaN FLOP a byte"));
        let none: [(&str, f64, f64); 0] = [];
        let empty = roofline("", 1.0, 1.0, &none);
        assert!(matches!(
            empty,
            Err(Error::Plot {
                picture: PICTURE,
                ..
            })
        ));
    }
}
