"""The report: all studies of one body on one page, beside what the papers print."""
