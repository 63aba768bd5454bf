"""The commands of `fleetcert onboard`: each translates its options into steps, and shows what came of them."""
