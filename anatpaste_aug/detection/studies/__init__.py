"""Run folders of single trainings, and studies that compare several."""
