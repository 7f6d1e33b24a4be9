"""Ratings past one machine: the same models, learnt on Spark and kept in folders of Parquet.

pyspark is imported only where a session is asked for, so that everything else works without it.
"""
