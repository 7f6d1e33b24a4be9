"""A model on one page: what it learnt from, how good it is, what it recommends, in charts and tables."""
