//! What the README's pictures have in common: their two themes, and texts.

use anyhow::{Context as _, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fs;

/// The area of a picture.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What drawing may fail with.
pub(super) type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The colours of a picture, for a reader with a light or a dark page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    name: &'static str,
    /// Behind everything.
    pub(super) back: RGBColor,
    /// Names and numbers.
    pub(super) text: RGBColor,
    /// What is said in passing.
    pub(super) soft: RGBColor,
    /// The cells of a map, from the best to what takes more than four times as much: those of `page.css`.
    pub(super) cells: [RGBColor; 7],
}

const THEMES: [Theme; 2] = [
    Theme {
        name: "light",
        back: RGBColor(255, 255, 255),
        text: RGBColor(0x1a, 0x1a, 0x1b),
        soft: RGBColor(0x59, 0x59, 0x60),
        cells: [
            RGBColor(0xdc, 0xef, 0xe4),
            RGBColor(0xf4, 0xf5, 0xf7),
            RGBColor(0xfd, 0xec, 0xcb),
            RGBColor(0xfb, 0xd6, 0xa0),
            RGBColor(0xf5, 0xb2, 0x77),
            RGBColor(0xe5, 0x86, 0x57),
            RGBColor(0xb6, 0x40, 0x2f),
        ],
    },
    Theme {
        name: "dark",
        back: RGBColor(0x13, 0x14, 0x17),
        text: RGBColor(0xec, 0xec, 0xee),
        soft: RGBColor(0xa9, 0xaa, 0xb2),
        cells: [
            RGBColor(0x17, 0x3a, 0x2a),
            RGBColor(0x25, 0x28, 0x2f),
            RGBColor(0x3b, 0x30, 0x18),
            RGBColor(0x57, 0x3f, 0x14),
            RGBColor(0x7a, 0x4a, 0x17),
            RGBColor(0x9c, 0x4a, 0x22),
            RGBColor(0xc9, 0x50, 0x3c),
        ],
    },
];

/// Draws a picture of this size, in pixels, in both themes, into `STEM-light.svg` and `STEM-dark.svg`.
///
/// # Errors
/// A picture cannot be drawn, or a file cannot be written.
pub(super) fn write_both(
    stem: &str,
    size: (u32, u32),
    draw: impl Fn(&Area<'_>, &Theme) -> Drawn,
) -> Result<()> {
    for theme in THEMES {
        let path = format!("{stem}-{}.svg", theme.name);
        let picture = drawn(size, &theme, &draw).map_err(|error| anyhow!("cannot draw {path}: {error}"))?;
        fs::write(&path, picture).with_context(|| format!("cannot write {path}"))?;
    }
    Ok(())
}

fn drawn(
    size: (u32, u32),
    theme: &Theme,
    draw: &impl Fn(&Area<'_>, &Theme) -> Drawn,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, size).into_drawing_area();
        area.fill(&theme.back)?;
        draw(&area, theme)?;
        area.present()?;
    }
    Ok(picture)
}

/// Writes a text whose end (`right`), or else its beginning, is at `at`; it is centred on the height.
pub(super) fn write(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    right: bool,
    size: u32,
    colour: RGBColor,
) -> Drawn {
    let place = Pos::new(if right { HPos::Right } else { HPos::Left }, VPos::Center);
    area.draw_text(text, &("sans-serif", size).into_font().color(&colour).pos(place), at)?;
    Ok(())
}
