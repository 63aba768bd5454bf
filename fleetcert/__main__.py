"""`python -m fleetcert`: the same as the command `fleetcert`."""

from fleetcert.cli.app import main

if __name__ == "__main__":
    main()
