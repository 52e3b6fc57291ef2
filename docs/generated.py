"""Tables that programs write into pages: between two comments, and nothing else of the page."""

from pathlib import Path


def with_table(page: Path, begin: str, end: str, table: str) -> str:
    """Give a page with another table between its two comments."""
    text = page.read_text()
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"
