"""Drawing the vectors of a rating matrix from their posterior, and predicting from the draws."""
