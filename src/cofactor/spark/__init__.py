"""Training, lists for all users and evaluation on a Spark cluster, on folders of Parquet.

pyspark is imported only where a session is asked for, so that everything else works without it.
"""
