"""The report: all studies of one body on one page, compared with what the papers print."""
