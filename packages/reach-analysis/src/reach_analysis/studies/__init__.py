"""One module a verb: from settings and files to numbers, tables and figures with their captions."""
