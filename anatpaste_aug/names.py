"""File names as people see them: no terminal, picture or spreadsheet takes one for anything else."""

# What spreadsheets take for the beginning of a formula (OWASP, "CSV Injection").
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def printable(text: str) -> str:
    r"""The text with escapes for what would move a cursor, turn the direction around or is not Unicode at all.

    >>> printable("a\x1b[2J\nb.png")
    'a\\x1b[2J\\nb.png'
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def shorten(name: str, length: int = 26) -> str:
    """The end of a name, for a picture.

    >>> shorten("patient00017/study1/view1_frontal.jpg")
    '…/study1/view1_frontal.jpg'
    """
    name = printable(name)
    return name if len(name) <= length else f"…{name[1 - length :]}"


def in_table(name: str) -> str:
    """The name for a CSV file: one that a spreadsheet would take for a formula gets ``./``, and is the same file still.

    >>> in_table("a.png"), in_table("=HYPERLINK(A1).png")
    ('a.png', './=HYPERLINK(A1).png')
    """
    return f"./{name}" if name.startswith(_FORMULA) else name
