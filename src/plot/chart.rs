//! The charts with two axes, drawn by plotters.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::axis::{bar_width, percent, power, tick, x_limits, y_label_width, y_limits};
use super::color::SERIES;
use super::figure::FOREGROUND;
use super::names::draw_names;
use super::svg::{open, text_width};
use crate::{Error, Result};

/// plotters places things on whole units; with two to a pixel curves are smooth.
const RESOLUTION: u32 = 2;
/// A colour that occurs nowhere else: replaced by the page's own foreground.
const INK: RGBColor = RGBColor(1, 2, 3);
/// Text sizes, in units.
const TITLE: f64 = 28.0;
pub(super) const TEXT: f64 = 24.0;
/// plotters writes a font's size divided by this.
const FONT: f64 = 1.24;

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mark {
    Line,
    /// Thin and pale: the raw values behind a smoothed curve.
    Faint,
    /// A line with a dot at each point.
    Dots,
    /// A dot at each point, with the series' name beside it and not in the legend.
    Named,
    /// Bars of width 1 around whole numbers, or of the points' distance.
    Bars,
}

#[derive(Debug, Clone)]
pub(super) struct Series {
    /// In the legend, or beside the dot; none where empty.
    pub name: String,
    pub points: Vec<(f64, f64)>,
    /// Index into [`SERIES`].
    pub color: usize,
    pub mark: Mark,
}

/// One chart of a picture.
#[derive(Debug, Clone, Default)]
pub(super) struct Panel {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub series: Vec<Series>,
    /// Limits of the axes; from the values where `None`.
    pub x_range: Option<Range<f64>>,
    pub y_range: Option<Range<f64>>,
    /// Names in place of numbers under the bars.
    pub categories: Vec<String>,
    /// Values are fractions, written as percentages.
    pub percent: bool,
    /// Points and ranges are logarithms to base 10, the ranges' ends whole: a tick at each whole number.
    pub log: bool,
}

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Panels side by side; width and height in pixels.
pub(super) fn draw(
    picture: &'static str,
    panels: &[Panel],
    width: u32,
    height: u32,
) -> Result<Figure> {
    let fail = |problem: String| Error::Plot { picture, problem };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width * RESOLUTION, height * RESOLUTION))
            .into_drawing_area();
        for (panel, area) in panels.iter().zip(root.split_evenly((1, panels.len()))) {
            draw_panel(panel, &area).map_err(|error| fail(error.to_string()))?;
        }
        root.present().map_err(|error| fail(error.to_string()))?;
    }
    // plotters' own first tag makes way for ours.
    let body = svg.split_once(">\n").map_or("", |(_, body)| body);
    let body = body
        .replace("\"#010203\"", &format!("\"{FOREGROUND}\""))
        .replace(" font-family=\"sans-serif\"", "");
    Ok(Figure::new(
        format!("{}{body}", open(width, height, RESOLUTION)),
        width,
        height,
    ))
}

pub(super) fn font(size: f64) -> TextStyle<'static> {
    ("sans-serif", size * FONT).into_font().color(&INK)
}

fn draw_panel(
    panel: &Panel,
    area: &Area,
) -> std::result::Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let (width, _) = area.dim_in_pixel();
    let (x_range, y_range) = (x_limits(panel), y_limits(panel));
    let left =
        12 + y_label_width(panel, &y_range) as u32 + if panel.y_label.is_empty() { 0 } else { 34 };
    let title = if panel.title.is_empty() { 12 } else { 48 };
    let legend: Vec<&Series> = panel
        .series
        .iter()
        .filter(|series| !series.name.is_empty() && series.mark != Mark::Named)
        .collect();
    // One series needs no legend: the title or the axis names it.
    let legend = if legend.len() > 1 { legend } else { Vec::new() };
    let rows = legend_rows(&legend, f64::from(width - left));
    let top = title + 32 * rows.len() as i32;
    let names_below = name_rows(panel);
    let bottom = if names_below > 0 {
        34 * names_below
    } else {
        36
    } + if panel.x_label.is_empty() { 6 } else { 36 };

    if !panel.title.is_empty() {
        let style = font(TITLE).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(
            panel.title.clone(),
            (left as i32 + 10, 26),
            style,
        ))?;
    }
    for (row, entries) in rows.iter().enumerate() {
        let mut x = left as i32 + 10;
        let y = title + 14 + 32 * row as i32;
        for series in entries {
            draw_key(area, series, (x, y))?;
            x += key_width(series) as i32;
        }
    }
    let plot = area.margin(top, 0, 0, 0);
    let mut chart = ChartBuilder::on(&plot)
        .margin_left(10)
        .margin_right(28)
        .margin_top(10)
        .margin_bottom(4)
        .x_label_area_size(bottom)
        .y_label_area_size(left)
        .build_cartesian_2d(x_range.clone(), y_range.clone())?;
    let x_text = |x: &f64| if panel.log { power(*x) } else { tick(*x) };
    let y_text = |y: &f64| match panel {
        Panel { percent: true, .. } => percent(*y),
        Panel { log: true, .. } => power(*y),
        _ => tick(*y),
    };
    // plotters takes the finest round steps that give at most as many.
    let decades = |range: &Range<f64>| (range.end - range.start).round() as usize + 1;
    let (x_labels, y_labels) = match panel.log {
        true => (decades(&x_range), decades(&y_range)),
        false => (x_labels(panel, &x_range, width), 6),
    };
    let mut mesh = chart.configure_mesh();
    mesh.axis_style(INK.mix(0.5))
        .bold_line_style(INK.mix(0.14))
        .light_line_style(TRANSPARENT)
        .label_style(font(TEXT))
        .axis_desc_style(font(TEXT))
        .x_desc(panel.x_label.clone())
        .y_desc(panel.y_label.clone())
        .x_labels(x_labels)
        .y_labels(y_labels)
        .x_label_formatter(&x_text)
        .y_label_formatter(&y_text);
    if panel.series.iter().any(|series| series.mark == Mark::Bars) {
        mesh.disable_x_mesh();
    }
    if !panel.categories.is_empty() {
        mesh.x_labels(0);
    }
    mesh.draw()?;
    for series in &panel.series {
        draw_series(&mut chart, series)?;
    }
    draw_names(area, &chart, panel)?;
    let base = chart.plotting_area().get_y_axis_pixel_range().end;
    for (i, name) in panel.categories.iter().enumerate() {
        let (x, _) = chart.backend_coord(&(i as f64, y_range.start));
        let y = base + 24 + 34 * (i as i32 % names_below.max(1) as i32);
        let style = font(TEXT).pos(Pos::new(HPos::Center, VPos::Center));
        let (left_edge, top_edge) = area.get_base_pixel();
        area.draw(&Text::new(
            name.clone(),
            (x - left_edge, y - top_edge),
            style,
        ))?;
    }
    Ok(())
}

pub(super) type Chart<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// How many ticks the x axis has at most: no fractions between points at whole numbers.
fn x_labels(panel: &Panel, range: &Range<f64>, width: u32) -> usize {
    let most = (width as usize / 130).clamp(3, 9);
    let mut points = panel.series.iter().flat_map(|series| &series.points);
    match points.all(|(x, _)| x.fract() == 0.0) {
        true => most.min((range.end - range.start) as usize + 1).max(2),
        false => most,
    }
}

fn draw_series(
    chart: &mut Chart,
    series: &Series,
) -> std::result::Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let color = SERIES[series.color % SERIES.len()];
    if series.mark == Mark::Bars {
        let half = bar_width(&series.points) / 2.0 * 0.92;
        chart.draw_series(
            series
                .points
                .iter()
                .filter(|(_, y)| y.is_finite())
                .map(|&(x, y)| Rectangle::new([(x - half, 0.0), (x + half, y)], color.filled())),
        )?;
        return Ok(());
    }
    if series.mark == Mark::Named {
        let circle = |&point| Circle::new(point, 9, color.filled());
        chart.draw_series(series.points.iter().map(circle))?;
        return Ok(());
    }
    let style = match series.mark {
        Mark::Faint => color.mix(0.35).stroke_width(2),
        _ => color.stroke_width(4),
    };
    // A curve has a gap where a value is not a number.
    for part in series
        .points
        .split(|(x, y)| !x.is_finite() || !y.is_finite())
    {
        if part.len() > 1 {
            chart.draw_series(LineSeries::new(part.iter().copied(), style))?;
        }
        if series.mark == Mark::Dots || part.len() == 1 {
            chart.draw_series(
                part.iter()
                    .map(|&point| Circle::new(point, 7, color.filled())),
            )?;
        }
    }
    Ok(())
}

fn draw_key(
    area: &Area,
    series: &Series,
    (x, y): (i32, i32),
) -> std::result::Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let color = SERIES[series.color % SERIES.len()];
    match series.mark {
        Mark::Bars => area.draw(&Rectangle::new(
            [(x, y - 9), (x + 18, y + 9)],
            color.filled(),
        ))?,
        Mark::Faint => area.draw(&PathElement::new(
            [(x, y), (x + 32, y)],
            color.mix(0.5).stroke_width(6),
        ))?,
        _ => area.draw(&PathElement::new(
            [(x, y), (x + 32, y)],
            color.stroke_width(4),
        ))?,
    }
    if series.mark == Mark::Dots {
        area.draw(&Circle::new((x + 16, y), 7, color.filled()))?;
    }
    let style = font(TEXT).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(series.name.clone(), (x + 42, y), style))
}

fn key_width(series: &Series) -> f64 {
    42.0 + text_width(&series.name, TEXT) + 30.0
}

/// The legend's entries, in as many rows as they need.
fn legend_rows<'a>(entries: &[&'a Series], width: f64) -> Vec<Vec<&'a Series>> {
    let mut rows: Vec<Vec<&Series>> = Vec::new();
    let mut used = f64::INFINITY;
    for &entry in entries {
        if used + key_width(entry) > width {
            rows.push(Vec::new());
            used = 0.0;
        }
        used += key_width(entry);
        if let Some(row) = rows.last_mut() {
            row.push(entry);
        }
    }
    rows
}

/// In how many rows the names under the bars are written; 0 where there are none.
fn name_rows(panel: &Panel) -> u32 {
    let widest = panel
        .categories
        .iter()
        .map(|name| text_width(name, TEXT))
        .fold(0.0, f64::max);
    let place = 1000.0 / panel.categories.len().max(1) as f64;
    if panel.categories.is_empty() {
        0
    } else {
        ((widest + 10.0) / place).ceil().clamp(1.0, 3.0) as u32
    }
}
