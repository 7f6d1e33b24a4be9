"""What we learn from: interactions, the readers that make them, and the ways to split them."""
