"""A corpus: more pictures than one looks through. What a model says of each is a row; rows are written in shards.

A shard is a parquet file, written whole or not at all and named by what it holds: the pictures, the model and what is
asked of it. So it does not matter who writes it, or how often: one process, many of them (Ray), one that goes on where
another was killed. What every picture has in the end is one row, and the manifest is the proof.
"""
