//! The limits of a chart's axes, and what is written beside their ticks.

use std::ops::Range;

use super::chart::{Mark, Panel, TEXT};
use super::svg::text_width;

pub(super) fn bar_width(points: &[(f64, f64)]) -> f64 {
    match points {
        [(a, _), (b, _), ..] if b > a => b - a,
        _ => 1.0,
    }
}

fn finite(panel: &Panel) -> impl Iterator<Item = (f64, f64)> {
    let points = panel
        .series
        .iter()
        .flat_map(|series| series.points.iter().copied());
    points.filter(|(x, y)| x.is_finite() && y.is_finite())
}

fn limits(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    match high - low {
        span if span > 0.0 && span.is_finite() => low..high,
        0.0 => low - 0.5..high + 0.5,
        _ => 0.0..1.0,
    }
}

pub(super) fn x_limits(panel: &Panel) -> Range<f64> {
    if let Some(range) = &panel.x_range {
        return range.clone();
    }
    let range = limits(finite(panel).map(|(x, _)| x));
    let bars = panel.series.iter().find(|series| series.mark == Mark::Bars);
    if let Some(series) = bars {
        let half = bar_width(&series.points) / 2.0;
        let (first, last) = match (series.points.first(), series.points.last()) {
            (Some((first, _)), Some((last, _))) => (*first, *last),
            _ => return range,
        };
        return first - half..last + half;
    }
    let margin = 0.02 * (range.end - range.start);
    range.start - margin..range.end + margin
}

pub(super) fn y_limits(panel: &Panel) -> Range<f64> {
    if let Some(range) = &panel.y_range {
        return range.clone();
    }
    let bars = panel.series.iter().any(|series| series.mark == Mark::Bars);
    // Bars begin at 0, so the axis must hold it.
    let range = limits(finite(panel).map(|(_, y)| y).chain(bars.then_some(0.0)));
    let margin = 0.06 * (range.end - range.start);
    let low = if bars && range.start == 0.0 {
        0.0
    } else {
        range.start - margin
    };
    low..range.end + margin
}

pub(super) fn y_label_width(panel: &Panel, range: &Range<f64>) -> f64 {
    if panel.percent {
        return text_width("100%", TEXT);
    }
    if panel.log {
        let widest = [range.start, range.end].map(|log| text_width(&power(log), TEXT));
        return widest[0].max(widest[1]) + 10.0;
    }
    // plotters picks round ticks; five parts are about as long when written.
    let widest = (0..=5).map(|i| {
        tick_length(
            range.start + (range.end - range.start) * f64::from(i) / 5.0,
            range,
        )
    });
    widest.fold(2.0, f64::max) * TEXT * 0.56 + 10.0
}

/// Characters of a tick's text near `value`, where ticks have only the digits that tell them apart.
fn tick_length(value: f64, range: &Range<f64>) -> f64 {
    let step = (range.end - range.start) / 5.0;
    let decimals = (-step.log10().floor()).max(0.0);
    let whole = value.abs().max(1.0).log10().floor() + 1.0;
    let sign = if range.start < 0.0 { 1.0 } else { 0.0 };
    (whole + sign + if decimals > 0.0 { decimals + 1.0 } else { 0.0 }).min(8.0)
}

/// A round number without the noise of binary fractions.
pub(super) fn tick(value: f64) -> String {
    if value != 0.0 && (value.abs() >= 1e6 || value.abs() < 1e-4) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".into()
    } else {
        text.into()
    }
}

/// What is written at a tick of a logarithmic axis, where 2 stands for 100.
pub(super) fn power(log: f64) -> String {
    tick(10f64.powf(log.round()))
}

pub(super) fn percent(fraction: f64) -> String {
    format!("{}%", tick((fraction * 1e4).round() / 100.0))
}
