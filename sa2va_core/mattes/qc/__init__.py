"""The QC report: which frames of which matte to look at first, and why. ``docs/qc.md`` says what each measure means."""
