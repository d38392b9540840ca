"""What bench/run and bench/gate are made of."""
