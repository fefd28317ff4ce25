"""Champions in BentoML's model store."""
