"""Reports for people: Markdown, figures, the model card, the HTML report."""
