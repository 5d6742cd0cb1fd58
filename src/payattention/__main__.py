"""`python -m payattention`: the same program as the command `payattention`."""

from payattention.cli.app import main

if __name__ == "__main__":
    main()
