"""Lung segmentation of Algorithm 1: the steps one by one, and the closed lung field."""
