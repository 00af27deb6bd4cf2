//! Pictures for documents: SVG on whatever ground the document has, one file for light and one for dark.

use super::drawing::escaped;
use super::theme::{DARK, LIGHT, Theme};
use anyhow::{Context as _, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;
use std::fs;
use std::path::Path;

/// What plotters calls a size / the pixels of it.
const SIZE: f64 = 1.24;
/// The width of a letter / its size, at the most of usual fonts.
const LETTER: f64 = 0.62;
/// The width of a line that is dotted, in pixels: no other has it.
const DOTTED: u32 = 2;

pub(super) type Drawn = Result<(), Box<dyn Error>>;
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Writes `STEM-light.svg` and `STEM-dark.svg`.
///
/// # Errors
/// There is nothing to draw, or a file cannot be written.
pub fn write(stem: &Path, svg: impl Fn(&Theme) -> Result<String>) -> Result<()> {
    for theme in [&LIGHT, &DARK] {
        let mut path = stem.as_os_str().to_owned();
        path.push(format!("-{}.svg", theme.name));
        let path = Path::new(&path);
        fs::write(path, svg(theme)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Returns a picture of this size in pixels; `alt` says in words what it shows.
pub(super) fn svg(alt: &str, size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let drawn = draw(&area).and_then(|()| Ok(area.present()?));
    drop(area);
    drawn.map_err(|error| anyhow!("cannot draw: {error}"))?;
    let width = format!("stroke-width=\"{DOTTED}\"");
    Ok(svg
        .replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{}\" ", escaped(alt)), 1)
        .replace(" opacity=\"1\"", "")
        // Plotters dots lines, no frames.
        .replace(&width, &format!("{width} stroke-dasharray=\"2 3\"")))
}

/// Returns the style of a dotted line.
pub(super) fn dotted(colour: RGBColor) -> ShapeStyle {
    colour.stroke_width(DOTTED)
}

/// Returns the room that a text takes at the most, in pixels.
pub(super) fn width(text: &str, pixels: f64) -> f64 {
    text.chars().count() as f64 * LETTER * pixels
}

/// Returns a style of text of this height in pixels, placed at its left, centre or right, and in the middle of its height.
pub(super) fn text(pixels: f64, at: HPos, colour: RGBColor) -> TextStyle<'static> {
    let style = ("sans-serif", pixels * SIZE).into_font().color(&colour);
    style.pos(Pos::new(at, VPos::Center))
}

/// Returns the height of text that fits `room`, both in pixels: `pixels`, or less.
pub(super) fn fitting(said: &str, pixels: f64, room: f64) -> f64 {
    pixels * (room / width(said, pixels)).min(1.0)
}
