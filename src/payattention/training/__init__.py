"""Training: recipes as data, batches that live on the device, a loop, and Lightning Fabric for devices and processes.

Importing this package imports Lightning (seconds); `payattention.training.recipe` alone does not.
"""
