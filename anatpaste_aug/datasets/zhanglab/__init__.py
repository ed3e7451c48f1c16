"""The Zhang Lab pediatric chest radiographs."""
