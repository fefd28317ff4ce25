"""Reference pages and pictures of the docs."""
