"""The compiled part: loops over rows, in single precision, with the order of every sum written out."""
