"""What runs on a Spark cluster: training, lists for everyone, and evaluation, all on folders of Parquet."""
