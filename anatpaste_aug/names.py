"""File names in tables that people open with a spreadsheet."""

# What spreadsheets take for the beginning of a formula (OWASP, "CSV Injection").
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def in_table(name: str) -> str:
    """The name for a CSV file: one that a spreadsheet would take for a formula gets ``./``, and is the same file still.

    >>> in_table("a.png"), in_table("=HYPERLINK(A1).png")
    ('a.png', './=HYPERLINK(A1).png')
    """
    return f"./{name}" if name.startswith(_FORMULA) else name
