"""Routes, access, limits and the OpenAPI document."""
