"""Usage that no instrumented program saw: files of others become records, each once. One small file a source."""
