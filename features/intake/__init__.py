"""What a clinic has, joined and reduced to one row per treatment course."""
