"""Pages: views, forms, and what all pages share."""
