"""Where an index may be: a folder, or an engine."""
