"""The steps by which the ratings store came to its present tables."""
