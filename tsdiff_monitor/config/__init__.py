"""The configuration: one module per section of the YAML, and the way from the file to checked objects."""
