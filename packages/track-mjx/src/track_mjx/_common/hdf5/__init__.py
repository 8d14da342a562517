"""The file contract: what an HDF5 file of the three packages holds, how it is written, read and checked.

The pages for people are in docs/schema; ``schemas/*.json`` hold the same rules for the program.
"""
