"""Training: recipes as data, batches that live on the device, Lightning as the engine.

Importing this package imports Lightning (seconds); `payattention.training.recipe` alone does not.
"""
