"""Speed of every stage beside what a user would otherwise write and beside the machine's limit: `make bench`."""
