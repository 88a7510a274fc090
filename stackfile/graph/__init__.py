"""Resources of a stack as a networkx DiGraph: order, cycles, rendering. Pure."""
