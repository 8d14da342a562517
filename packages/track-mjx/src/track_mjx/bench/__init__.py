"""How fast this machine simulates and learns: measurements, and their table and plot."""
