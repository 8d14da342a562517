"""The file contract: what an HDF5 file of the three packages holds, how it is written, read and checked.

The pages are in docs/schema; ``schemas/*.json`` are copies of the machine-readable ones there. The floors, from the
ground: `schema` (the rules), `writing` and `reading` (HDF5), `record` (one view of arrays in memory and in a file),
`structure`, `content` and `model` (the checks).
"""
