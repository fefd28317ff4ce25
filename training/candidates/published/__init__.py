"""Published equations: imported from a study's TOML, validated as published and recalibrated."""
