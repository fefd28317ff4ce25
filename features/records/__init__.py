"""From any file or request to validated columns."""
