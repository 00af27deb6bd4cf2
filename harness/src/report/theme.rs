//! The colours of the page and of the pictures in documents, in light and in dark, and what the colours of the map mean.

use plotters::style::RGBColor;

/// The upper ends of the ranges of the map's colours: how many times the best of its column a figure is.
const BINS: [f64; 6] = [1.02, 1.1, 1.25, 1.5, 2.0, 4.0];

/// The names of these ranges and of what is above them.
pub(super) const BIN_NAMES: [&str; 7] =
    ["best, or within 2%", "to 1.1 times", "to 1.25", "to 1.5", "to 2", "to 4", "more"];

/// Returns the place of the colour of a cell whose figure is so many times the best of its column.
pub(super) fn bin(times: f64) -> usize {
    BINS.iter().position(|end| times <= *end).unwrap_or(BINS.len())
}

/// Colours that suit each other on one ground.
pub struct Theme {
    /// What the theme is called in the name of a file.
    pub(super) name: &'static str,
    pub(super) text: RGBColor,
    /// Text of less weight.
    pub(super) soft: RGBColor,
    /// Axes, and the frames of cells.
    pub(super) line: RGBColor,
    /// The ground of a cell without a figure.
    pub(super) without: RGBColor,
    /// The map's cells, a colour for each range.
    pub(super) bins: [RGBColor; 7],
    /// Text on the last of them.
    pub(super) on_last_bin: RGBColor,
    /// Servers, or the parts of a bar. People who see colours differently can tell those next to each other apart.
    pub(super) series: [RGBColor; 10],
    /// Text on a part of a bar.
    pub(super) on_series: RGBColor,
}

const fn rgb(hex: u32) -> RGBColor {
    let [_, r, g, b] = hex.to_be_bytes();
    RGBColor(r, g, b)
}

const fn all<const N: usize>(hex: [u32; N]) -> [RGBColor; N] {
    let mut colours = [rgb(0); N];
    let mut n = 0;
    while n < N {
        colours[n] = rgb(hex[n]);
        n += 1;
    }
    colours
}

/// For a light ground.
pub const LIGHT: Theme = Theme {
    name: "light",
    text: rgb(0x1A1A1B),
    soft: rgb(0x595960),
    line: rgb(0xC9C9CF),
    without: rgb(0xE4E4E8),
    bins: all([0xDCEFE4, 0xFFFFFF, 0xFDECCB, 0xFBD6A0, 0xF5B277, 0xE58657, 0xB6402F]),
    on_last_bin: rgb(0xFFFFFF),
    series: all([
        0x0072B2, 0xC44E00, 0x00795A, 0xA8467F, 0x7A5C00, 0x3F4FA8, 0xB02A37, 0x007C8A, 0x5C5C5C, 0x6B3FA0,
    ]),
    on_series: rgb(0xFFFFFF),
};

/// For a dark ground.
pub const DARK: Theme = Theme {
    name: "dark",
    text: rgb(0xECECEE),
    soft: rgb(0xA9AAB2),
    line: rgb(0x45474F),
    without: rgb(0x33353B),
    bins: all([0x173A2A, 0x1D1F24, 0x3B3018, 0x573F14, 0x7A4A17, 0x9C4A22, 0xC9503C]),
    on_last_bin: rgb(0xFFFFFF),
    series: all([
        0x56B4E9, 0xFF9455, 0x3CCFA0, 0xE78AC3, 0xE6C229, 0x9FA8FF, 0xFF7B86, 0x4DD5E3, 0xBDBDBD, 0xC9A0FF,
    ]),
    on_series: rgb(0x131417),
};
