"""Networks of other packages, by their names there, whole: with their own classifiers, as `payattention.wrap` has them.

Each function builds one with fresh weights, pre-trained ones, or those of a file. The package is imported by then.
"""
