"""The pages: views, forms, and what all pages share."""
