//! The tools that gpt-oss was trained with, as descriptors: names, descriptions and JSON Schemas.

/// The namespace of browsing tools, as JSON.
pub const BROWSER: &str = include_str!("browser.json");

/// The namespace for running Python, as JSON.
pub const PYTHON: &str = include_str!("python.json");
