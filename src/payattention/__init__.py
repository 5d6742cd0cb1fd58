"""Image classifiers that show where they look: trainable attention, its training and its measurement.

The public names stand in `__init__.pyi`. Each is imported when it is first used, so that `import payattention` and
`payattention --help` stay light.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
