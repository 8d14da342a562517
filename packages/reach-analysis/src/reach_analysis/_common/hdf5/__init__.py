"""Reading and checking the files of docs/schema, without any other package of this project."""
