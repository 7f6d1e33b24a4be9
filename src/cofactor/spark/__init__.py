"""What runs on a Spark cluster: training, lists for everyone, and evaluation, all on folders of Parquet.

pyspark is imported only where a session is asked for, so that everything else works without it.
"""
