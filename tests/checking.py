"""The type checker of the tests: an int may stand for a float, as Python's typing has it (PEP 484)."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
