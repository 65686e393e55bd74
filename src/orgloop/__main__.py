"""`python -m orgloop`."""

from orgloop.cli import main

if __name__ == "__main__":
    main()
