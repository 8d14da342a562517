"""One module a verb: settings in, files out."""
