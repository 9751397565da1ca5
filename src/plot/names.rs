//! Where the names of dots go, so that they lie on nothing else.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::chart::{Area, Chart, Mark, Panel, TEXT, font};
use super::svg::text_width;

/// The names of [`Mark::Named`], each beside its dot.
pub(super) fn draw_names(
    area: &Area,
    chart: &Chart,
    panel: &Panel,
) -> std::result::Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let named = panel
        .series
        .iter()
        .filter(|series| series.mark == Mark::Named);
    let dots: Vec<((i32, i32), &str)> = named
        .flat_map(|series| series.points.iter().map(|point| (point, &*series.name)))
        .map(|(point, name)| (chart.backend_coord(point), name))
        .collect();
    let (xs, ys) = chart.plotting_area().get_pixel_range();
    let (left, top) = area.get_base_pixel();
    let mut taken: Vec<Place> = dots.iter().map(|&(dot, _)| Place::of_dot(dot)).collect();
    let lines = panel
        .series
        .iter()
        .filter(|series| series.mark == Mark::Line);
    for ends in lines.flat_map(|series| series.points.windows(2)) {
        taken.extend(Place::along(
            chart.backend_coord(&ends[0]),
            chart.backend_coord(&ends[1]),
        ));
    }
    for &(dot, name) in &dots {
        let width = text_width(name, TEXT).ceil() as i32;
        let places = Place::beside(dot, width);
        let free = |place: &&Place| {
            place.is_inside(&xs, &ys) && !taken.iter().any(|other| place.meets(other))
        };
        // Where all are taken, names overlap rather than leave the frame.
        let place = places.iter().find(free);
        let place = place.or_else(|| places.iter().find(|place| place.is_inside(&xs, &ys)));
        let place = *place.unwrap_or(&places[0]);
        let style = font(TEXT).pos(Pos::new(HPos::Left, VPos::Center));
        let at = (place.x - left, place.y - top);
        area.draw(&Text::new(name.to_string(), at, style))?;
        taken.push(place);
    }
    Ok(())
}

/// Where a dot, a name or a piece of a line is: its left edge, the middle of its height, its width, and
/// half of its height.
#[derive(Debug, Clone, Copy)]
struct Place {
    x: i32,
    y: i32,
    width: i32,
    half: i32,
}

impl Place {
    /// Half the height of a line of text.
    const HALF: i32 = TEXT as i32 / 2 + 1;
    /// From a dot's middle to the name beside it.
    const GAP: i32 = 16;

    fn of_dot((x, y): (i32, i32)) -> Self {
        let half = Self::GAP / 2;
        let (x, width) = (x - half, 2 * half);
        Self { x, y, width, half }
    }

    /// A straight line as small pieces.
    fn along(from: (i32, i32), to: (i32, i32)) -> impl Iterator<Item = Self> {
        const WIDTH: i32 = 8;
        let run = to.0 - from.0;
        (0..=run / WIDTH).map(move |i| Self {
            x: from.0 + i * WIDTH,
            y: from.1 + (to.1 - from.1) * i * WIDTH / run.max(1),
            width: WIDTH,
            half: 2,
        })
    }

    /// The places for a name, the best first: right, left, below, above.
    fn beside((x, y): (i32, i32), width: i32) -> [Self; 4] {
        let (middle, line) = (x - width / 2, Self::GAP + Self::HALF);
        [
            (x + Self::GAP, y),
            (x - Self::GAP - width, y),
            (middle, y + line),
            (middle, y - line),
        ]
        .map(|(x, y)| Self {
            x,
            y,
            width,
            half: Self::HALF,
        })
    }

    fn is_inside(&self, xs: &Range<i32>, ys: &Range<i32>) -> bool {
        self.x >= xs.start
            && self.x + self.width <= xs.end
            && self.y - self.half >= ys.start
            && self.y + self.half <= ys.end
    }

    fn meets(&self, other: &Self) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && (self.y - other.y).abs() < self.half + other.half
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_in_the_frame_and_on_nothing_else() {
        let (xs, ys) = (0..100, 0..100);
        let [right, left, ..] = Place::beside((80, 50), 40);
        assert!(!right.is_inside(&xs, &ys) && left.is_inside(&xs, &ys));
        assert!(!left.meets(&Place::of_dot((80, 50))));
        assert!(left.meets(&Place::of_dot((30, 60))));
        assert!(!left.meets(&Place::of_dot((30, 80))));
        let through = |y| Place::along((0, y), (100, y)).any(|piece| left.meets(&piece));
        assert!(through(50) && through(60) && !through(70));
    }
}
