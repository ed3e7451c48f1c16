"""Reads the tables of the score command."""

import csv


def table(folder, name="scores.csv"):
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
