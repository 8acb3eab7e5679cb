"""Text → model: hardened YAML with line marks, diagnostics, and the rules between a document's parts."""
