"""What results look like: `text.markdown` for a terminal or a repository, `page.write_html` for a browser."""
