"""What surrounds the program: files, the machine, other processes, how it was called, and where a number comes from."""
